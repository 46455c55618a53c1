"""`python -m autolabel teachers`: what can label, what each needs, and what works on this machine."""

from __future__ import annotations

import argparse
import sys

from autolabel.labelling.known_teachers import KNOWN_TEACHERS, ONNX, KnownTeacher, default_teacher, install_hint
from models.weights.official import cache_folder
from surfaces.cli.arguments import local_path, positive
from surfaces.cli.settings_files import SettingsError
from surfaces.errors import SurfacesError
from surfaces.images.load import load_image
from surfaces.threads import usable_cpus

_HEADINGS = ("teacher", "works here", "download", "memory", "a photo", "licence", "what it is, and what it needs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add = parser.add_argument
    measure_help = "measure memory and seconds on this photo, for those that work here"
    add("--measure", type=local_path, metavar="PHOTO", help=measure_help)
    more_help = "measure these instead: names or TOML files, as for autolabel run"
    add("--teacher", nargs="+", default=[], metavar="TEACHER", help=more_help)
    add("--device", default="auto", help="as for autolabel run (default: %(default)s)")
    add("--threads", type=positive, metavar="N", help="as for autolabel run (default: one per CPU)")


def run(args: argparse.Namespace) -> int:
    """Prints a line a teacher; returns the exit code."""
    if args.measure:
        load_image(args.measure)  # an error of the photo is none of the teachers'
    elif args.teacher:
        raise SettingsError("expected --measure PHOTO with --teacher, got none")
    known = {teacher.name: teacher for teacher in KNOWN_TEACHERS}
    teachers = [known.get(name) or KnownTeacher(name, "") for name in args.teacher] or KNOWN_TEACHERS
    rows = [_HEADINGS, *(_row(teacher, args) for teacher in teachers)]
    if not args.teacher:
        rows.append(("FILE.toml", "", "", "", "", "", "an ensemble, other sizes, your own code: docs/teachers.md"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if any(teacher.missing_size() for teacher in teachers):
        print(f"downloads go to {cache_folder()}")
    return 0


def _row(teacher: KnownTeacher, args: argparse.Namespace) -> tuple[str, ...]:
    packages = teacher.missing_packages()
    works = "no" if packages else "after a download" if teacher.missing_size() else "yes"
    size = f"{teacher.download_size / 1e6:.0f} MB" if teacher.download_size else ""
    memory, seconds = _measured(teacher.name, args) if works == "yes" else ("", "")
    mark = " (default here)" if teacher.name == default_teacher() else ""
    needs = f"; needs {install_hint(packages)}" if packages else ""
    return (teacher.name, works, size, memory, seconds, teacher.licence, f"{teacher.summary}{mark}{needs}")


def _measured(name: str, args: argparse.Namespace) -> tuple[str, str]:
    if args.measure is None or name == ONNX:
        return "", ""
    from autolabel.labelling.measure import measure_teacher
    from autolabel.labelling.teachers import TeacherOptions

    device = None if args.device == "auto" else args.device
    options = TeacherOptions(device=device, threads=args.threads or usable_cpus(), quiet=True)
    try:
        measured = measure_teacher(name, args.measure, options)
    except SurfacesError as error:
        if args.teacher:
            raise
        print(f"{name}: {error}", file=sys.stderr)
        return "", ""
    memory = "unknown" if measured.peak_mib is None else f"{measured.peak_mib:.0f} MiB"
    return memory, f"{measured.seconds:.2f} s"
