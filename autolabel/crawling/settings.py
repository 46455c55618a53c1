"""How a crawl is run, and what it counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from autolabel.crawling.found_leads import FoundLimits


@dataclass(frozen=True)
class CrawlSettings:
    """How politely and how long hosts are asked.

    Attributes:
        rate: most requests a second for one host; a pause of 1 / rate seconds follows each answer.
        workers: most requests at once.
        limit: how many photos a run keeps at most; None: as many as there are.
        tries_max: how often a lead is tried that fails in a way which may pass.
        pause_s: how long a host is left alone after a failure, seconds; doubled after each further one in a row.
        failures_max: after how many failures in a row a host is put aside until the next run.
        patience_s: a host that asks to be left alone for longer is put aside until a later run, seconds.
        robots_age_s: how long a robots.txt holds, seconds.
        found: how many of the addresses are kept that answers lead to.
    """

    rate: float = 1.0
    workers: int = 16
    limit: int | None = None
    tries_max: int = 3
    pause_s: float = 2.0
    failures_max: int = 5
    patience_s: float = 600.0
    robots_age_s: float = 86_400.0
    found: FoundLimits = field(default_factory=FoundLimits)


@dataclass
class CrawlCounts:
    """What became of the leads of one run.

    Attributes:
        asked: requests that were made, for robots.txt too; files that were read.
        kept: how many photos the corpus has more than before.
        superseded: photos that the corpus keeps no longer, since a better copy came.
        ended: how many leads ended with each reason.
        aside: why hosts were put aside, by their names.
        cut: answers that lead to more addresses than are taken from one.
        left_out: how many addresses were not kept, since their number is limited, by the hosts that named them.
    """

    asked: int = 0
    kept: int = 0
    superseded: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    aside: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
