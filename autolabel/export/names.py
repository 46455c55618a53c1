"""File names of exported photos."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from surfaces.store.label_store import StoredPhoto

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029]')  # on Windows, or line breaks to some readers
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)  # devices of Windows
_BYTES_MAX = 180
_NAME_DIGITS = 16


def hash_stem(photo: StoredPhoto) -> str:
    """The default stem of a photo's files: the first digits of its sha256."""
    return photo.sha256[:_NAME_DIGITS]


def safe_stem(photo: StoredPhoto) -> str:
    """The photo's name as one part of a path that is valid on every system; several photos may share it."""
    stem = _UNSAFE.sub("_", photo.name).strip()
    if len(stem.encode()) > _BYTES_MAX:
        stem = f"{stem.encode()[:_BYTES_MAX].decode(errors='ignore')}-{hash_stem(photo)}"
    return f"_{stem}" if stem.startswith(".") or _RESERVED.match(stem) else stem or hash_stem(photo)


def unique_stems(photos: Iterable[StoredPhoto]) -> dict[str, str]:
    """The safe stems by the photos' sha256.

    Folders are joined with `_`, since trainers find the folders of labels by the folders of photos. Names that several
    photos share, in any case, end in digits of the sha256.
    """
    safe = [(photo, safe_stem(photo)) for photo in photos]
    uses = Counter(_fold(stem) for _, stem in safe)
    return {photo.sha256: stem if uses[_fold(stem)] == 1 else f"{stem}-{hash_stem(photo)}" for photo, stem in safe}


def _fold(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()
