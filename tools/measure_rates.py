"""`python -m tools.measure_rates PHOTOS`: photos per second of filtering and labelling, by users' commands."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.commands.benchmark import machine
from surfaces.cli.arguments import positive
from surfaces.errors import DatasetError
from surfaces.io.atomic_files import replace_file
from tools.command_line import run_tool

_RESULT = Path(__file__).resolve().parents[1] / "docs" / "results" / "rates.json"


def measure(photos: Sequence[Path], teachers: Sequence[str]) -> dict[str, Any]:
    """Runs `autolabel crawl` and `autolabel run` with each teacher on the photos, each in a new process.

    Returns:
        `photos`, `bytes_a_photo`, `machine`, and `steps`: by name the `command`, wall-clock `seconds` with the start of
        the process, `photos_a_second`, and `bytes_a_photo` written to disk besides photos.

    Raises:
        subprocess.CalledProcessError: a step failed; its message is on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed, corpus = Path(folder) / "photos.txt", Path(folder) / "photos"
        corpus.mkdir()
        for photo in photos:
            (corpus / photo.name).symlink_to(photo.resolve())
        listed.write_text("".join(f"{photo.resolve()}\n" for photo in photos), "utf-8")
        steps = {"judge": _step(["crawl", "--folder", str(corpus), "--out"], len(photos), Path(folder) / "corpus")}
        for teacher in teachers:
            command = ["run", str(listed), "--teacher", teacher, "--threads", "2", "--out"]
            steps[Path(teacher).stem] = _step(command, len(photos), Path(folder) / f"labels-{Path(teacher).stem}")
    return {
        "photos": len(photos),
        "bytes_a_photo": sum(photo.stat().st_size for photo in photos) / len(photos),
        "machine": machine(),
        "steps": steps,
    }


def _step(arguments: Sequence[str], photos: int, out: Path) -> dict[str, Any]:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "autolabel", *arguments, str(out)],
        check=True,
        stdout=sys.stderr,
        stdin=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    return {
        # Without the folders of this machine.
        "command": shlex.join(["autolabel", *(Path(a).name if Path(a).is_absolute() else a for a in arguments), "OUT"]),
        "seconds": round(seconds, 1),
        "photos_a_second": round(photos / seconds, 2),
        "bytes_a_photo": round(sum(file.stat().st_size for file in out.glob("*.sqlite")) / photos),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the tool's arguments."""
    add = parser.add_argument
    add("photos", type=Path, metavar="PHOTOS", help="folder of .jpg files")
    add("--count", type=positive, default=100, help="photos taken, evenly from the folder (default: %(default)s)")
    add("--teachers", nargs="+", default=["student"], help="as for autolabel run (default: student)")
    add("--out", type=Path, default=_RESULT, help="the result file")


def run(args: argparse.Namespace) -> int:
    """Measures and writes the result file; returns the exit code."""
    found = sorted(args.photos.rglob("*.jpg"))
    if not found:
        raise DatasetError(f"expected a folder with .jpg files, got {args.photos}")
    photos = found[:: max(1, len(found) // args.count)][: args.count]
    try:
        rates = measure(photos, args.teachers)
    except subprocess.CalledProcessError as error:
        print(f"measure_rates: a step ended with exit code {error.returncode}", file=sys.stderr)
        return error.returncode
    replace_file(args.out, f"{json.dumps(rates, indent=1)}\n".encode())
    print(args.out)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the tool; returns the exit code."""
    return run_tool("measure_rates", str(__doc__), add_arguments, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
