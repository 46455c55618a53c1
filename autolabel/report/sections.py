"""What the report's page shows, as its template takes it: plain text and numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from autolabel.report.gallery import Thumbnails, choose_galleries
from autolabel.report.histogram import Histogram, histogram
from autolabel.report.statistics import Distribution, Facts, gather_facts
from surfaces.classes import CLASSES, SurfaceClass
from surfaces.store.label_store import LabelStore

_MOST_LISTED = 100
"""Failures of a kind, and duplicates, that are listed one by one."""

_NEUTRAL_RGB = (138, 138, 138)


def report_values(store: LabelStore, folder: Path, photos: int) -> dict[str, object]:
    """Gathers what the page shows, and draws its pictures.

    Args:
        store: what is shown; one photo at a time is read.
        folder: of the page.
        photos: how many a gallery shows at the most.
    """
    facts, thumbnails = gather_facts(store), Thumbnails(store, folder)
    ignore_mask = facts.quality_scores.get("sure_share")
    return {
        "most_listed": _MOST_LISTED,
        "counts": _counts(store),
        "all_settings": _settings(store),
        "classes": [(surface, _class_cells(facts, surface)) for surface in CLASSES],
        "unsure_share": 1 - ignore_mask.mean if ignore_mask else None,
        "grids": {
            "Scores of segments": _by_class({name: known.scores for name, known in facts.classes.items()}),
            "Share of a photo that a class covers": _by_class({n: c.area_shares for n, c in facts.classes.items()}),
            "Qualities of photos": _by_quality(facts.quality_scores),
            "Qualities of segments": _by_quality(facts.segment_qualities),
        },
        "galleries": [
            (gallery, [thumbnails.figure(photo) for photo in gallery.photos])
            for gallery in choose_galleries(store, photos)
        ],
        "skipped": _skipped(store),
        "duplicates": _duplicates(store),
    }


def _counts(store: LabelStore) -> dict[str, str]:
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
    return {name: f"{count:,}" for name, count in tiles.items()}


def _settings(store: LabelStore) -> list[dict[str, object]]:
    photos, in_use = store.counts().settings, store.settings_in_use()
    return [
        {
            "teacher": settings.teacher,
            "photos": photos.get(settings.fingerprint, 0),
            "fingerprint": settings.fingerprint[:12],
            "superseded": settings != in_use,
            "details": json.dumps(dict(settings.details)),
        }
        for settings in store.settings()
    ]


def _class_cells(facts: Facts, surface: SurfaceClass) -> tuple[str, ...]:
    """How often a class was found, and how much of the photos it covers."""
    known = facts.classes[surface.name]
    return (
        f"{known.photos:,}",
        f"{known.photos / max(1, facts.photos):.1%}",
        f"{known.segments:,}",
        f"{known.area_shares.total / max(1, facts.photos):.1%}",
        f"{known.area_shares.mean:.1%}" if known.photos else "",
    )


def _skipped(store: LabelStore) -> dict[str, dict[str, object]]:
    """What was not labelled, by the kind of reason."""
    counts = store.counts().failures
    lines: dict[str, list[str]] = {kind: [] for kind in sorted(counts)}
    for failure in store.failures():
        if len(lines[failure.kind]) < _MOST_LISTED:
            lines[failure.kind].append(f"{failure.source}: {failure.reason}")
    return {kind: {"count": counts[kind], "lines": lines[kind]} for kind in lines}


def _duplicates(store: LabelStore) -> dict[str, object]:
    """Photos that are at several paths."""
    count = store.counts().duplicates
    several = (paths for photo in store.photos() if len(paths := store.sources(photo.sha256)) > 1) if count else ()
    return {"count": count, "lines": [" = ".join(paths) for paths in islice(several, _MOST_LISTED)]}


def _by_class(values: Mapping[str, Distribution]) -> list[Histogram]:
    return [histogram(c.name, values[c.name], c.colour_rgb) for c in CLASSES]


def _by_quality(values: Mapping[str, Distribution]) -> list[Histogram]:
    return [histogram(name.replace("_", " "), values[name], _NEUTRAL_RGB) for name in sorted(values)]
