"""What a crawl's ledger says of the way from leads to kept photos; one pass over it, whatever its size."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from autolabel.crawling.database import CrawlDatabase, PhotoEntry
from autolabel.crawling.judging import Reason
from autolabel.crawling.lead import Kind
from autolabel.crawling.records import State
from surfaces.dataset.writing import new_folder
from surfaces.web_page import PAGE_NAME, is_web_url, render_page

UNKNOWN = "unknown"
IMAGES = "images"

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


def gather_funnel(ledger: CrawlDatabase, photos: int) -> Funnel:
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


def _originals(ledger: CrawlDatabase, copies: Iterable[PhotoEntry]) -> dict[str, bytes]:
    wanted = {copy.photo.duplicate_of for copy in copies}
    came = (entry.photo.facts for entry in (ledger.photos() if wanted else ()))  # some are kept no longer
    return {facts.sha256: facts.thumbnail for facts in came if facts.thumbnail and facts.sha256 in wanted}


_MOST_LISTED = 30
_BARS = 120  # of the chart over time, at the most
_WIDTH, _HEIGHT = 960, 120  # of the chart, in SVG's units
_LEAST_BAR = 0.3  # of a stage, percent of the longest: what is not none can be seen
_WITHOUT_PICTURES = (Reason.DUPLICATE, Reason.UNREADABLE)

_NOTES = {
    Reason.KEPT: "What the corpus consists of.",
    Reason.TOO_SMALL: "The shorter side has too few pixels.",
    Reason.TEXT: "Posters, pages, screenshots, plans and drawings: lines of text, or few grey levels.",
    Reason.COLLAGE: "Several photos in one: straight steps from edge to edge.",
    Reason.GREY: "Black and white, also where it is toned.",
    Reason.NOT_INTERIOR: "The network believes in too little wall and floor, or sees floor where no floor can be.",
    Reason.NEAR_DUPLICATE: "Beside each the photo that was kept before.",
}

_STYLES = ("autolabel/report.css", "autolabel/crawl.css")
_LAST_MINUTE = 253_402_300_799 // 60  # of the year 9999
_JPEG = b"\xff\xd8"


@dataclass(frozen=True)
class Figure:
    """A photo as the page shows it; all is plain text, URLs are a stranger's.

    Attributes:
        pictures: path beside the page and description of the photo, and of the kept one that it resembles.
        is_pair: whether it resembles one.
        url: of the photo.
        page: URL of the page that shows it.
        name: of the page, and its URL where that cannot be a link.
        detail: why it was dropped; may be empty.
        size: in pixels.
        credit: author and licence; may be empty.
    """

    pictures: Sequence[tuple[str, str]]
    is_pair: bool
    url: str
    page: str
    name: str
    detail: str
    size: str
    credit: str


@dataclass(frozen=True)
class Bar:
    """A part of the chart over time, in SVG's units; what it counts, and the text that pointing at it shows."""

    kind: str
    x: str
    y: str
    width: str
    height: str
    label: str


def write_crawl_report(ledger: CrawlDatabase, folder: Path, title: str, photos: int = 48) -> Path:
    """Writes a page that needs nothing but its folder, which appears whole or not at all.

    Args:
        ledger: of the crawl; none of its photos is opened, their thumbnails stand in it.
        folder: where to; it must not exist yet.
        title: of the page.
        photos: how many a gallery shows at the most.

    Returns:
        The page's path.

    Raises:
        OutputError: it cannot be written.
    """
    funnel = gather_funnel(ledger, photos)
    with new_folder(folder) as partial:
        pictures = _write_thumbnails(funnel, partial)
        values = {
            "counts": _counts(funnel),
            "stages": _stages(funnel.stages()),
            "galleries": [_gallery(reason, funnel, pictures) for reason in Reason if reason not in _WITHOUT_PICTURES],
            "shares": [
                _shares("Hosts", "host", funnel.hosts),
                _shares("Licences", "licence", funnel.licences),
                _shares("Sources", "source", funnel.sources),
            ],
            "chart": _chart(funnel.minutes) if funnel.minutes else None,
            "ends": _ends(funnel),
        }
        page = render_page("autolabel/crawl.html", title, _STYLES, **values)
        (partial / PAGE_NAME).write_text(page, encoding="utf-8")
    return folder / PAGE_NAME


def _write_thumbnails(funnel: Funnel, folder: Path) -> dict[str, str]:
    """Writes the photos' pictures; their paths beside the page, by the photo's sha256.

    Their names are counted: what a database calls a sha256 may be anything.
    """
    (folder / IMAGES).mkdir()
    shown = {entry.photo.facts.sha256: entry.photo.facts.thumbnail for row in funnel.shown.values() for entry in row}
    pictures: dict[str, str] = {}
    for sha256, thumbnail in (shown | funnel.originals).items():
        if thumbnail[:2] == _JPEG:
            pictures[sha256] = f"{IMAGES}/{len(pictures) + 1:04d}.jpg"
            (folder / pictures[sha256]).write_bytes(thumbnail)
    return pictures


