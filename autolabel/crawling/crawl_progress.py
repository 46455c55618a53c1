"""What a crawl shows while it goes on: rate, what was kept and dropped, how many hosts wait."""

from __future__ import annotations

import sys
from collections import Counter
from types import TracebackType

from tqdm import tqdm

from autolabel.crawling.records import Ended

_SECONDS_BETWEEN_LOG_LINES = 30.0


class CrawlProgress:
    """A line on stderr; a context manager. Where stderr is a file, a line now and then."""

    def __init__(self, quiet: bool) -> None:
        seconds = 0.1 if sys.stderr.isatty() else _SECONDS_BETWEEN_LOG_LINES
        self._bar = tqdm(unit="lead", disable=quiet, mininterval=seconds, file=sys.stderr)
        self._reasons: Counter[str] = Counter()

    def __enter__(self) -> CrawlProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()

    def ended(self, ended: Ended, hosts: int) -> None:
        """A lead came to its end, and so many hosts wait for their turn."""
        self._reasons[ended.reason] += 1
        self._bar.set_postfix({"hosts": hosts, **dict(self._reasons.most_common())}, refresh=False)
        self._bar.update()
