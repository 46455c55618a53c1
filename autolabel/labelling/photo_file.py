"""Reads a photo once: what is hashed is what is decoded and labelled."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from autolabel.labelling.corpus import UNREADABLE, Skipped
from surfaces.detections import Image
from surfaces.errors import DecodeError, FetchError
from surfaces.images.load import ImageLimits, decode_image
from surfaces.io.storage import Stamp, read_stamped, stamp_of
from surfaces.store.label_store import Source

NOT_A_PHOTO = "not a usable photo"


@dataclass(frozen=True)
class FoundPhoto:
    """A photo whose bytes were read.

    Attributes:
        source: where.
        sha256: of the bytes, hexadecimal.
        stamp: tells whether the file was written to since; None of an object in storage.
    """

    source: Source
    sha256: str
    stamp: Stamp | None

    def is_unchanged(self) -> bool:
        """Whether the file still is what was read."""
        return self.stamp is None or stamp_of(self.source.path) == self.stamp


@dataclass(frozen=True, eq=False)
class PhotoFile:
    """A photo as it lies on disk or in storage.

    Attributes:
        found: where, and what it is known by.
        data: the whole file.
    """

    found: FoundPhoto
    data: bytes


@dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """A photo ready for a teacher.

    Attributes:
        found: where it comes from.
        image: uint8 HxWx3 RGB, upright.
    """

    found: FoundPhoto
    image: Image


@dataclass(frozen=True)
class FailedPhoto:
    """A photo that was read and cannot be labelled.

    Attributes:
        found: where it comes from.
        kind: a word or two to group by.
        reason: one line.
    """

    found: FoundPhoto
    kind: str
    reason: str


def read_photo_file(source: Source, limits: ImageLimits | None = None) -> PhotoFile | Skipped:
    """Reads a file, or an object, and hashes it.

    Args:
        source: where it is.
        limits: of its size; the defaults of `ImageLimits` where None.

    Raises:
        MissingExtraError: the package that reads the photo's storage is not installed.
    """
    try:
        data, stamp = read_stamped(source.path, (limits or ImageLimits()).bytes_max)
    except FetchError as error:
        return Skipped(source, UNREADABLE, str(error))
    except DecodeError as error:
        return Skipped(source, NOT_A_PHOTO, str(error))
    return PhotoFile(FoundPhoto(source, hashlib.sha256(data).hexdigest(), stamp), data)


def decode_photo(file: PhotoFile, limits: ImageLimits | None = None) -> DecodedPhoto | FailedPhoto:
    """Decodes what was read, within limits as of `read_photo_file`."""
    try:
        return DecodedPhoto(file.found, decode_image(io.BytesIO(file.data), limits))
    except DecodeError as error:
        return FailedPhoto(file.found, NOT_A_PHOTO, str(error))
