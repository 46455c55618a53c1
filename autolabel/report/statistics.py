"""Statistics of a label store, counted in one pass."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from surfaces.classes import CLASSES
from surfaces.store.label_store import LabelStore, StoreCounts

BINS = 20


@dataclass
class Distribution:
    """Numbers from 0 to 1, counted in `BINS` equal parts; 1 is in the last."""

    counts: list[int] = field(default_factory=lambda: [0] * BINS)
    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Counts a number."""
        self.counts[min(BINS - 1, max(0, int(value * BINS)))] += 1
        self.count += 1
        self.total += value

    @property
    def mean(self) -> float:
        """NaN without numbers."""
        return self.total / self.count if self.count else float("nan")


def _by_class() -> dict[str, Distribution]:
    return {surface.name: Distribution() for surface in CLASSES}


def _by_name() -> defaultdict[str, Distribution]:
    return defaultdict(Distribution)


@dataclass
class Statistics:
    """A whole label store.

    Attributes:
        photos: number of labelled photos.
        area_shares: by class, the share that it covers of each photo that has it.
        scores: of segments, by class.
        quality_scores: of photos, by name.
        segment_scores: quality scores of segments, by name.
    """

    photos: int = 0
    area_shares: dict[str, Distribution] = field(default_factory=_by_class)
    scores: dict[str, Distribution] = field(default_factory=_by_class)
    quality_scores: defaultdict[str, Distribution] = field(default_factory=_by_name)
    segment_scores: defaultdict[str, Distribution] = field(default_factory=_by_name)


def describe_settings(store: LabelStore, counts: StoreCounts) -> list[dict[str, Any]]:
    """All settings of a store's labels with their number of photos, for JSON."""
    in_use = store.settings_in_use()
    return [
        {
            "teacher": settings.teacher,
            "fingerprint": settings.fingerprint,
            "in_use": settings == in_use,
            "photos": counts.settings.get(settings.fingerprint, 0),
            "details": dict(settings.details),
        }
        for settings in store.settings()
    ]


def gather_statistics(store: LabelStore) -> Statistics:
    """Counts a whole store, one photo at a time."""
    statistics = Statistics()
    for photo in store.photos():
        statistics.photos += 1
        for name, value in photo.quality_scores.items():
            statistics.quality_scores[name].add(value)
        areas: dict[str, int] = defaultdict(int)
        for segment in store.segments(photo.sha256):
            areas[segment.surface.name] += segment.area
            statistics.scores[segment.surface.name].add(segment.score)
            for name, value in segment.quality_scores.items():
                statistics.segment_scores[name].add(value)
        for name, area in areas.items():
            statistics.area_shares[name].add(area / (photo.width * photo.height))
    return statistics
