"""Auto-labels on a score sheet: `autolabel run` makes them, `autolabel compare` holds them against people's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.score_sheet_config import LabelsEntry, resolved
from surfaces.errors import SurfacesError

GROUNDED_SAM = "grounded-sam"


class LabelsError(SurfacesError):
    """A command that labels or compares labels failed; it has told why."""

    exit_code = 25


def labels_missing(entry: LabelsEntry) -> str:
    """Why labels cannot be made here; empty where they can."""
    if entry.teacher == GROUNDED_SAM:
        from distill.score_sheet_large import grounded_sam_cached

        return "" if grounded_sam_cached() else "weights not available here"
    if entry.teacher.endswith(".toml") and not resolved(entry.teacher).is_file():
        return f"no {entry.teacher} here"
    return ""


def compared(entry: LabelsEntry, folder: Path, threads: int) -> Any:
    """Labels what is not labelled yet and compares it with people's labels.

    Args:
        entry: what is labelled, by whom, and the truth.
        folder: of the labels; the comparison is written beside it.
        threads: CPU threads.

    Returns:
        The comparison as `autolabel compare --json` writes it.

    Raises:
        LabelsError: one of the two commands failed.
        ConfigError: a variable of a path is not set.
    """
    numbers = folder.with_suffix(".json")
    teacher = str(resolved(entry.teacher))
    without = ["--without", *entry.without] if entry.without else []
    photos, truth = str(resolved(entry.photos)), str(resolved(entry.truth))
    flags = ["--out", str(folder), "--teacher", teacher, "--threads", str(threads), "--shard", entry.shard, *without]
    _autolabel(["run", photos, *flags], entry.name)
    _autolabel(["compare", str(folder), "--truth", truth, "--json", str(numbers)], entry.name)
    return json.loads(numbers.read_text(encoding="utf-8"))


def _autolabel(arguments: Sequence[str], name: str) -> None:
    """Runs one of autolabel's commands as a process: packages of this level don't import each other."""
    ran = subprocess.run([sys.executable, "-m", "autolabel", *arguments], stdout=subprocess.DEVNULL, check=False)
    if ran.returncode:
        raise LabelsError(f"expected `autolabel {arguments[0]}` of {name} to succeed, got exit code {ran.returncode}")
