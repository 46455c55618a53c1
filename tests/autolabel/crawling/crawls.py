"""Crawls within the test's process, quick about what may pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from autolabel.crawling.blob_store import open_blob_store
from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.fetching.engine import Crawl
from autolabel.crawling.fetching.fetcher import Fetcher, FetchSettings
from autolabel.crawling.judging import Judge, JudgeSettings
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.records import PhotoEntry, State
from autolabel.crawling.settings import CrawlCounts, CrawlSettings
from surfaces.fetch import FetchLimits

QUICK = CrawlSettings(rate=50.0, workers=8, pause_s=0.05)
LOOPBACK = FetchSettings(limits=FetchLimits(connect_s=2.0, read_s=5.0, total_s=10.0, allow_private=True))
ANY_PICTURE = JudgeSettings(side_min=16, any_picture=True)


def crawl(
    corpus: Path,
    leads: Iterable[Lead | str],
    settings: CrawlSettings = QUICK,
    fetching: FetchSettings = LOOPBACK,
    interrupted: Callable[[], bool] = lambda: False,
    resumed: bool = False,
    fetcher_type: type[Fetcher] = Fetcher,
) -> CrawlCounts:
    """Crawls what leads (or the addresses of photos) name, into a corpus."""
    corpus.mkdir(exist_ok=True)
    with CrawlDatabase.open(corpus, create=True) as database:
        judge = Judge(ANY_PICTURE, database.kept_stats())
        fetcher = fetcher_type(fetching, judge, open_blob_store(corpus, None))
        database.add(lead if isinstance(lead, Lead) else Lead(lead, Kind.PHOTO, "urls") for lead in leads)
        return Crawl(database, fetcher, settings, interrupted=interrupted, resumed=resumed).run()


def photos(corpus: Path) -> list[PhotoEntry]:
    """The photos that came."""
    with CrawlDatabase.open(corpus) as ledger:
        return list(ledger.photos())


def ends(corpus: Path) -> dict[str, int]:
    """How many leads there are by reason; those that wait under `todo`."""
    found: dict[str, int] = {}
    with CrawlDatabase.open(corpus) as ledger:
        for (_, state, reason), count in ledger.counts().items():
            name = str(state) if state is State.TODO else reason
            found[name] = found.get(name, 0) + count
    return found


def not_private() -> FetchSettings:
    """As the command is by default: loopback is not asked."""
    return replace(LOOPBACK, limits=replace(LOOPBACK.limits, allow_private=False))
