"""Work that is done ahead of who needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(function: Callable[[T], R], items: Iterable[T], pool: Executor, ahead: int) -> Iterator[R]:
    """Maps in order, a bounded number of results ahead, so that memory stays flat however many items there are.

    Args:
        function: called in the pool.
        items: drawn one at a time, in the thread that draws the results.
        pool: does the work; several mappings may share it.
        ahead: how many results are made or in the making beyond the one that is in use.

    Yields:
        The result of each item, in their order. What the function raises is raised here.
    """
    pending: deque[Future[R]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
