"""What push and pull show while they go on."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from surfaces.messages import printable

_SECONDS_BETWEEN_LOG_LINES = 30.0


def task_bar(total: int) -> Any:
    """A bar of tasks on stderr; a context manager. Where stderr is a file, a line now and then."""
    seconds = 0.1 if sys.stderr.isatty() else _SECONDS_BETWEEN_LOG_LINES
    return tqdm(total=total, unit="task", disable=not total, mininterval=seconds, file=sys.stderr)


def tell(line: str) -> None:
    """Writes a line to stderr, above a bar that may be there. What others wrote in it does not steer the terminal."""
    tqdm.write(printable(line), file=sys.stderr)
