"""Searches exported datasets for photos: by the sha256 in their files, by their bytes, by their looks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from autolabel.crawling.filters.image_filter import FilterSettings
from autolabel.crawling.records import ForgottenPhoto
from autolabel.export.formats import INDEX_NAME
from surfaces.datasets import Sample, open_dataset
from surfaces.datasets.coco_writer import COCO_NAME
from surfaces.errors import DatasetError
from surfaces.images.near_duplicates import NearDuplicateIndex, near_hash


def holds_photo(folder: Path, photos: Sequence[ForgottenPhoto]) -> bool:
    """Whether a dataset holds one of some photos.

    Exports of this project name the sha256 of each photo. In other datasets (`distill pack`, Parquet, COCO of other
    tools) the files are compared, and because they may have been encoded again, the perceptual hashes too.

    Raises:
        DatasetError: it is no dataset, or cannot be read.
    """
    candidates = [path for name in (COCO_NAME, INDEX_NAME) for path in (folder / name, *folder.glob(f"*/{name}"))]
    names_photos = False
    for line in (line for path in candidates if path.is_file() for line in _lines(path)):
        if any(photo.sha256 in line for photo in photos):
            return True
        names_photos = names_photos or '"sha256": ' in line
    return not names_photos and _has_similar(open_dataset(folder), photos)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise DatasetError(f"expected a readable dataset at {path}, got: {error.strerror}") from error


def _has_similar(samples: Sequence[Sample], photos: Sequence[ForgottenPhoto]) -> bool:
    index = NearDuplicateIndex(FilterSettings.near_max)
    for photo in photos:
        if photo.near_hash:
            index.add(photo.sha256, photo.near_hash)
    known = {photo.sha256 for photo in photos}
    return any(
        hashlib.sha256(sample.encoded_image()).hexdigest() in known or index.find_all(near_hash(sample.image()))
        for sample in samples
    )
