"""A progress bar where tqdm is installed, nothing where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def progress(items: Sequence[T], unit: str = "photo") -> Iterator[T]:
    """Passes the items through, with a bar on stderr while it is a terminal."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return iter(items)
    bar: Iterable[T] = tqdm(items, unit=unit, disable=None)
    return iter(bar)
