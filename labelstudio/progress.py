"""Progress and messages of push and pull on stderr."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from surfaces.messages import printable

_LOG_INTERVAL_S = 30.0


def task_bar(total: int) -> Any:
    """A progress bar of tasks, as a context manager; a line now and then if stderr is no terminal."""
    interval_s = 0.1 if sys.stderr.isatty() else _LOG_INTERVAL_S
    return tqdm(total=total, unit="task", disable=not total, mininterval=interval_s, file=sys.stderr)


def report(line: str) -> None:
    """Writes a line above the bar; control characters are escaped."""
    tqdm.write(printable(line), file=sys.stderr)
