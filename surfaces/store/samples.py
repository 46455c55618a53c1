"""A label store read as a dataset: what training and scoring need, without exporting it first."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from surfaces.datasets.normalize import normalize_photo
from surfaces.datasets.sample import Labels, Sample
from surfaces.detections import Image
from surfaces.errors import DatasetError, DecodeError
from surfaces.images.load import decode_image
from surfaces.store.label_store import LabelStore, StoredPhoto


@dataclass(frozen=True)
class StoredSample:
    """A photo and its labels in a store. The store is opened for each access, so threads and processes may share it.

    Attributes:
        folder: the store's.
        photo: which.
    """

    folder: Path
    photo: StoredPhoto

    @property
    def name(self) -> str:
        """Unique in the store."""
        return self.photo.name

    def image(self) -> Image:
        """The photo as it was labelled, uint8 HxWx3 RGB."""
        try:
            return decode_image(io.BytesIO(self._read()))
        except DecodeError as error:
            raise DatasetError(f"{self.photo.source}: {error}") from error

    def encoded_image(self) -> bytes:
        """The photo's file where it is an upright JPEG or PNG, else the photo as a JPEG file."""
        return normalize_photo(self._read())

    def labels(self) -> Labels:
        """Its labels, of the photo's own size."""
        with LabelStore.open(self.folder) as store:
            return store.labels(self.photo.sha256).labels()

    def _read(self) -> bytes:
        with LabelStore.open(self.folder) as store:
            return store.read_photo(self.photo)


def open_store(folder: Path) -> list[Sample]:
    """The labelled photos of a store, sorted by name.

    Raises:
        DatasetError: there is no store, or it is damaged.
    """
    with LabelStore.open(folder) as store:
        return sorted((StoredSample(folder, photo) for photo in store.photos()), key=lambda sample: sample.name)
