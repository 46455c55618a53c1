"""The parts of the report's page, each as HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from autolabel.gallery import Gallery, Thumbnails
from autolabel.histogram import histogram_svg
from autolabel.report_facts import Distribution, Facts
from surfaces.classes import CLASSES, SurfaceClass
from surfaces.dataset.store import LabelStore

_MOST_LISTED = 100
"""Failures of a kind, and duplicates, that are listed one by one."""

_NEUTRAL = "#8a8a8a"
_HOW_TO_LOOK = "Point at a picture to see the photo alone."

STYLE = """
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; padding: 0; list-style: none; }
.tiles li { background: var(--card); border-radius: 6px; padding: .6rem 1rem; min-width: 6.5rem; }
.tiles b { display: block; font-size: 1.6rem; line-height: 1.2; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .text th, .text td { text-align: left; vertical-align: top; }
.numbers td { white-space: nowrap; }
.text td { overflow-wrap: anywhere; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .5em; }
.unsure { background: repeating-linear-gradient(135deg, #808080 0 2px, #c8c8c8 2px 4px); }
.legend > span + span { margin-left: 1.2em; }
.histograms, .photos { display: grid; gap: 1rem; }
.histograms { grid-template-columns: repeat(auto-fill, minmax(min(100%, 190px), 1fr)); }
.photos { grid-template-columns: repeat(auto-fill, minmax(min(100%, 270px), 1fr)); }
.histograms figure, .photos figure { margin: 0; }
.histogram svg { width: 100%; }
.histogram text { font-size: 12px; fill: var(--faint); }
.histogram .axis { stroke: var(--faint); }
.histogram .mean { stroke: var(--ink); stroke-dasharray: 3 3; }
.histogram b, .photo b { color: var(--ink); }
.photo { background: var(--card); border-radius: 6px; overflow: hidden; }
.photo a, .photo > p { display: block; position: relative; aspect-ratio: 4 / 3; margin: 0;
  background: light-dark(#c4c4c4, #111); }
.photo > p { padding: 1rem; overflow-wrap: anywhere; }
.photo img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.photo a:hover img + img, .photo a:focus img + img { opacity: 0; }
.photo figcaption { font-size: 13px; padding: .5rem .7rem .7rem; overflow-wrap: anywhere; }
details { margin: .5rem 0; }
li { overflow-wrap: anywhere; }
"""


def summary_section(store: LabelStore) -> str:
    """The numbers that say most."""
    counts = store.counts()
    tiles = {
        "photos labelled": counts.photos,
        "of them reviewed": counts.reviewed,
        "segments": sum(counts.segments.values()),
        "skipped": sum(counts.failures.values()),
        "duplicates": counts.duplicates,
    }
    if counts.gone:
        tiles["no longer in the corpus"] = counts.gone
    return f'<ul class="tiles">{"".join(f"<li><b>{count:,}</b>{name}</li>" for name, count in tiles.items())}</ul>'


def settings_section(store: LabelStore) -> str:
    """Which teachers and settings the labels were made with."""
    photos, in_use = store.counts().settings, store.settings_in_use()
    rows = [
        (
            html.escape(settings.teacher),
            f"{photos.get(settings.fingerprint, 0):,}",
            f"<code>{settings.fingerprint[:12]}</code>{'' if settings == in_use else ', superseded'}",
            f"<code>{html.escape(json.dumps(dict(settings.details)))}</code>",
        )
        for settings in store.settings()
    ]
    return f"<h2>Labelled with</h2>{table(('teacher', 'photos', 'settings', 'details'), rows, 'text')}"


def classes_section(facts: Facts) -> str:
    """How often each class was found, and how much of the photos it covers."""
    rows = [
        (
            _named(surface),
            f"{known.photos:,}",
            f"{known.photos / max(1, facts.photos):.1%}",
            f"{known.segments:,}",
            f"{known.area_shares.total / max(1, facts.photos):.1%}",
            f"{known.area_shares.mean:.1%}" if known.photos else "",
        )
        for surface in CLASSES
        for known in [facts.classes[surface.name]]
    ]
    head = ("class", "photos", "share", "segments", "mean area", "mean area where it is")
    sure = facts.qualities.get("sure_share")
    unsure = f"<p>Unsure, and left out of training: {1 - sure.mean:.1%} of a photo on average.</p>" if sure else ""
    return f"<h2>Classes</h2>{table(head, rows)}{unsure}"


def scores_section(facts: Facts) -> str:
    """Histograms of scores, areas and qualities."""
    grids = [
        _grid("Scores of segments", _by_class({name: known.scores for name, known in facts.classes.items()})),
        _grid("Share of a photo that a class covers", _by_class({n: c.area_shares for n, c in facts.classes.items()})),
        _grid("Qualities of photos", _by_quality(facts.qualities)),
        _grid("Qualities of segments", _by_quality(facts.segment_qualities)),
    ]
    note = "Scores and qualities reach from 0 to 1, 1 is best. The dashed line is the mean."
    return f"<h2>How sure</h2><p>{note}</p>{''.join(grids)}"


def gallery_section(gallery: Gallery, thumbnails: Thumbnails) -> str:
    """Photos with their labels."""
    figures = "\n".join(thumbnails.figure(photo) for photo in gallery.photos)
    body = f'<div class="photos">{figures}</div>' if figures else "<p>There are none.</p>"
    return f"<h2>{html.escape(gallery.title)}</h2><p>{html.escape(gallery.note)} {_HOW_TO_LOOK}</p>{_legend()}{body}"


def failures_section(store: LabelStore) -> str:
    """What was not labelled, by the kind of reason."""
    counts = store.counts().failures
    told: dict[str, list[str]] = {kind: [] for kind in sorted(counts)}
    for failure in store.failures():
        if len(told[failure.kind]) < _MOST_LISTED:
            told[failure.kind].append(f"{html.escape(failure.source)}: {html.escape(failure.reason)}")
    parts = [
        f"<details open><summary>{html.escape(kind)}: {_counted(counts[kind])}</summary>{_list(lines)}</details>"
        for kind, lines in told.items()
    ]
    return f"<h2>Skipped</h2>{''.join(parts) or '<p>Nothing was.</p>'}"


def duplicates_section(store: LabelStore) -> str:
    """Photos that lie at several paths."""
    if not store.counts().duplicates:
        return ""
    several = (paths for photo in store.photos() if len(paths := store.sources(photo.sha256)) > 1)
    told = [" = ".join(map(html.escape, paths)) for paths in islice(several, _MOST_LISTED)]
    count = _counted(store.counts().duplicates)
    return f"<h2>Duplicates</h2><p>Files of the same bytes are labelled once: {count}.</p>{_list(told)}"


def _by_class(values: Mapping[str, Distribution]) -> list[str]:
    return [histogram_svg(c.name, values[c.name], _css(c.colour_rgb)) for c in CLASSES]


def _by_quality(values: Mapping[str, Distribution]) -> list[str]:
    return [histogram_svg(name.replace("_", " "), values[name], _NEUTRAL) for name in sorted(values)]


def _grid(title: str, histograms: Sequence[str]) -> str:
    return f'<h3>{title}</h3><div class="histograms">{"".join(histograms)}</div>' if histograms else ""


def _named(surface: SurfaceClass) -> str:
    return f'<span class="swatch" style="background: {_css(surface.colour_rgb)}"></span>{surface.name}'


def _legend() -> str:
    names = [*map(_named, CLASSES), '<span class="swatch unsure"></span>unsure']
    return f'<p class="legend">{" ".join(f"<span>{name}</span>" for name in names)}</p>'


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "numbers") -> str:
    """A table.

    Args:
        head: what stands above the columns, as HTML.
        rows: their cells, as HTML.
        kind: its classes in `STYLE`: `numbers` for columns of numbers, `text` for columns of words.
    """
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="{kind}"><tr>{titles}</tr>{lines}</table>'


def _counted(count: int) -> str:
    """A count, and how much of it is listed."""
    return f"{count:,}" if count <= _MOST_LISTED else f"{count:,}, of which {_MOST_LISTED} are listed"


def _css(colour_rgb: tuple[int, int, int]) -> str:
    return f"rgb({', '.join(map(str, colour_rgb))})"
