"""Progress bars on stderr, and lines that are printed above them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, TypeVar

from surfaces.messages import printable

T = TypeVar("T")

_LOG_INTERVAL_S = 30.0


def track(items: Iterable[T], unit: str = "photo", quiet: bool | None = None, total: int | None = None) -> Iterator[T]:
    """Iterates with a progress bar; without tqdm (an environment for training alone) there is none.

    `quiet` shows no bar; None shows one only on a terminal. With `total` or sized items, the bar shows the time left.
    """
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return iter(items)
    return iter(tqdm(items, unit=unit, total=total, **_options(quiet)))


def progress_bar(total: int | None, unit: str = "photo", quiet: bool | None = False, **options: Any) -> Any:
    """A tqdm bar (a context manager with `update`, `set_postfix`); where stderr is a file, a line every 30 s.

    `quiet` shows no bar; None shows one only on a terminal. `options` are further ones of tqdm.
    """
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, **_options(quiet), **options)


def write_line(line: str, file: TextIO | None = None) -> None:
    """Prints one line, to stderr by default, above a progress bar that may be there; control characters are escaped."""
    from tqdm import tqdm

    tqdm.write(printable(line), file=file or sys.stderr)


def _options(quiet: bool | None) -> dict[str, Any]:
    return {"disable": quiet, "mininterval": 0.1 if sys.stderr.isatty() else _LOG_INTERVAL_S, "file": sys.stderr}
