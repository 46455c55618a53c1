"""Reads a photo once: what is hashed is what is decoded and labelled."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from dataclasses import dataclass

from autolabel.corpus import UNREADABLE, Skipped
from surfaces.dataset.store import Source
from surfaces.detections import Image
from surfaces.errors import DecodeError
from surfaces.images import decode_image

NOT_A_PHOTO = "not a usable photo"

_MOST_BYTES = 256 * 2**20

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class FoundPhoto:
    """A photo whose bytes were read.

    Attributes:
        source: where.
        sha256: of the bytes, hexadecimal.
        stamp: tells whether the file was written to since.
    """

    source: Source
    sha256: str
    stamp: Stamp

    def is_unchanged(self) -> bool:
        """Whether the file still is what was read."""
        try:
            return _stamp(os.stat(self.source.path)) == self.stamp  # noqa: PTH116
        except OSError:
            return False


@dataclass(frozen=True, eq=False)
class PhotoFile:
    """A photo as it lies on disk.

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


def read_photo_file(source: Source) -> PhotoFile | Skipped:
    """Reads a file and hashes it."""
    try:
        with open(source.path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return Skipped(source, UNREADABLE, "expected a file, got something else")
            if status.st_size > _MOST_BYTES:
                return Skipped(source, NOT_A_PHOTO, f"expected at most {_MOST_BYTES} bytes, got {status.st_size}")
            data = file.read(_MOST_BYTES)
    except OSError as error:
        return Skipped(source, UNREADABLE, f"the file could not be read: {error.strerror}")
    return PhotoFile(FoundPhoto(source, hashlib.sha256(data).hexdigest(), _stamp(status)), data)


def decode_photo(file: PhotoFile) -> DecodedPhoto | FailedPhoto:
    """Decodes what was read."""
    try:
        return DecodedPhoto(file.found, decode_image(io.BytesIO(file.data)))
    except DecodeError as error:
        return FailedPhoto(file.found, NOT_A_PHOTO, str(error))


def _open_at_once(path: str, flags: int) -> int:
    # A pipe that nobody writes to would block for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns
