"""`python -m notebooks.execute [--check]`: runs walkthrough.ipynb and keeps its outputs where they changed.

The notebook runs in a copy of what it needs of the checkout, so that nothing but its file is written there.
"""

from __future__ import annotations

import argparse
import base64
import copy
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbformat import NotebookNode

from surfaces.images.load import decode_image

NAME = "notebooks/walkthrough.ipynb"
STALE = 1
"""Exit code of `--check` where the notebook's outputs are not what it gives now."""

_ROOT = Path(__file__).resolve().parents[1]
_NEEDED = (
    "autolabel",
    "distill",
    "examples",
    "labelstudio",
    "models",
    "surfaces",
    "tests/data/rooms",
    "segment.py",
    "pyproject.toml",
    NAME,
)
_CELL_S = 600

_NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d+\.?\d*|\.\d+)(?!\w)")
# Processors differ in the last bits of a sum. Training amplifies that: its cells have a wider tolerance as metadata.
_TOLERANCE = 0.03
_TOLERANCE_KEY = "tolerance"
_GREY_LEVELS = 100  # of a picture's mean difference, for a tolerance of 1
_PICTURE = "image/jpeg"


def copy_needed(root: Path, folder: Path) -> None:
    """Copies what the notebook needs of a checkout, itself among it, into a folder."""
    for name in _NEEDED:
        source, target = root / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)


def read_notebook(root: Path) -> NotebookNode:
    """The notebook of a checkout, or of a copy of one."""
    notebook: NotebookNode = nbformat.read(root / NAME, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def execute(folder: Path) -> NotebookNode:
    """Runs the notebook in a copy of the checkout.

    It finds no weights of Grounding DINO and SAM, whatever this machine has, so that its outputs are the same on all.

    Args:
        folder: where `copy_needed` copied to.

    Returns:
        The notebook with its outputs.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = read_notebook(folder)
    metadata = copy.deepcopy(notebook.metadata)
    client = NotebookClient(
        notebook,
        timeout=_CELL_S,
        kernel_name="python3",
        resources={"metadata": {"path": str((folder / NAME).parent)}},
        coalesce_streams=True,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
    )
    with tempfile.TemporaryDirectory() as empty:
        chosen = {"PYTHONPATH": str(folder), "INTERIOR_SURFACES_CACHE": empty, "IPYTHONDIR": empty}
        client.execute(env=os.environ | chosen)
    notebook.metadata = metadata  # else it names the Python that ran it
    return notebook


def differences(kept: NotebookNode, fresh: NotebookNode) -> list[str]:
    """Where a notebook's kept outputs are not what running it gave: one line each.

    A number x may differ by 0.03 (1 + |x|), a picture by 3 levels of grey on average, or by more where a cell's
    metadata has another `tolerance` than 0.03. All other text is compared word by word.
    """
    lines = []
    for number, (one, other) in enumerate(zip_longest(kept.cells, fresh.cells), 1):
        if one is None or other is None or one.source != other.source:
            lines.append(f"cell {number}: another source")
        elif one.cell_type == "code":
            if one.execution_count != other.execution_count:
                lines.append(f"cell {number}: expected to be run as {other.execution_count}, got {one.execution_count}")
            tolerance = float(one.metadata.get(_TOLERANCE_KEY, _TOLERANCE))
            lines += [f"cell {number}: {told}" for told in _outputs_differ(one.outputs, other.outputs, tolerance)]
    return lines


def _outputs_differ(kept: list[NotebookNode], fresh: list[NotebookNode], tolerance: float) -> Iterator[str]:
    if [_kind(output) for output in kept] != [_kind(output) for output in fresh]:
        yield f"expected outputs {[_kind(o) for o in fresh]}, got {[_kind(o) for o in kept]}"
        return
    for one, other in zip(kept, fresh, strict=True):
        if _PICTURE in one.get("data", {}):
            difference = _grey_difference(one.data[_PICTURE], other.data[_PICTURE])
            if difference > _GREY_LEVELS * tolerance:
                yield f"expected a picture within {_GREY_LEVELS * tolerance:g} levels of grey, got {difference:.1f}"
        else:
            yield from _text_differs(_text(one), _text(other), tolerance)


def _kind(output: NotebookNode) -> str:
    return " ".join([output.output_type, output.get("name", ""), *output.get("data", {})])


def _text(output: NotebookNode) -> str:
    return str(output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", ""))


def _text_differs(kept: str, fresh: str, tolerance: float) -> Iterator[str]:
    for one, other in zip_longest(kept.splitlines(), fresh.splitlines(), fillvalue=""):
        numbers = [(float(a), float(b)) for a, b in zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=False)]
        near = all(abs(a - b) <= tolerance * (1 + abs(b)) for a, b in numbers)
        if not near or _NUMBER.sub("#", one).split() != _NUMBER.sub("#", other).split():
            yield f"expected {other.strip()!r}, got {one.strip()!r}"


def _grey_difference(kept: str, fresh: str) -> float:
    """Mean difference of two pictures (base64 of JPEG), levels of grey; 255 where their sizes differ."""
    one, other = (decode_image(io.BytesIO(base64.b64decode(data))) for data in (kept, fresh))
    return float(np.abs(one.astype(float) - other).mean()) if one.shape == other.shape else 255.0


def main(arguments: list[str] | None = None, root: Path = _ROOT) -> int:
    """Runs the notebook; returns the exit code. What differs goes to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m notebooks.execute", description="Run the walkthrough; keep its outputs where they changed."
    )
    parser.add_argument("--check", action="store_true", help=f"keep nothing; exit with {STALE} where they changed")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        copy_needed(root, Path(temporary))
        fresh = execute(Path(temporary))
    lines = differences(read_notebook(root), fresh)
    print("".join(f"{line}\n" for line in lines), end="")
    if lines and not args.check:
        nbformat.write(fresh, root / NAME)  # type: ignore[no-untyped-call]
        print(f"kept the new outputs in {NAME}", file=sys.stderr)
    return STALE if lines and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
