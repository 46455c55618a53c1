"""Reads a label store as a dataset."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from surfaces.datasets.sample import Labels, Sample
from surfaces.detections import Image
from surfaces.errors import DatasetError, DecodeError
from surfaces.images.encode import normalize_photo
from surfaces.images.load import decode_image
from surfaces.store.label_store import LabelStore
from surfaces.store.records import StoredPhoto


@dataclass(frozen=True)
class StoredSample:
    """A photo of a store. The store is opened for each access, so that threads and processes may share the sample."""

    folder: Path
    photo: StoredPhoto

    @property
    def name(self) -> str:
        """Unique in the store."""
        return self.photo.name

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        try:
            return decode_image(io.BytesIO(self._read()))
        except DecodeError as error:
            raise DatasetError(f"{self.photo.source}: {error}") from error

    def encoded_image(self) -> bytes:
        """The photo's file where it is an upright JPEG or PNG file, else the photo as a JPEG file."""
        return normalize_photo(self._read())

    def labels(self) -> Labels:
        """Its labels, of the photo's size."""
        with LabelStore.open(self.folder) as store:
            return store.labels(self.photo.sha256).labels()

    def _read(self) -> bytes:
        with LabelStore.open(self.folder) as store:
            return store.read_photo(self.photo)


def open_store(folder: Path) -> list[Sample]:
    """The labelled photos of a store, sorted by name; raises DatasetError where it is absent or damaged."""
    with LabelStore.open(folder) as store:
        return sorted((StoredSample(folder, photo) for photo in store.photos()), key=lambda sample: sample.name)
