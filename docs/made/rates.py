"""`python -m docs.made.rates PHOTOS`: photos a second, step by step, by the commands that users type."""

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
from surfaces.io.atomic_files import replace_file

_RESULT = Path(__file__).resolve().parents[1] / "results" / "rates.json"


def measure(photos: Sequence[Path], teachers: Sequence[str]) -> dict[str, Any]:
    """Judges and labels photos as `crawl` and `run` do, one after the other, each in a new process.

    Args:
        photos: at least one file.
        teachers: as `autolabel run --teacher` takes them.

    Returns:
        `photos`, `bytes_a_photo`, `machine`, and `steps`: by name the `command`, wall-clock `seconds` with the start of
        the process, `photos_a_second`, and `bytes_a_photo` of what the step left on disk besides photos.

    Raises:
        subprocess.CalledProcessError: a step failed; it told why on stderr.
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
        "command": shlex.join(["autolabel", *(_plain(argument) for argument in arguments), "OUT"]),
        "seconds": round(seconds, 1),
        "photos_a_second": round(photos / seconds, 2),
        "bytes_a_photo": round(sum(file.stat().st_size for file in out.glob("*.sqlite")) / photos),
    }


def _plain(argument: str) -> str:
    """An argument without the folder of this machine that it lies in."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def main() -> int:
    """Measures, and writes the result file; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m docs.made.rates", description="Measure photos a second, step by step."
    )
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="folder of .jpg files")
    parser.add_argument(
        "--count", type=int, default=100, help="photos taken, evenly from the folder (default %(default)s)"
    )
    parser.add_argument("--teachers", nargs="+", default=["student"], help="as for autolabel run (default student)")
    parser.add_argument("--out", type=Path, default=_RESULT, help="the result file")
    args = parser.parse_args()
    found = sorted(args.photos.rglob("*.jpg"))
    if not found:
        parser.error(f"expected a folder with .jpg files, got {args.photos}")
    photos = found[:: max(1, len(found) // args.count)][: args.count]
    try:
        rates = measure(photos, args.teachers)
    except subprocess.CalledProcessError as error:
        print(f"docs.made.rates: a step ended with exit code {error.returncode}", file=sys.stderr)
        return error.returncode
    replace_file(args.out, f"{json.dumps(rates, indent=1)}\n".encode())
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
