"""What a run shows while it goes on: rate, time left, failures."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm

_SECONDS_BETWEEN_LOG_LINES = 30.0


class Progress:
    """A bar on stderr; a context manager. Where stderr is a file, a line now and then."""

    def __init__(self, photos: int, quiet: bool) -> None:
        seconds = 0.1 if sys.stderr.isatty() else _SECONDS_BETWEEN_LOG_LINES
        self._bar = tqdm(total=photos, unit="photo", disable=quiet, mininterval=seconds, file=sys.stderr)
        self._failed = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()

    def done(self) -> None:
        """One photo is labelled, or was already."""
        self._bar.update()

    def failed(self) -> None:
        """One photo is skipped."""
        self._failed += 1
        self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update()
