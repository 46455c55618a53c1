"""Which host is requested next, and when: one request at a time per host, and a pause after each."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto


class _State(Enum):
    WAITING = auto()
    BUSY = auto()
    IDLE = auto()
    SUSPENDED = auto()


@dataclass
class _Host:
    state: _State
    ready: float
    failures: int = 0


class Schedule:
    """The hosts of a crawl, ordered by the time of their next request. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._waiting: list[tuple[float, str]] = []

    def add(self, host: str, wait_s: float = 0.0) -> None:
        """Schedules a new or idle host; `wait_s` delays the first request to a new one."""
        known = self._hosts.setdefault(host, _Host(_State.IDLE, self._clock() + wait_s))
        if known.state is _State.IDLE:
            self._wait(host, known)

    def pop(self) -> str | None:
        """The next host, busy until `reschedule`, `idle` or `suspend`; None if none is ready."""
        if not self._waiting or self._waiting[0][0] > self._clock():
            return None
        _, host = heapq.heappop(self._waiting)
        self._hosts[host].state = _State.BUSY
        return host

    def reschedule(self, host: str, wait_s: float) -> None:
        """Schedules the next request to a busy host."""
        self._hosts[host].ready = self._clock() + wait_s
        self._wait(host, self._hosts[host])

    def idle(self, host: str) -> None:
        """Marks a busy host as idle until `add`; the pause after its last request still applies."""
        self._hosts[host].state = _State.IDLE

    def suspend(self, host: str) -> None:
        """Ends the requests to a host that is busy or was not added."""
        self._hosts.setdefault(host, _Host(_State.SUSPENDED, 0.0)).state = _State.SUSPENDED

    def is_busy(self, host: str) -> bool:
        """Whether `pop` returned a host, and nothing was called for it since."""
        return self._hosts[host].state is _State.BUSY

    def is_suspended(self, host: str) -> bool:
        """Whether a host is suspended."""
        return host in self._hosts and self._hosts[host].state is _State.SUSPENDED

    def count_failure(self, host: str) -> int:
        """Counts a failed request; returns the number of consecutive failures."""
        self._hosts[host].failures += 1
        return self._hosts[host].failures

    def reset_failures(self, host: str) -> None:
        """Ends a series of failures."""
        self._hosts[host].failures = 0

    def wait_s(self) -> float | None:
        """Seconds until a host is ready; None if no host is waiting."""
        return max(0.0, self._waiting[0][0] - self._clock()) if self._waiting else None

    @property
    def num_active(self) -> int:
        """Number of hosts that are waiting or busy."""
        return sum(known.state in (_State.WAITING, _State.BUSY) for known in self._hosts.values())

    def _wait(self, host: str, known: _Host) -> None:
        known.state = _State.WAITING
        heapq.heappush(self._waiting, (known.ready, host))