def _counts(funnel: Funnel) -> dict[str, str]:
    waiting = sum(count for (_, state, _), count in funnel.leads.items() if state is State.TODO)
    return {
        "photos found": f"{funnel.stages()[0].left:,}",
        "came": f"{funnel.whole.came:,}",
        "kept": f"{funnel.whole.kept:,}",
        "kept of what came": f"{funnel.whole.kept / max(1, funnel.whole.came):.0%}",
        "kept, GB": f"{funnel.whole.kept_bytes / 1e9:,.2f}",
        "hosts": f"{len(funnel.hosts):,}",
        "leads wait": f"{waiting:,}",
    }


def _stages(stages: Sequence[Stage]) -> list[dict[str, str]]:
    whole = max(1, stages[0].left)
    return [
        {
            "name": stage.name,
            "left": f"{stage.left:,}",
            "share": f"{stage.left / whole:.1%}",
            "bar": f"{max(_LEAST_BAR, 100 * stage.left / whole):.2f}%",
            "lost": " · ".join(f"{count:,} {reason}" for reason, count in stage.lost.items()),
        }
        for stage in stages
    ]


def _gallery(reason: Reason, funnel: Funnel, pictures: Mapping[str, str]) -> dict[str, object]:
    entries = funnel.shown[reason]
    count = sum(count for (_, state, why), count in funnel.leads.items() if why == reason and state is State.DONE)
    selected = f" {len(entries)} of them, chosen blindly." if len(entries) < count else ""
    return {
        "reason": reason,
        "count": f"{count:,}" if entries else "none",
        "note": f"{_NOTES[reason]}{selected}",
        "pairs": reason is Reason.NEAR_DUPLICATE,
        "figures": [_figure(entry, funnel, pictures) for entry in entries],
    }


def _figure(entry: PhotoEntry, funnel: Funnel, pictures: Mapping[str, str]) -> Figure:
    facts, lead, original = entry.photo.facts, entry.lead, entry.photo.duplicate_of
    name = lead.title or "page"
    described = [(facts.sha256, lead.title or "photo"), (original, "what was kept before")]
    return Figure(
        pictures=[(pictures[sha256], description) for sha256, description in described if sha256 in pictures],
        is_pair=original in funnel.originals,
        url=entry.final_url,
        page=lead.page or entry.final_url,
        name=f"{name}, {lead.page}" if lead.page and not is_web_url(lead.page) else name,
        detail=entry.detail,
        size=f"{facts.width}x{facts.height}",
        credit=" · ".join(filter(None, (lead.author, lead.licence))),
    )


def _shares(title: str, name: str, shares: Mapping[str, Share]) -> dict[str, object]:
    ordered = sorted(shares.items(), key=lambda item: (-item[1].came, item[0]))
    return {
        "title": title,
        "head": (name, "came", "kept", "share", "kept, MB"),
        "rows": [
            (
                key,
                f"{share.came:,}",
                f"{share.kept:,}",
                f"{share.kept / share.came:.0%}",
                f"{share.kept_bytes / 1e6:,.1f}",
            )
            for key, share in ordered[:_MOST_LISTED]
        ],
        "more": max(0, len(ordered) - _MOST_LISTED),
    }


def _chart(minutes: Mapping[int, Share]) -> dict[str, object]:
    """Photos over time, in at most `_BARS` equal parts of it."""
    first, last = min(minutes), max(minutes)
    step = -(-(last - first + 1) // _BARS)
    came, kept = [0] * ((last - first) // step + 1), [0] * ((last - first) // step + 1)
    for minute, share in minutes.items():
        came[(minute - first) // step] += share.came
        kept[(minute - first) // step] += share.kept
    scale, width = _HEIGHT / max(came), _WIDTH / len(came)
    return {
        "size_wh": (_WIDTH, _HEIGHT + 20),
        "labels_y": _HEIGHT + 15,
        "start": _clock(first),
        "end": _clock(last + 1),
        "minutes_per_bar": step,
        "rate": f"{sum(share.came for share in minutes.values()) / len(minutes):,.0f}",
        "bars": [
            Bar(
                kind,
                x=f"{at * width:.1f}",
                y=f"{_HEIGHT - count * scale:.1f}",
                width=f"{width - 1:.1f}",
                height=f"{count * scale:.1f}",
                label=f"{_clock(first + at * step)}: {came[at]:,} came, {kept[at]:,} kept",
            )
            for kind, counts in (("came", came), ("kept", kept))
            for at, count in enumerate(counts)
        ],
    }


def _clock(minute: int) -> str:
    return f"{datetime.fromtimestamp(min(minute, _LAST_MINUTE) * 60, UTC):%Y-%m-%d %H:%M}"


def _ends(funnel: Funnel) -> list[tuple[str, ...]]:
    """What became of all leads, pages and searches among them."""
    ordered = sorted(funnel.leads.items(), key=lambda item: (item[0][0], item[0][1], -item[1]))
    return [(kind, state, reason, f"{count:,}") for (kind, state, reason), count in ordered]
