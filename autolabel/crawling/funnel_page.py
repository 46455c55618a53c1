"""The page of a crawl's report: how many photos were found and kept, why others were not, and what both look like."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from autolabel.crawling.funnel import Funnel, Share, Stage, gather_funnel
from autolabel.crawling.judging import Reason
from autolabel.crawling.ledger import Ledger, PhotoEntry
from autolabel.crawling.records import State
from autolabel.gallery import IMAGES
from autolabel.report_sections import STYLE, table
from surfaces.dataset.writing import new_folder
from surfaces.web_page import PAGE_NAME, html_document

_MOST_LISTED = 30
_BARS = 120  # of the chart over time, at the most
_WIDTH, _HEIGHT = 960, 120  # of the chart, in SVG's units
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

_OWN_STYLE = """
.funnel td { text-align: left; vertical-align: middle; }
.funnel td:nth-child(2), .funnel td:nth-child(3) { text-align: right; white-space: nowrap; }
.funnel td:nth-child(4) { width: 24rem; max-width: 30vw; }
.funnel td div { height: 1.4em; min-width: 1px; background: #2a78c2; border-radius: 3px; }
.funnel td:nth-child(5) { color: var(--faint); }
.rate { max-width: 62rem; }
.rate svg { width: 100%; }
.rate .came { fill: #9a9a9a; }
.rate .kept { fill: #2a78c2; }
.rate text { font-size: 12px; fill: var(--faint); }
.photos { grid-template-columns: repeat(auto-fill, minmax(min(100%, 170px), 1fr)); }
.photo figcaption a { display: inline; aspect-ratio: auto; background: none; }
.pair > a { aspect-ratio: 8 / 3; }
.pair img { width: 50%; }
.pair img + img { left: 50%; }
.photo.pair a:hover img + img, .photo.pair a:focus img + img { opacity: 1; }
.photos.pairs { grid-template-columns: repeat(auto-fill, minmax(min(100%, 350px), 1fr)); }
"""


def write_funnel_page(ledger: Ledger, folder: Path, title: str, photos: int = 48) -> Path:
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
        _write_thumbnails(funnel, partial / IMAGES)
        sections = [
            _summary(funnel),
            _stages(funnel.stages()),
            *(_gallery(reason, funnel) for reason in Reason if reason not in _WITHOUT_PICTURES),
            _shares("Hosts", "host", funnel.hosts),
            _shares("Licences", "licence", funnel.licences),
            _shares("Sources", "source", funnel.sources),
            _rate(funnel.minutes),
            _ends(funnel),
        ]
        page = html_document(title, "\n".join(sections), STYLE + _OWN_STYLE)
        (partial / PAGE_NAME).write_text(page, encoding="utf-8")
    return folder / PAGE_NAME


def _write_thumbnails(funnel: Funnel, folder: Path) -> None:
    folder.mkdir()
    shown = {entry.photo.facts.sha256: entry.photo.facts.thumbnail for row in funnel.shown.values() for entry in row}
    for sha256, thumbnail in (shown | funnel.originals).items():
        if thumbnail:
            (folder / _file_name(sha256)).write_bytes(thumbnail)


def _file_name(sha256: str) -> str:
    return f"{sha256[:16]}.jpg"


def _summary(funnel: Funnel) -> str:
    stages = funnel.stages()
    waiting = sum(count for (_, state, _), count in funnel.leads.items() if state is State.TODO)
    tiles = {
        "photos found": f"{stages[0].left:,}",
        "came": f"{funnel.whole.came:,}",
        "kept": f"{funnel.whole.kept:,}",
        "kept of what came": f"{funnel.whole.kept / max(1, funnel.whole.came):.0%}",
        "kept, GB": f"{funnel.whole.kept_bytes / 1e9:,.2f}",
        "hosts": f"{len(funnel.hosts):,}",
        "leads wait": f"{waiting:,}",
    }
    return f'<ul class="tiles">{"".join(f"<li><b>{number}</b>{name}</li>" for name, number in tiles.items())}</ul>'


def _stages(stages: Sequence[Stage]) -> str:
    whole = max(1, stages[0].left)
    rows = [
        (
            stage.name,
            f"{stage.left:,}",
            f"{stage.left / whole:.1%}",
            f'<div style="width: {100 * stage.left / whole:.2f}%"></div>',
            _lost(stage.lost),
        )
        for stage in stages
    ]
    return f"<h2>From found to kept</h2>{table(('photos', '', 'of all', '', 'lost here'), rows, 'funnel text')}"


def _lost(lost: Mapping[str, int]) -> str:
    return " · ".join(f"{count:,} {html.escape(reason)}" for reason, count in lost.items())


def _gallery(reason: Reason, funnel: Funnel) -> str:
    entries = funnel.shown[reason]
    count = sum(count for (_, state, why), count in funnel.leads.items() if why == reason and state is State.DONE)
    if not entries:
        return f"<h2>{reason}: none</h2>"
    pairs = " pairs" if reason is Reason.NEAR_DUPLICATE else ""
    figures = "\n".join(_figure(entry, funnel) for entry in entries)
    selected = f" {len(entries)} of them, chosen blindly." if len(entries) < count else ""
    note = f"{_NOTES[reason]}{selected}"
    return f'<h2>{reason}: {count:,}</h2><p>{note}</p><div class="photos{pairs}">{figures}</div>'


def _figure(entry: PhotoEntry, funnel: Funnel) -> str:
    facts, lead = entry.photo.facts, entry.lead
    pictures = _image(facts.sha256, lead.title or "photo")
    is_pair = entry.photo.duplicate_of in funnel.originals
    if is_pair:
        pictures += _image(entry.photo.duplicate_of, "what was kept before")
    lines = [
        f"<b>{html.escape(entry.detail)}</b>",
        f"{facts.width}x{facts.height}",
        _link(lead.page or entry.final_url, lead.title or "page"),
        html.escape(" · ".join(filter(None, (lead.author, lead.licence)))),
    ]
    caption = "<br>".join(line for line in lines if line and line != "<b></b>")
    kind = "photo pair" if is_pair else "photo"
    return f'<figure class="{kind}">{_link(entry.final_url, pictures, True)}<figcaption>{caption}</figcaption></figure>'


def _image(sha256: str, description: str) -> str:
    return f'<img src="{IMAGES}/{_file_name(sha256)}" alt="{html.escape(description)}" loading="lazy">'


def _link(address: str, content: str, is_html: bool = False) -> str:
    """A link where the address is of the web: what stands in pages may be of any scheme."""
    content = content if is_html else html.escape(content)
    is_web = address.startswith(("http://", "https://"))
    target = f' href="{html.escape(address)}" rel="noopener noreferrer"' if is_web else ""
    return f"<a{target}>{content}</a>"


def _shares(title: str, name: str, shares: Mapping[str, Share]) -> str:
    ordered = sorted(shares.items(), key=lambda item: (-item[1].came, item[0]))
    rows = [
        (
            html.escape(key),
            f"{share.came:,}",
            f"{share.kept:,}",
            f"{share.kept / share.came:.0%}",
            f"{share.kept_bytes / 1e6:,.1f}",
        )
        for key, share in ordered[:_MOST_LISTED]
    ]
    more = f"<p>{len(ordered) - _MOST_LISTED:,} more.</p>" if len(ordered) > _MOST_LISTED else ""
    return f"<h2>{title}</h2>{table((name, 'came', 'kept', 'share', 'kept, MB'), rows)}{more}"


def _rate(minutes: Mapping[int, Share]) -> str:
    """Photos over time, in at most `_BARS` equal parts of it."""
    if not minutes:
        return ""
    first, last = min(minutes), max(minutes)
    step = -(-(last - first + 1) // _BARS)
    came, kept = [0] * ((last - first) // step + 1), [0] * ((last - first) // step + 1)
    for minute, share in minutes.items():
        came[(minute - first) // step] += share.came
        kept[(minute - first) // step] += share.kept
    scale, width = _HEIGHT / max(came), _WIDTH / len(came)
    bars = "".join(
        f'<rect class="{kind}" x="{at * width:.1f}" width="{width - 1:.1f}"'
        f' y="{_HEIGHT - count * scale:.1f}" height="{count * scale:.1f}">'
        f"<title>{_clock(first + at * step)}: {came[at]:,} came, {kept[at]:,} kept</title></rect>"
        for kind, counts in (("came", came), ("kept", kept))
        for at, count in enumerate(counts)
    )
    labels = (
        f'<text x="0" y="{_HEIGHT + 15}">{_clock(first)}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 15}" text-anchor="end">{_clock(last + 1)} UTC</text>'
    )
    busy = sum(share.came for share in minutes.values()) / len(minutes)
    note = f"A bar is {step} min; grey came, blue was kept. {busy:,.0f} photos a minute in minutes in which any came."
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 20}" role="img" aria-label="photos over time">{bars}{labels}</svg>'
    return f'<h2>Over time</h2><p>{note}</p><div class="rate">{svg}</div>'


def _clock(minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%d %H:%M}"


def _ends(funnel: Funnel) -> str:
    """What became of all leads, pages and searches among them."""
    ordered = sorted(funnel.leads.items(), key=lambda item: (item[0][0], item[0][1], -item[1]))
    rows = [(str(kind), str(state), html.escape(reason), f"{count:,}") for (kind, state, reason), count in ordered]
    return f"<h2>All leads</h2>{table(('lead', 'state', 'reason', 'count'), rows, 'text')}"
