"""The report's page: its content, as the template needs it, and its file."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

from autolabel.report.gallery import Thumbnails, choose_galleries
from autolabel.report.statistics import describe_settings, gather_statistics
from surfaces.classes import CLASSES
from surfaces.drawing.web_page import PAGE_NAME, render_page
from surfaces.io.atomic_files import new_folder
from surfaces.store.label_store import LabelStore, StoreCounts

_MOST_LISTED = 100
"""Failures of a kind, and duplicates, that are listed one by one."""


def write_report(store: LabelStore, folder: Path, title: str, photos: int = 24) -> Path:
    """Writes a page that needs nothing outside its folder, which appears whole or not at all; returns its path.

    Args:
        store: one photo at a time is read.
        folder: must not exist yet.
        title: of the page.
        photos: the most photos in a gallery.

    Raises:
        OutputError: the folder exists or cannot be written.
    """
    with new_folder(folder) as partial:
        values = _page_values(store, partial, photos)
        page = render_page("autolabel/report.html", title, ["autolabel/report.css"], **values)
        (partial / PAGE_NAME).write_text(page, encoding="utf-8")
    return folder / PAGE_NAME


def _page_values(store: LabelStore, folder: Path, photos: int) -> dict[str, object]:
    """Gathers the page's content, and draws its pictures."""
    counts, statistics, thumbnails = store.counts(), gather_statistics(store), Thumbnails(store, folder)
    labelled_share = statistics.quality_scores.get("sure_share")
    return {
        "most_listed": _MOST_LISTED,
        "counts": _tiles(counts),
        "all_settings": [one | {"details": json.dumps(one["details"])} for one in describe_settings(store, counts)],
        "classes": CLASSES,
        "statistics": statistics,
        "ignored_share": 1 - labelled_share.mean if labelled_share else None,
        "histograms": {
            "Scores of segments": statistics.scores,
            "Share of a photo that a class covers": statistics.area_shares,
            "Quality scores of photos": dict(sorted(statistics.quality_scores.items())),
            "Quality scores of segments": dict(sorted(statistics.segment_scores.items())),
        },
        "colours": {surface.name: surface.colour_rgb for surface in CLASSES},
        "galleries": [
            (gallery, [thumbnails.figure(photo) for photo in gallery.photos])
            for gallery in choose_galleries(store, photos)
        ],
        "skipped": _skipped(store),
        "duplicates": _duplicates(store, counts),
    }


def _tiles(counts: StoreCounts) -> dict[str, str]:
    tiles = {
        "photos labelled": counts.photos,
        "of them reviewed": counts.reviewed,
        "segments": sum(counts.segments.values()),
        "skipped": sum(counts.failures.values()),
        "duplicates": counts.duplicates,
    }
    if counts.gone:
        tiles["no longer in the corpus"] = counts.gone
    return {name: f"{count:,}" for name, count in tiles.items()}


def _skipped(store: LabelStore) -> dict[str, dict[str, object]]:
    """The skipped photos by kind."""
    counts = store.counts().failures
    lines: dict[str, list[str]] = {kind: [] for kind in sorted(counts)}
    for failure in store.failures():
        if len(lines[failure.kind]) < _MOST_LISTED:
            lines[failure.kind].append(f"{failure.source}: {failure.reason}")
    return {kind: {"count": counts[kind], "lines": lines[kind]} for kind in lines}


def _duplicates(store: LabelStore, counts: StoreCounts) -> dict[str, object]:
    """The photos with several paths."""
    several = (paths for photo in store.photos() if len(paths := store.sources(photo.sha256)) > 1)
    listed = islice(several, _MOST_LISTED if counts.duplicates else 0)
    return {"count": counts.duplicates, "lines": [" = ".join(paths) for paths in listed]}
