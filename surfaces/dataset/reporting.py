"""What readers of datasets report: notes on stderr, and lists of faults that stay short."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from surfaces.errors import DatasetError
from surfaces.wording import printable_lines

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
