"""Signals that ask a process to stop, noted so that it can write its state first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from surfaces.errors import SurfacesError


class StoppedError(SurfacesError):
    """A signal stopped the run.

    Args:
        message: what was kept and how to resume.
        number: of the signal; the exit code is the one that shells use for it, 128 more.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class StopRequest:
    """Whether a signal has asked to stop.

    Attributes:
        signal: its number; None while there was none.
    """

    def __init__(self) -> None:
        self.signal: int | None = None


@contextmanager
def noted_signals(repeated: bool = False) -> Iterator[StopRequest]:
    """Notes SIGTERM and SIGINT (Ctrl-C) instead of stopping at once; the second signal acts as usual.

    Only the main thread of a process can do so; in others signals act as usual.

    Args:
        repeated: also note further signals: torchrun and a cluster's scheduler may each send one.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _frame: FrameType | None) -> None:
        request.signal = number
        if not repeated:
            restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
