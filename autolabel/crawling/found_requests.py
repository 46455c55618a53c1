"""Limits of the URLs found in responses, since hostile sitemaps and pages could fill the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.records import CrawlRequest, Kind

_TABLE = """
CREATE TABLE IF NOT EXISTS found (
    host  TEXT PRIMARY KEY,             -- of the responses
    count INTEGER NOT NULL              -- of the new URLs that were added
) WITHOUT ROWID
"""
_CHARACTERS_OF_ONE, _COST_OF_SITEMAP = 250, 100


@dataclass(frozen=True)
class FoundLimits:
    """The numbers of URLs found in responses that are added, in all runs.

    A URL with its provenance counts once for each 250 characters begun, a sitemap of an index 100 times.
    """

    host: int = 200_000  # in the responses of one host
    crawl: int = 2_000_000  # of all hosts


class FoundRequests:
    """Counts the URLs found in responses, by the hosts of the responses; older databases get the table."""

    def __init__(self, database: CrawlDatabase, limits: FoundLimits) -> None:
        self._database, self._limits = database, limits
        database.run(_TABLE)
        self._counts: Counter[str] = Counter(dict(database.rows("SELECT host, count FROM found")))
        self._total = self._counts.total()

    def room(self, host: str) -> int:
        """How many more URLs of a host's responses may be added; none if 0 or less."""
        return min(self._limits.host - self._counts[host], self._limits.crawl - self._total)

    def take(self, host: str, requests: Iterable[CrawlRequest]) -> tuple[list[CrawlRequest], int]:
        """Counts requests in a host's response; returns the new ones to add, and the number beyond the limits."""
        taken, left_out, spent, room = [], 0, 0, self.room(host)
        for request in requests:
            if self._database.rows("SELECT 1 FROM leads WHERE url = ?", request.url):
                continue
            if spent + _cost(request) <= room:
                spent += _cost(request)
                taken.append(request)
            else:
                left_out += 1
        if taken:
            self._counts[host] += spent
            self._total += spent
            self._database.run("INSERT OR REPLACE INTO found VALUES (?, ?)", host, self._counts[host])
        return taken, left_out


def _cost(request: CrawlRequest) -> int:
    if request.kind is Kind.SITEMAP:
        return _COST_OF_SITEMAP
    return 1 + sum(map(len, astuple(request))) // _CHARACTERS_OF_ONE
