"""Work that is done ahead of who needs it."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TypeVar

_CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """How many CPUs this process may use: of those it is bound to, what its container's quota leaves.

    Args:
        cgroup: where the kernel shows the quota, version 1 or 2.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(bound, _quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """CPUs that a container may use on average; infinite where nothing limits it."""
    try:
        if (cgroup / "cpu.max").is_file():
            share, period = (cgroup / "cpu.max").read_text().split()
        else:
            share, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(share) / float(period) if float(share) > 0 else math.inf
    except (OSError, ValueError):  # no cgroups, or "max"
        return math.inf


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
