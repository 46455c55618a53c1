"""Settings and counts of a crawl."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from autolabel.crawling.found_requests import FoundLimits


@dataclass(frozen=True)
class CrawlSettings:
    """Politeness and limits of a crawl."""

    rate: float = 1.0  # requests per second and host; a pause of 1 / rate follows each response
    workers: int = 16  # requests in flight
    limit: int | None = None  # photos to keep in this run
    tries_max: int = 3  # attempts at a request that fails transiently
    pause_s: float = 2.0  # after a transient failure; doubled after each further consecutive one
    failures_max: int = 5  # consecutive failures after which a host is suspended until the next run
    wait_max_s: float = 600.0  # a host that asks for a longer pause is suspended
    robots_age_s: float = 86_400.0  # how long a robots.txt is valid
    found: FoundLimits = field(default_factory=FoundLimits)  # on the URLs that responses name


@dataclass
class CrawlCounts:
    """Counts of one run."""

    requests: int = 0  # including robots.txt and files
    kept: int = 0  # increase in the number of photos of the corpus
    superseded: int = 0  # photos that are no longer kept because a better copy came
    ended: Counter[str] = field(default_factory=Counter)  # crawl requests by the reason of their end
    suspended: dict[str, str] = field(default_factory=dict)  # reasons by host
    cut: int = 0  # responses that name more URLs than are taken from one
    left_out: Counter[str] = field(default_factory=Counter)  # URLs beyond the limits, by the host that named them
