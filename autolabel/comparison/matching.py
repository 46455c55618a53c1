"""Pairs the labels of photos that a label store shares with another dataset, which may hold copies."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from autolabel.export.selection import hash_stem, safe_stem
from surfaces.cli.progress import track
from surfaces.datasets import Labels, ReadOptions, Sample, open_dataset
from surfaces.datasets.reading import DEFAULT_OPTIONS
from surfaces.detections import Image
from surfaces.errors import DatasetError, DecodeError
from surfaces.images.load import decode_image
from surfaces.store.label_store import LabelStore, StoredPhoto
from surfaces.store.records import ScoredLabels
from surfaces.store.samples import StoredSample

_SIDE = 32  # pixels of the compared thumbnails
_DIFFERENCE_MAX = 12.0  # grey levels of 255, on average


@dataclass
class Coverage:
    """Counts of matched photos.

    Attributes:
        same_file: both datasets have the same file.
        by_name: they have copies of the same name, size and look.
        reviewed: left out, since a person reviewed the labels of the store.
        missing: not labelled.
        auto_truth: a teacher made the labels of the truth.
    """

    same_file: int = 0
    by_name: int = 0
    reviewed: int = 0
    missing: int = 0
    auto_truth: int = 0

    def summary(self) -> str:
        """One line; counts of 0 are left out."""
        others = {
            "are not labelled": self.missing,
            "are left out since their labels are reviewed": self.reviewed,
            "have a truth that no person reviewed": self.auto_truth,
        }
        found = f"{self.same_file} photos matched by their files, {self.by_name} by name and look"
        return "; ".join([found, *(f"{count} {what}" for what, count in others.items() if count)])


def pair_labels(
    dataset: Path, truth: Path, coverage: Coverage, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[tuple[ScoredLabels, Labels]]:
    """A teacher's labels (of a label store) and people's of the photos that both datasets have.

    Raises:
        DatasetError: one of the two cannot be read, they share no photo, or labels of a photo are of different sizes.
    """
    samples = open_dataset(truth, options)
    with LabelStore.open(dataset) as store:
        matcher = _Matcher(store)
        for sample in track(samples):
            match = matcher.find(sample)
            if match is None or match[0].origin != "auto":
                coverage.missing += match is None
                coverage.reviewed += match is not None
                continue
            photo, is_same_file = match
            coverage.same_file += is_same_file
            coverage.by_name += not is_same_file
            coverage.auto_truth += isinstance(sample, StoredSample) and sample.photo.origin == "auto"
            labels, known = store.labels(photo.sha256), sample.labels()
            expected, got = known.semantic.shape, labels.ignore_mask.shape
            if got != expected:
                raise DatasetError(f"expected labels of {expected} rows, columns for {sample.name}, got {got}")
            yield labels, known
    if not coverage.same_file + coverage.by_name:
        found = f"got none ({coverage.summary()})"
        raise DatasetError(f"expected photos of {truth} among those labelled in {dataset}, {found}")


class _Matcher:
    """Finds photos of a label store.

    Photos match by the sha256 of the original file. Copies in other formats match by name (the digits of the original's
    sha256, as `export` names them, or the photo's own name) if they are as large and look alike.
    """

    def __init__(self, store: LabelStore) -> None:
        self._store = store
        self._by_sha256: dict[str, StoredPhoto] = {}
        self._by_name: defaultdict[str, list[StoredPhoto]] = defaultdict(list)
        for photo in store.photos():
            self._by_sha256[photo.sha256] = photo
            for name in {photo.name, PurePosixPath(photo.name).name, safe_stem(photo), hash_stem(photo)}:
                self._by_name[name].append(photo)

    def find(self, sample: Sample) -> tuple[StoredPhoto, bool] | None:
        """The store's photo of a sample, and whether both have the same file."""
        if isinstance(sample, StoredSample):
            sha256 = sample.photo.sha256
        else:
            sha256 = hashlib.sha256(sample.encoded_image()).hexdigest()
        if sha256 in self._by_sha256:
            return self._by_sha256[sha256], True
        return next(((photo, False) for photo in self._copies(sample)), None)

    def _copies(self, sample: Sample) -> Iterator[StoredPhoto]:
        own, size = sample.name.rpartition("/")[2], None
        for name in dict.fromkeys((sample.name, own)):
            for photo in self._by_name.get(name, ()):
                size = size or sample.labels().semantic.shape
                if size == (photo.height, photo.width) and (own == hash_stem(photo) or self._look_alike(photo, sample)):
                    yield photo

    def _look_alike(self, photo: StoredPhoto, sample: Sample) -> bool:
        try:
            image = decode_image(io.BytesIO(self._store.read_photo(photo)))
        except (DatasetError, DecodeError):
            return False
        difference = np.abs(_thumbnail(image) - _thumbnail(sample.image()))
        return float(difference.mean()) <= _DIFFERENCE_MAX


def _thumbnail(image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32)
