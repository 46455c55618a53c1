"""The report of a crawl: photos dropped by reason, examples, and shares by host, licence and source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.filters.image_filter import Reason
from autolabel.crawling.records import Kind, PhotoEntry, State
from surfaces.drawing.web_page import PAGE_NAME, render_page
from surfaces.io.atomic_files import new_folder

UNKNOWN = "unknown"

_STYLES = ("autolabel/report.css", "autolabel/crawl.css")
_IMAGES = "images"
_MOST_LISTED = 30
_BARS_MAX = 120
_LAST_MINUTE = 253_402_300_799 // 60  # of the year 9999
_STEPS = {  # with the reasons for dropping photos there
    "read as a photo": (Reason.DUPLICATE, Reason.UNREADABLE),
    "large enough": (Reason.TOO_SMALL,),
    "one photo, in colour": (Reason.TEXT, Reason.COLLAGE, Reason.GREY),
    "of an interior": (Reason.NOT_INTERIOR,),
    "kept": (Reason.NEAR_DUPLICATE,),
}
_NOTES = {
    Reason.KEPT: "The photos of the corpus.",
    Reason.TOO_SMALL: "The shorter side has too few pixels.",
    Reason.TEXT: "Posters, pages, screenshots, plans and drawings: lines of text, or few grey levels.",
    Reason.COLLAGE: "Several photos in one: straight steps from edge to edge.",
    Reason.GREY: "Black and white, toned or not.",
    Reason.NOT_INTERIOR: "The network found too little wall and floor, or floor where no floor can be.",
    Reason.NEAR_DUPLICATE: "Each beside the photo that was kept.",
}


@dataclass(frozen=True)
class Step:
    """A step of the funnel: photos left after it, and those lost in it by reason, most first."""

    name: str
    left: int
    lost: Mapping[str, int]


@dataclass
class Share:
    """Counts of some of the fetched photos, before and after filtering."""

    came: int = 0
    kept: int = 0
    kept_bytes: int = 0


@dataclass
class CrawlSummary:
    """Counts and examples of a crawl."""

    requests: Counter[tuple[Kind, State, str]]
    total: Share = field(default_factory=Share)
    shares: dict[str, defaultdict[str, Share]] = field(  # by `host`, `licence` or `source`, and then by its name
        default_factory=lambda: {name: defaultdict(Share) for name in ("host", "licence", "source")}
    )
    minutes: defaultdict[int, Share] = field(default_factory=lambda: defaultdict(Share))  # since 1970
    shown: dict[Reason, list[PhotoEntry]] = field(default_factory=dict)  # those with the lowest sha256
    originals: dict[str, bytes] = field(default_factory=dict)  # thumbnails of the photos they duplicate, by sha256

    def steps(self) -> list[Step]:
        """The funnel, from all requests for photos to the photos that are kept."""
        ends: defaultdict[State, Counter[str]] = defaultdict(Counter)
        for (kind, state, reason), count in self.requests.items():
            if kind in (Kind.PHOTO, Kind.FILE):
                ends[state][reason] += count
        losses = {
            "asked for": ends[State.REFUSED] + Counter(waiting=ends[State.TODO].total()),
            "came": ends[State.FAILED],
        }
        for name, reasons in _STEPS.items():
            losses[name] = +Counter({str(reason): ends[State.DONE][reason] for reason in reasons})
        left = sum(reasons.total() for reasons in ends.values())
        steps = [Step("found", left, {})]
        for name, lost in losses.items():
            left -= lost.total()
            steps.append(Step(name, left, dict(lost.most_common())))
        return steps


def summarize_crawl(database: CrawlDatabase, photos: int) -> CrawlSummary:
    """Summarizes a crawl database, with at most `photos` examples per reason in memory."""
    summary = CrawlSummary(database.counts())
    shown: defaultdict[str, dict[str, PhotoEntry]] = defaultdict(dict)
    for entry in database.photos():
        counted = [summary.total, summary.minutes[int(entry.photo.time // 60)]]
        request = entry.request
        names = {"host": _host(entry), "licence": request.licence or UNKNOWN, "source": request.source}
        for share in (*counted, *(summary.shares[kind][name] for kind, name in names.items())):
            is_kept = entry.reason == Reason.KEPT
            share.came += 1
            share.kept += is_kept
            share.kept_bytes += is_kept * entry.photo.stats.size
        examples = shown[entry.reason]
        examples[f"{entry.photo.stats.sha256} {entry.number}"] = entry
        if len(examples) > photos:
            del examples[max(examples)]
    summary.shown = {reason: [entry for _, entry in sorted(shown[reason].items())] for reason in Reason}
    if wanted := {entry.photo.duplicate_of for entry in summary.shown[Reason.NEAR_DUPLICATE]}:
        fetched = (entry.photo.stats for entry in database.photos())  # some are no longer kept
        summary.originals = {s.sha256: s.thumbnail for s in fetched if s.thumbnail and s.sha256 in wanted}
    return summary


def write_crawl_report(database: CrawlDatabase, folder: Path, title: str, photos: int = 48) -> Path:
    """Writes a self-contained page, with at most `photos` examples per reason, atomically to a new folder.

    Returns:
        The path of the page.

    Raises:
        OutputError: it can't be written.
    """
    summary = summarize_crawl(database, photos)
    done, waiting = Counter[str](), 0
    for (_, state, reason), count in summary.requests.items():
        done[reason] += count * (state is State.DONE)
        waiting += count * (state is State.TODO)
    with new_folder(folder) as partial:
        page = render_page(
            "autolabel/crawl.html",
            title,
            _STYLES,
            summary=summary,
            pictures=_write_thumbnails(summary, partial),
            steps=summary.steps(),
            waiting=waiting,
            galleries=[(reason, note, summary.shown[reason], done[reason]) for reason, note in _NOTES.items()],
            shares={
                name: sorted(shares.items(), key=lambda item: (-item[1].came, item[0]))
                for name, shares in summary.shares.items()
            },
            most_listed=_MOST_LISTED,
            chart=_chart(summary.minutes) if summary.minutes else None,
            ends=sorted(((*key, n) for key, n in summary.requests.items()), key=lambda row: (*row[:2], -row[3])),
        )
        (partial / PAGE_NAME).write_text(page, encoding="utf-8")
    return folder / PAGE_NAME


def _host(entry: PhotoEntry) -> str:
    try:
        return (entry.request.kind is Kind.PHOTO and urlsplit(entry.final_url).hostname) or "files"
    except ValueError:  # a foreign database may hold anything
        return UNKNOWN


def _write_thumbnails(summary: CrawlSummary, folder: Path) -> dict[str, str]:
    """Returns the paths of the thumbnails by the sha256 of the photos."""
    (folder / _IMAGES).mkdir()
    shown = {e.photo.stats.sha256: e.photo.stats.thumbnail for entries in summary.shown.values() for e in entries}
    paths: dict[str, str] = {}
    for sha256, thumbnail in (shown | summary.originals).items():
        if thumbnail:
            paths[sha256] = f"{_IMAGES}/{len(paths) + 1:04d}.jpg"
            (folder / paths[sha256]).write_bytes(thumbnail)
    return paths


def _chart(minutes: Mapping[int, Share]) -> dict[str, object]:
    """Photos over time, in at most `_BARS_MAX` equal intervals."""
    first, last = min(minutes), max(minutes)
    step = -(-(last - first + 1) // _BARS_MAX)
    bars = [(_format_minute(minute), Share()) for minute in range(first, last + 1, step)]
    for minute, share in minutes.items():
        bar = bars[(minute - first) // step][1]
        bar.came += share.came
        bar.kept += share.kept
    return {
        "bars": bars,
        "highest": max(share.came for _, share in bars),
        "minutes_per_bar": step,
        "rate": sum(share.came for share in minutes.values()) / len(minutes),
        "start": _format_minute(first),
        "end": _format_minute(last + 1),
    }


def _format_minute(minute: int) -> str:
    return f"{datetime.fromtimestamp(min(minute, _LAST_MINUTE) * 60, UTC):%Y-%m-%d %H:%M}"
