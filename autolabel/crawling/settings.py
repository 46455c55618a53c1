"""Settings and counts of a crawl."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from autolabel.crawling.found_leads import FoundLimits


@dataclass(frozen=True)
class CrawlSettings:
    """Politeness and limits of a crawl.

    Attributes:
        rate: requests per second and host; a pause of 1 / rate seconds follows each response.
        workers: requests in flight.
        limit: photos to keep in this run; None for all.
        tries_max: attempts at a request that fails transiently.
        pause_s: pause after a transient failure; doubled after each further consecutive one.
        failures_max: consecutive failures after which a host is suspended until the next run.
        wait_max_s: a host that asks for a longer pause is suspended.
        robots_age_s: how long a robots.txt is valid.
        found: limits on the URLs that responses name.
    """

    rate: float = 1.0
    workers: int = 16
    limit: int | None = None
    tries_max: int = 3
    pause_s: float = 2.0
    failures_max: int = 5
    wait_max_s: float = 600.0
    robots_age_s: float = 86_400.0
    found: FoundLimits = field(default_factory=FoundLimits)


@dataclass
class CrawlCounts:
    """Counts of one run.

    Attributes:
        requests: including robots.txt and files.
        kept: increase in the number of photos of the corpus.
        superseded: photos that are no longer kept because a better copy came.
        ended: numbers of crawl requests by the reason of their end.
        suspended: why hosts were suspended.
        cut: responses that name more URLs than are taken from one.
        left_out: URLs beyond the limits, by the host that named them.
    """

    requests: int = 0
    kept: int = 0
    superseded: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    suspended: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
