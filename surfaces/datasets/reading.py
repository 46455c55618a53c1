"""Options of dataset readers, and their reports: notes on stderr, and short lists of faults."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from surfaces.errors import DatasetError
from surfaces.messages import counted as counted
from surfaces.messages import printable_lines

FOLLOW_LINKS = "a dataset's links may leave its folder only with --follow-links"
"""The remedy in messages about links."""

CROWDS = ("auto", "instances", "refuse")

_FAULTS_SHOWN = 20


@dataclass(frozen=True)
class ReadOptions:
    """Options of `open_dataset`; `crowds` and `images` are for COCO files.

    Attributes:
        skip_invalid: leave out invalid annotations and images without a photo, and report their number on stderr,
            instead of refusing the dataset.
        crowds: how to read `iscrowd` annotations of dining tables, one of `CROWDS`. `instances`: one table each.
            `auto`: tables without instances; one table each where the file has no others, since some tools set
            `iscrowd` on every RLE. `refuse`: faults of the file.
        images: the folder of the photos; None to search for them near the COCO file.
        follow_links: allow links that lead out of the dataset's folder. An untrusted dataset could copy any file of
            this machine into results.
        targets: what another tool's class names mean, as values of `Labels.semantic`; names that it lacks mean what
            `surfaces.datasets.named_regions.target_of` says.
    """

    skip_invalid: bool = False
    crowds: str = "auto"
    images: Path | None = None
    follow_links: bool = False
    targets: Mapping[str, int] = field(default_factory=dict, hash=False)


DEFAULT_OPTIONS = ReadOptions()


def note(message: str) -> None:
    """Writes one line to stderr."""
    print(printable_lines(message), file=sys.stderr, flush=True)


def refuse_faults(faults: Sequence[str], source: str, remedy: str = "") -> None:
    """Raises an error that lists the first 20 faults; does nothing where there are none.

    Args:
        faults: a line each.
        source: the file or folder that has them.
        remedy: the end of the first line of several.

    Raises:
        DatasetError: there is a fault.
    """
    if not faults:
        return
    lines = [
        f"expected {source} without faults, got {len(faults)}{remedy and f' ({remedy})'}:",
        *faults[:_FAULTS_SHOWN],
    ]
    if len(faults) > _FAULTS_SHOWN:
        lines.append(f"and {len(faults) - _FAULTS_SHOWN} more")
    raise DatasetError((" " if len(faults) == 1 else "\n  ").join(lines))
