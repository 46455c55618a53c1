"""What there is to count in a label store; one pass over it, whatever its size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from surfaces.classes import CLASSES
from surfaces.store.label_store import LabelStore, StoredPhoto, StoredSegment

BINS = 20


@dataclass
class Distribution:
    """Numbers from 0 to 1.

    Attributes:
        counts: how many fall into each of `BINS` equal parts; 1 falls into the last.
        count: how many there are.
        total: their sum.
    """

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
        """NaN where there are none."""
        return self.total / self.count if self.count else float("nan")


@dataclass
class ClassFacts:
    """One class in all photos.

    Attributes:
        photos: those that have it.
        segments: how many there are.
        area_shares: of the photos that have it, the share that it covers.
        scores: of the segments.
    """

    photos: int = 0
    segments: int = 0
    area_shares: Distribution = field(default_factory=Distribution)
    scores: Distribution = field(default_factory=Distribution)

    def add(self, segments: Sequence[StoredSegment], pixels: int) -> None:
        """Counts the segments of one photo that are of this class, one or more."""
        self.photos += 1
        self.segments += len(segments)
        self.area_shares.add(sum(segment.area for segment in segments) / pixels)
        for segment in segments:
            self.scores.add(segment.score)


@dataclass
class Facts:
    """All of it.

    Attributes:
        photos: labelled photos.
        classes: by the class's name, all of them.
        qualities: of whole photos, by name; how many photos have each is its count.
        segment_qualities: of segments, by name.
    """

    photos: int = 0
    classes: dict[str, ClassFacts] = field(default_factory=lambda: {c.name: ClassFacts() for c in CLASSES})
    quality_scores: defaultdict[str, Distribution] = field(default_factory=lambda: defaultdict(Distribution))
    segment_qualities: defaultdict[str, Distribution] = field(default_factory=lambda: defaultdict(Distribution))

    def add(self, photo: StoredPhoto, segments: Sequence[StoredSegment]) -> None:
        """Counts a photo."""
        self.photos += 1
        for name, value in photo.quality_scores.items():
            self.quality_scores[name].add(value)
        for name, facts in self.classes.items():
            of_class = [segment for segment in segments if segment.surface.name == name]
            if of_class:
                facts.add(of_class, photo.width * photo.height)
        for segment in segments:
            for name, value in segment.quality_scores.items():
                self.segment_qualities[name].add(value)


def gather_facts(store: LabelStore) -> Facts:
    """Counts a whole store, one photo at a time."""
    facts = Facts()
    for photo in store.photos():
        facts.add(photo, store.segments(photo.sha256))
    return facts
