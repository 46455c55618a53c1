"""What readers of datasets report: notes on stderr, and lists of faults that stay short."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from surfaces.errors import DatasetError
from surfaces.messages import printable_lines

FOLLOW_LINKS = "a dataset's links may leave its folder only with --follow-links"
"""What to say where one does."""

CROWDS = ("auto", "instances", "refuse")


@dataclass(frozen=True)
class ReadOptions:
    """Choices of a reader; all but the last concern COCO files alone.

    Attributes:
        skip_invalid: leave invalid annotations and images without a photo out, with a count on stderr, instead of
            refusing the file.
        crowds: what `iscrowd` annotations of dining tables are, one of `CROWDS`. `instances`: one table each. `auto`:
            tables that are not told apart; one table each where the file has no others, since some tools set `iscrowd`
            on every RLE. `refuse`: faults of the file.
        images: the folder of the photos; None to look for them around the COCO file.
        follow_links: take links that lead out of the dataset's folder. A dataset that others made could bring any file
            of this machine into what is made of it.
    """

    skip_invalid: bool = False
    crowds: str = "auto"
    images: Path | None = None
    follow_links: bool = False


DEFAULT_OPTIONS = ReadOptions()


_MOST_FAULTS = 20
_MOST_NAMES = 8


def note(message: str) -> None:
    """Writes one line to stderr."""
    print(printable_lines(message), file=sys.stderr, flush=True)


def refuse_faults(faults: Sequence[str], source: str, remedy: str = "") -> None:
    """Raises an error that lists faults, the first 20 of several one a line; does nothing where there is none.

    Args:
        faults: a line each.
        source: the file or folder that has them.
        remedy: what the user can do, for the end of the first line.

    Raises:
        DatasetError: there is a fault.
    """
    if not faults:
        return
    lines = [f"expected {source} without faults, got {len(faults)}{remedy and f' ({remedy})'}:", *faults[:_MOST_FAULTS]]
    if len(faults) > _MOST_FAULTS:
        lines.append(f"and {len(faults) - _MOST_FAULTS} more")
    raise DatasetError((" " if len(faults) == 1 else "\n  ").join(lines))


def listed(names: Sequence[object]) -> str:
    """Names for one line, the first of them where there are many."""
    more = [f"and {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return ", ".join([*map(str, names[:_MOST_NAMES]), *more])


def counted(count: int, noun: str) -> str:
    """A number and its noun, such as `1 photo` or `2 photos`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
