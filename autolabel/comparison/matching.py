"""Finds the photos that two datasets share, although one of them may hold copies in another format."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import cv2
import numpy as np

from autolabel.export.selection import file_stem, safe_stem
from surfaces.datasets import Sample
from surfaces.detections import Image
from surfaces.errors import DatasetError, DecodeError
from surfaces.images.load import decode_image
from surfaces.store.label_store import LabelStore, StoredPhoto
from surfaces.store.samples import StoredSample

_SIDE = 32  # pixels of the thumbnails that are compared
_DIFFERENCE_MAX = 12.0  # grey levels of 255, on average


@dataclass(frozen=True)
class Match:
    """A photo of a store that another dataset has too.

    Attributes:
        photo: the photo in the store.
        same_file: whether both datasets have the same file; else name, size and look are the same.
    """

    photo: StoredPhoto
    same_file: bool


class Matcher:
    """Finds photos of a label store.

    Args:
        store: the store, open as long as this is used.
    """

    def __init__(self, store: LabelStore) -> None:
        self._store = store
        self._by_sha256: dict[str, StoredPhoto] = {}
        self._by_name: defaultdict[str, list[StoredPhoto]] = defaultdict(list)
        for photo in store.photos():
            self._by_sha256[photo.sha256] = photo
            for name in {photo.name, PurePosixPath(photo.name).name, safe_stem(photo), file_stem(photo)}:
                self._by_name[name].append(photo)

    def find(self, sample: Sample) -> Match | None:
        """The store's photo that a sample shows.

        The file's sha256 decides: a label store records that of the original, whatever it hands on. Copies in other
        formats are found by name: by the digits of the original's sha256, as `export` calls them, or by the photo's own
        name, if they are as large and look alike.

        Args:
            sample: of another dataset.
        """
        sha256 = sample.photo.sha256 if isinstance(sample, StoredSample) else _sha256(sample.encoded_image())
        if sha256 in self._by_sha256:
            return Match(self._by_sha256[sha256], same_file=True)
        return next((Match(photo, same_file=False) for photo in self._candidates(sample)), None)

    def _candidates(self, sample: Sample) -> Iterator[StoredPhoto]:
        own, size = sample.name.rpartition("/")[2], None
        for name in dict.fromkeys((sample.name, own)):
            for photo in self._by_name.get(name, ()):
                size = size or sample.labels().semantic.shape
                if size == (photo.height, photo.width) and (own == file_stem(photo) or self._look_alike(photo, sample)):
                    yield photo

    def _look_alike(self, photo: StoredPhoto, sample: Sample) -> bool:
        try:
            image = decode_image(io.BytesIO(self._store.read_photo(photo)))
        except (DatasetError, DecodeError):  # gone: nobody can tell
            return False
        difference = np.abs(_thumbnail(image) - _thumbnail(sample.image()))
        return float(difference.mean()) <= _DIFFERENCE_MAX


def _thumbnail(image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
