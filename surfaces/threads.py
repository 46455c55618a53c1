"""Work in other threads: in order and ahead of its use, or without the process waiting for it at its end."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(function: Callable[[T], R], items: Iterable[T], pool: Executor, ahead: int) -> Iterator[R]:
    """Maps in order, with a bounded number of results ahead, so that memory does not grow with the items.

    Args:
        function: called in the pool; its exceptions are raised here, in place of the result.
        items: drawn one at a time, in the thread that draws the results.
        pool: several mappings may share it.
        ahead: how many results are ready or in the making beyond the one in use.
    """
    pending: deque[Future[R]] = deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def call_in_thread(work: Callable[[], R]) -> Future[R]:
    """Calls `work` in a daemon thread: at its end, the process does not wait for it."""
    future: Future[R] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


class DaemonThreads(Executor):
    """An executor with a daemon thread for each call, for work that may hang, such as downloads."""

    def submit(self, function: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Starts a call at once."""
        return call_in_thread(lambda: function(*args, **kwargs))


def usable_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """The number of CPUs that this process may use: its affinity, limited by its control groups (version 1 or 2)."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(bound, _quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """CPUs that a container may use on average; infinite without a limit."""
    try:
        if (cgroup / "cpu.max").is_file():
            share, period = (cgroup / "cpu.max").read_text().split()
        else:
            share, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(share) / float(period) if float(share) > 0 else math.inf
    except (OSError, ValueError):  # no cgroups, or "max"
        return math.inf
