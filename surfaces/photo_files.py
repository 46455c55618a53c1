"""Which files of a folder are photos: one list of suffixes, for every command that reads folders."""

from __future__ import annotations

from pathlib import PurePath

PHOTO_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        *(".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *(".avif", ".heic", ".heif", ".hif"),
    }
)
"""Lower case; one or more for each format of `surfaces.image_guards.FORMATS`."""


def is_photo_file(name: str | PurePath) -> bool:
    """Whether a file's name says that it is a photo: a suffix of `PHOTO_SUFFIXES` in any case, and not hidden."""
    path = PurePath(name)
    return path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(".")
