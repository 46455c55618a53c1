"""What a crawl's ledger says of the way from leads to kept photos; one pass over it, whatever its size."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from autolabel.crawling.judging import Reason
from autolabel.crawling.lead import Kind
from autolabel.crawling.ledger import Ledger, PhotoEntry
from autolabel.crawling.records import State

UNKNOWN = "unknown"

_PHOTOS = (Kind.PHOTO, Kind.FILE)
_STAGES = {
    "read as a photo": (Reason.DUPLICATE, Reason.UNREADABLE),
    "large enough": (Reason.TOO_SMALL,),
    "one photo, in colour": (Reason.TEXT, Reason.COLLAGE, Reason.GREY),
    "of an interior": (Reason.NOT_INTERIOR,),
    "kept": (Reason.NEAR_DUPLICATE,),
}
"""What photos pass after they came, and for which reasons some don't."""


@dataclass(frozen=True)
class Stage:
    """A stage of the funnel.

    Attributes:
        name: what the leads that are left have in common.
        left: how many there are.
        lost: how many the stage before had more, by reason, most first.
    """

    name: str
    left: int
    lost: Mapping[str, int]


@dataclass
class Share:
    """Some of the photos that came.

    Attributes:
        came: how many there are.
        kept: how many of them were kept.
        kept_bytes: of the latter.
    """

    came: int = 0
    kept: int = 0
    kept_bytes: int = 0

    def add(self, entry: PhotoEntry) -> None:
        """Counts a photo."""
        self.came += 1
        if entry.reason == Reason.KEPT:
            self.kept += 1
            self.kept_bytes += entry.photo.facts.size


@dataclass
class Funnel:
    """What is known of a crawl.

    Attributes:
        leads: how many there are of each kind in each state, for each reason.
        whole: all photos that came.
        hosts: the same by the host that gave them.
        licences: the same by the licence that was told.
        sources: the same by what led to them first.
        minutes: the same by the minute in which they came, counted from 1970.
        shown: by reason some photos, those of the lowest sha256, which says nothing of what they show.
        originals: thumbnails, JPEG, of the photos that the shown ones resemble, by sha256.
    """

    leads: Counter[tuple[Kind, State, str]]
    whole: Share = field(default_factory=Share)
    hosts: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    licences: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    sources: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    minutes: defaultdict[int, Share] = field(default_factory=lambda: defaultdict(Share))
    shown: dict[Reason, list[PhotoEntry]] = field(default_factory=dict)
    originals: dict[str, bytes] = field(default_factory=dict)

    def stages(self) -> list[Stage]:
        """The funnel, from all leads to photos to those that are kept."""
        ends: defaultdict[State, Counter[str]] = defaultdict(Counter)
        for (kind, state, reason), count in self.leads.items():
            if kind in _PHOTOS:
                ends[state][reason] += count
        left = sum(reasons.total() for reasons in ends.values())
        stages = [Stage("found", left, {})]

        def lose(name: str, lost: Counter[str]) -> None:
            nonlocal left
            left -= lost.total()
            stages.append(Stage(name, left, dict(lost.most_common())))

        lose("asked for", ends[State.REFUSED] + Counter(waiting=ends[State.TODO].total()))
        lose("came", ends[State.FAILED])
        for name, reasons in _STAGES.items():
            lose(name, +Counter({str(reason): ends[State.DONE][reason] for reason in reasons}))
        return stages


def gather_funnel(ledger: Ledger, photos: int) -> Funnel:
    """Reads a ledger.

    Args:
        ledger: of the crawl; one photo at a time is read.
        photos: how many are shown of each reason at the most.
    """
    funnel = Funnel(ledger.counts())
    shown: defaultdict[str, dict[str, PhotoEntry]] = defaultdict(dict)
    for entry in ledger.photos():
        shares = (
            funnel.whole,
            funnel.hosts[_host(entry)],
            funnel.licences[entry.lead.licence or UNKNOWN],
            funnel.sources[entry.lead.source],
            funnel.minutes[int(entry.photo.time // 60)],
        )
        for share in shares:
            share.add(entry)
        _show(shown[entry.reason], entry, photos)
    funnel.shown = {reason: [entry for _, entry in sorted(shown[reason].items())] for reason in Reason}
    funnel.originals = _originals(ledger, funnel.shown[Reason.NEAR_DUPLICATE])
    return funnel


def _host(entry: PhotoEntry) -> str:
    try:
        host = urlsplit(entry.final_url).hostname if entry.lead.kind is Kind.PHOTO else ""
    except ValueError:  # a database that others made may hold what is no URL
        return UNKNOWN
    return host or "files"


def _show(chosen: dict[str, PhotoEntry], entry: PhotoEntry, photos: int) -> None:
    chosen[f"{entry.photo.facts.sha256} {entry.number}"] = entry
    if len(chosen) > photos:
        del chosen[max(chosen)]


def _originals(ledger: Ledger, copies: Iterable[PhotoEntry]) -> dict[str, bytes]:
    wanted = {copy.photo.duplicate_of for copy in copies}
    came = (entry.photo.facts for entry in (ledger.photos() if wanted else ()))  # some are kept no longer
    return {facts.sha256: facts.thumbnail for facts in came if facts.thumbnail and facts.sha256 in wanted}
