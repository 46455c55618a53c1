"""Which host may be asked next, and when: one request at a time, and a pause after each."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto


class _Turn(Enum):
    WAITING = auto()
    BUSY = auto()
    IDLE = auto()
    ASIDE = auto()


@dataclass
class _Host:
    turn: _Turn
    ready: float
    failures: int = 0


class Schedule:
    """The hosts of a crawl, each waiting for its turn, being asked, idle (nothing is to be asked), or put aside.

    Among those that may be asked, the one that could have been asked longest comes first, so none starves. Nothing is
    kept of a host but its times. For one thread.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._waiting: list[tuple[float, str]] = []

    def add(self, host: str, wait_s: float = 0.0) -> None:
        """There is something to ask a host.

        Args:
            host: its name.
            wait_s: where it is new, seconds before its first turn. One that is known keeps its time.
        """
        known = self._hosts.get(host)
        if known is None:
            known = self._hosts[host] = _Host(_Turn.IDLE, self._clock() + wait_s)
        if known.turn is _Turn.IDLE:
            self._wait(host, known)

    def take(self) -> str | None:
        """The host whose turn it is, busy until `rest`, `retire` or `put_aside`; None where none may be asked now."""
        if not self._waiting or self._waiting[0][0] > self._clock():
            return None
        _, host = heapq.heappop(self._waiting)
        self._hosts[host].turn = _Turn.BUSY
        return host

    def rest(self, host: str, wait_s: float) -> None:
        """A busy host may be asked again after some seconds."""
        known = self._hosts[host]
        known.ready = self._clock() + wait_s
        self._wait(host, known)

    def retire(self, host: str) -> None:
        """Nothing is left to ask a busy host, until `add`; its next turn is not sooner for that."""
        self._hosts[host].turn = _Turn.IDLE

    def put_aside(self, host: str) -> None:
        """A busy host, or one that was not added yet, is not asked any more."""
        self._hosts.setdefault(host, _Host(_Turn.ASIDE, 0.0)).turn = _Turn.ASIDE

    def is_busy(self, host: str) -> bool:
        """Whether a host was taken, and neither rests, retired nor was put aside since."""
        return host in self._hosts and self._hosts[host].turn is _Turn.BUSY

    def succeeded(self, host: str) -> None:
        """A host answered as it should."""
        self._hosts[host].failures = 0

    def failed(self, host: str) -> int:
        """A host did not answer as it should; returns how often it did not in a row."""
        self._hosts[host].failures += 1
        return self._hosts[host].failures

    def wait_s(self) -> float | None:
        """Seconds until the next turn; None where no host waits for one."""
        return max(0.0, self._waiting[0][0] - self._clock()) if self._waiting else None

    @property
    def waiting(self) -> int:
        """How many hosts wait for their turn or are being asked."""
        return sum(known.turn in (_Turn.WAITING, _Turn.BUSY) for known in self._hosts.values())

    def is_aside(self, host: str) -> bool:
        """Whether a host was put aside."""
        return host in self._hosts and self._hosts[host].turn is _Turn.ASIDE

    def _wait(self, host: str, known: _Host) -> None:
        known.turn = _Turn.WAITING
        heapq.heappush(self._waiting, (known.ready, host))
