"""Crawls within the test's process, with short pauses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from autolabel.crawling.blob_store import open_blob_store
from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.fetching.engine import Crawl, CrawlCounts, CrawlSettings
from autolabel.crawling.fetching.fetcher import Fetcher, FetchSettings
from autolabel.crawling.filters.image_filter import FilterSettings, ImageFilter
from autolabel.crawling.records import CrawlRequest, Kind, PhotoEntry, State
from surfaces.io.http import FetchLimits

QUICK = CrawlSettings(rate=50.0, workers=8, pause_s=0.05)
LOOPBACK = FetchSettings(limits=FetchLimits(connect_s=2.0, read_s=5.0, total_s=10.0, allow_private=True))
ANY_PICTURE = FilterSettings(side_min=16, any_picture=True)


def crawl(
    corpus: Path,
    requests: Iterable[CrawlRequest | str],
    settings: CrawlSettings = QUICK,
    fetching: FetchSettings = LOOPBACK,
    interrupted: Callable[[], bool] = lambda: False,
    resumed: bool = False,
    fetcher_type: type[Fetcher] = Fetcher,
) -> CrawlCounts:
    """Crawls requests (or URLs of photos) into a corpus."""
    corpus.mkdir(exist_ok=True)
    with CrawlDatabase.open(corpus, create=True) as database:
        image_filter = ImageFilter(ANY_PICTURE, database.kept_stats(), forgotten=database.forgotten_photos())
        fetcher = fetcher_type(fetching, image_filter, open_blob_store(corpus, None))
        database.add(
            each if isinstance(each, CrawlRequest) else CrawlRequest(each, Kind.PHOTO, "urls") for each in requests
        )
        return Crawl(database, fetcher, settings, interrupted=interrupted, resumed=resumed).run()


def photos(corpus: Path) -> list[PhotoEntry]:
    """The photos that were fetched."""
    with CrawlDatabase.open(corpus) as database:
        return list(database.photos())


def ends(corpus: Path) -> dict[str, int]:
    """Numbers of requests by reason, pending ones as `todo`."""
    found: Counter[str] = Counter()
    with CrawlDatabase.open(corpus) as database:
        for (_, state, reason), count in database.counts().items():
            found[str(state) if state is State.TODO else reason] += count
    return dict(found)
