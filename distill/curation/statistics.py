"""Counts what is in a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distill.sources.opened import provenance_of
from surfaces.classes import BY_ID, CLASSES, IGNORE, OTHER, OTHER_TABLE
from surfaces.cli.progress import track
from surfaces.datasets import Sample

VALUES = {**{c.name: c.coco_id for c in CLASSES}, "other table": OTHER_TABLE, "other": OTHER, "unlabelled": IGNORE}
"""What is counted by name, as values of `Labels.semantic`."""


@dataclass(frozen=True)
class DatasetStatistics:
    """Counts of the labels of a dataset.

    Attributes:
        photos: in the dataset.
        tables: dining tables in all of them.
        photos_with: photos with a label, by its name (`VALUES`).
        pixel_shares: mean share of a photo that a label covers, 0 to 1, over all photos, by its name.
        unlabelled: photos in which a class is not labelled, by its name; those where it is none are left out.
        absent, present: photos that are known to have none, or one, of a class, by its name.
        splits, rooms, sources: photos by where they come from; an empty text where that is not known.
    """

    photos: int
    tables: int
    photos_with: dict[str, int]
    pixel_shares: dict[str, float]
    unlabelled: dict[str, int]
    absent: dict[str, int]
    present: dict[str, int]
    splits: dict[str, int]
    rooms: dict[str, int]
    sources: dict[str, int]

    def table(self) -> str:
        """The statistics as lines for a terminal."""
        lines = [f"{'label':<14}{'photos':>8}{'of all':>9}{'pixels':>9}{'regions':>9}"]
        for name, photos in self.photos_with.items():
            regions = str(self.tables) if name == "dining table" else ""
            share = photos / self.photos
            lines.append(f"{name:<14}{photos:>8}{share:>9.1%}{self.pixel_shares[name]:>9.1%}{regions:>9}")
        lines.append(f"{'all':<14}{self.photos:>8}")
        for heading, counts in (
            ("not labelled", self.unlabelled),
            ("known absent", self.absent),
            ("known present", self.present),
            ("split", self.splits),
            ("room", self.rooms),
            ("source", self.sources),
        ):
            named = [f"{name} {count}" for name, count in sorted(counts.items()) if name]
            if named:
                lines.append(f"{heading}: {', '.join(named)}")
        return "\n".join(lines)


def count_samples(samples: Sequence[Sample]) -> DatasetStatistics:
    """Reads all labels, one photo at a time, and counts them."""
    shares = np.zeros(len(VALUES))
    with_label = np.zeros(len(VALUES), np.int64)
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("unlabelled", "absent", "present", "split", "room", "source")
    }
    tables = 0
    for sample in track(samples):
        labels = sample.labels()
        pixels = np.bincount(labels.semantic.ravel(), minlength=256)[list(VALUES.values())]
        shares += pixels / labels.semantic.size
        with_label += pixels > 0
        tables += int(labels.tables.max(initial=0))
        for key in ("unlabelled", "absent", "present"):
            counts[key].update(BY_ID[class_id].name for class_id in sorted(getattr(labels.scope, key)))
        provenance = provenance_of(sample)
        for key in ("split", "room", "source"):
            counts[key][getattr(provenance, key)] += 1
    number = max(len(samples), 1)
    return DatasetStatistics(
        photos=len(samples),
        tables=tables,
        photos_with=dict(zip(VALUES, with_label.tolist(), strict=True)),
        pixel_shares=dict(zip(VALUES, (shares / number).tolist(), strict=True)),
        unlabelled=dict(counts["unlabelled"]),
        absent=dict(counts["absent"]),
        present=dict(counts["present"]),
        splits=dict(counts["split"]),
        rooms=dict(counts["room"]),
        sources=dict(counts["source"]),
    )
