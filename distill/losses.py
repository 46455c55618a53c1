"""`python -m distill losses RUN...`: losses and learning rates of training runs, from TensorBoard's files to JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from surfaces.cli.arguments import local_path, positive
from surfaces.errors import DatasetError
from surfaces.io.atomic_files import refuse_overwrite, replace_file

CURVES = "curves"
_DIGITS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("runs", nargs="+", type=local_path, metavar="RUN", help="folders that `distill train` wrote")
    parser.add_argument("--out", type=local_path, default=Path("output/losses.json"), help="(default: %(default)s)")
    parser.add_argument("--points", type=positive, default=200, help="points a curve at most (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Writes the file; its path is the result."""
    refuse_overwrite([args.out], [path for folder in args.runs for path in (folder, folder / CURVES)])
    curves = {folder.resolve().name: read_curves(folder / CURVES, args.points) for folder in args.runs}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(content)}" for name, content in curves.items())
    replace_file(args.out, f"{{\n{lines}\n}}\n".encode())
    for name, content in curves.items():
        print(f"{name}: {len(content['step'])} points to step {content['step'][-1]}", file=sys.stderr)
    print(args.out)
    return 0


def read_curves(folder: Path, points: int = 200) -> dict[str, Any]:
    """Reads the scalars that `distill train` logged.

    Args:
        folder: of TensorBoard's event files. Of a run that was resumed the later values count.
        points: at most so many are kept, at even distances, the last one among them.

    Returns:
        `step`: ascending steps; `values`: by the curve's name its values at these steps, None where it has none.

    Raises:
        DatasetError: there is no curve in the folder.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    if not folder.is_dir():
        raise DatasetError(f"expected curves of a run in {folder}, got no such folder")
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1})
    events.Reload()
    curves = {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}
    steps = sorted({step for curve in curves.values() for step in curve})
    if not steps:
        raise DatasetError(f"expected curves of a run in {folder}, got none")
    kept = thinned(steps, points)
    return {
        "step": kept,
        "values": {name: [_rounded(curve.get(step)) for step in kept] for name, curve in curves.items()},
    }


def thinned(steps: Sequence[int], points: int) -> list[int]:
    """At most `points` of the steps at even distances, the last one among them."""
    if len(steps) <= points:
        return list(steps)
    return [steps[(place + 1) * len(steps) // points - 1] for place in range(points)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
