"""Crawls within the test's process, quick about what may pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from autolabel.crawling.arrivals import Arrivals
from autolabel.crawling.asking import Asker, AskSettings
from autolabel.crawling.crawl_progress import CrawlProgress
from autolabel.crawling.crawl_settings import CrawlSettings, Tally
from autolabel.crawling.engine import Crawl
from autolabel.crawling.judging import Judge, JudgeSettings
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.ledger import Ledger, PhotoEntry
from autolabel.crawling.records import State
from autolabel.crawling.vault import open_vault
from surfaces.io.http import FetchLimits

QUICK = CrawlSettings(rate=50.0, workers=8, pause_s=0.05)
LOOPBACK = AskSettings(limits=FetchLimits(connect_s=2.0, read_s=5.0, total_s=10.0, allow_private=True))
ANY_PICTURE = JudgeSettings(side_min=16, any_picture=True)


def crawl(
    corpus: Path,
    leads: Iterable[Lead | str],
    settings: CrawlSettings = QUICK,
    asking: AskSettings = LOOPBACK,
    interrupted: Callable[[], bool] = lambda: False,
    resumed: bool = False,
    asker_type: type[Asker] = Asker,
) -> Tally:
    """Crawls what leads (or the addresses of photos) name, into a corpus."""
    corpus.mkdir(exist_ok=True)
    with Ledger.open(corpus, create=True) as ledger, CrawlProgress(quiet=True) as progress:
        judge, arrivals = Judge(ANY_PICTURE, ledger.kept_facts()), Arrivals(corpus, ledger.is_waiting)
        asker = asker_type(asking, judge, open_vault(corpus, None), arrivals)
        ledger.add(lead if isinstance(lead, Lead) else Lead(lead, Kind.PHOTO, "urls") for lead in leads)
        return Crawl(ledger, asker, settings, progress, interrupted, resumed).run()


def photos(corpus: Path) -> list[PhotoEntry]:
    """The photos that came."""
    with Ledger.open(corpus) as ledger:
        return list(ledger.photos())


def ends(corpus: Path) -> dict[str, int]:
    """How many leads there are by reason; those that wait under `todo`."""
    found: dict[str, int] = {}
    with Ledger.open(corpus) as ledger:
        for (_, state, reason), count in ledger.counts().items():
            name = str(state) if state is State.TODO else reason
            found[name] = found.get(name, 0) + count
    return found


def not_private() -> AskSettings:
    """As the command is by default: loopback is not asked."""
    return replace(LOOPBACK, limits=replace(LOOPBACK.limits, allow_private=False))
