"""Checks datasets: photos, labels, image-level labels, and copies in several of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distill.curation.splitting import NEAR_DISTANCE
from surfaces.classes import BY_ID, DINING_TABLE, FLOOR, IGNORE, OTHER
from surfaces.cli.progress import track
from surfaces.datasets import Labels, Sample
from surfaces.datasets.coco import CocoSample
from surfaces.datasets.foreign import ForeignSample
from surfaces.datasets.sample import read_sample, unwrapped
from surfaces.errors import SurfacesError
from surfaces.images.near_duplicates import NearDuplicateIndex, near_hash

_TABLE_SHARES = (0.0005, 0.7)  # of the photo
_FLOOR_SHARE_MAX = 0.85
_FLOOR_TOP = 1 / 3  # a floor that has its middle in the photo's upper third is a ceiling
_OVERLAP_MAX = 0.5  # of the smaller of two tables


@dataclass(frozen=True)
class Finding:
    """What is wrong, or may be, with a photo.

    Attributes:
        is_error: whether training and evaluation would refuse it.
        dataset, photo: the names.
        text: one line.
    """

    is_error: bool
    dataset: str
    photo: str
    text: str


def check_datasets(datasets: Mapping[str, Sequence[Sample]]) -> Iterator[Finding]:
    """Reads every photo and label map once, and says what it finds.

    Args:
        datasets: samples by the dataset's name; near-duplicates in two of them are found, so parts of a split are
            datasets of their own.
    """
    index = NearDuplicateIndex(NEAR_DISTANCE)
    for dataset, samples in datasets.items():
        hashes = []
        for sample in track(samples):
            try:
                image, labels = read_sample(sample)
            except SurfacesError as error:
                yield Finding(True, dataset, sample.name, str(error))
                continue
            for text in (*_doubtful(labels), *_overlaps(sample)):
                yield Finding(False, dataset, sample.name, text)
            hashed = near_hash(image)
            for name, distance in index.find_all(hashed)[:1]:
                yield Finding(False, dataset, sample.name, f"looks like {name} ({distance} of 256 bits differ)")
            hashes.append((f"{dataset}/{sample.name}", hashed))
        for name, hashed in hashes:  # after the dataset: copies within it are no leak
            index.add(name, hashed)


def _doubtful(labels: Labels) -> Iterator[str]:
    """What is unusual about a photo's labels."""
    semantic, scope = labels.semantic, labels.scope
    values = set(np.unique(semantic).tolist())
    nothing_drawn = not values & BY_ID.keys() and (IGNORE in values or scope.unlabelled == BY_ID.keys())
    if nothing_drawn and not scope.absent and not scope.present and labels.soft_labels is None:
        yield "no pixel is labelled as one of the classes"
    for class_id in sorted(scope.present - values):
        yield f"{BY_ID[class_id].name} is said to be there, and none is labelled"
    for number, mask in enumerate(labels.table_masks(), 1):
        share = mask.mean()
        if not _TABLE_SHARES[0] <= share <= _TABLE_SHARES[1]:
            yield f"dining table {number} covers {share:.2%} of the photo"
    floor = semantic == FLOOR.coco_id
    if floor.mean() > _FLOOR_SHARE_MAX:
        yield f"floor covers {floor.mean():.0%} of the photo"
    if floor.any() and np.median(np.nonzero(floor)[0]) < _FLOOR_TOP * len(floor):
        yield "the floor is in the upper third of the photo"
    if values == {OTHER} and not scope.unlabelled:
        yield "all pixels are other"


def _overlaps(sample: Sample) -> Iterator[str]:
    """Pairs of tables of a dataset of regions that cover each other."""
    inner = unwrapped(sample)
    masks = inner.table_masks() if isinstance(inner, (CocoSample, ForeignSample)) else []
    for second in range(len(masks)):
        for first in range(second):
            smaller = min(masks[first].sum(), masks[second].sum())
            both = (masks[first] & masks[second]).sum()
            if smaller and both > _OVERLAP_MAX * smaller:
                share = both / smaller
                yield f"{DINING_TABLE.name} {first + 1} and {second + 1} overlap ({share:.0%} of the smaller one)"
