"""Limits of what answers lead to: whoever writes sitemaps and pages would else decide how large a ledger becomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.requests import CrawlRequest, Kind

_TABLE = """
CREATE TABLE IF NOT EXISTS found (
    host  TEXT PRIMARY KEY,             -- that named addresses
    count INTEGER NOT NULL              -- how many of them were new and kept
) WITHOUT ROWID
"""
_CHARACTERS_OF_ONE, _COST_OF_SITEMAP = 250, 100


@dataclass(frozen=True)
class FoundLimits:
    """How many addresses are kept that answers name.

    An address with its provenance counts once for each 250 characters begun, a sitemap that an index names 100 times.

    Attributes:
        host: of those that one host names, in all runs together.
        crawl: of those that all hosts name.
    """

    host: int = 200_000
    crawl: int = 2_000_000


class FoundRequests:
    """Counts the leads of a ledger that answers named, by the hosts of the answers.

    Args:
        file: the ledger's; older ones get the table.
        limits: of their numbers.
    """

    def __init__(self, file: CrawlDatabase, limits: FoundLimits) -> None:
        self._file, self._limits = file, limits
        file.run(_TABLE)
        self._counts: Counter[str] = Counter(dict(file.rows("SELECT host, count FROM found")))
        self._total = self._counts.total()

    def room(self, host: str) -> int:
        """How many more of those that a host names may be kept; 0 and less: none."""
        return min(self._limits.host - self._counts[host], self._limits.crawl - self._total)

    def take(self, host: str, leads: Iterable[CrawlRequest]) -> tuple[list[CrawlRequest], int]:
        """Counts leads that a host names.

        Returns:
            Those that are new and may be kept, and how many new ones may not.
        """
        taken, left_out, room = [], 0, self.room(host)
        before = room
        for request in leads:
            if self._file.rows("SELECT 1 FROM leads WHERE url = ?", request.url):
                continue
            cost = _cost(request)
            if cost <= room:
                room -= cost
                taken.append(request)
            else:
                left_out += 1
        if taken:
            self._counts[host] += before - room
            self._total += before - room
            self._file.run("INSERT OR REPLACE INTO found VALUES (?, ?)", host, self._counts[host])
        return taken, left_out


def _cost(request: CrawlRequest) -> int:
    if request.kind is Kind.SITEMAP:
        return _COST_OF_SITEMAP
    return 1 + sum(map(len, astuple(request))) // _CHARACTERS_OF_ONE
