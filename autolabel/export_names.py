"""What exported photos are called when they keep their names: safe on every system, and unique."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from autolabel.exported import file_stem
from surfaces.dataset.store import StoredPhoto

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029]')  # to Windows, or to readers of lines
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)  # devices of Windows
_BYTES_MAX = 180


def kept_names(photos: Iterable[StoredPhoto]) -> dict[str, str]:
    """The stems of exported files by the photos' sha256.

    Folders are joined with `_`, since trainers tell the folders of labels by the folders of photos; what file systems
    do not allow becomes `_`; names that several photos would share, in whatever case, end in digits of the sha256.
    """
    safe = [(photo, safe_stem(photo)) for photo in photos]
    uses = Counter(_folded(stem) for _, stem in safe)
    return {photo.sha256: stem if uses[_folded(stem)] == 1 else f"{stem}-{file_stem(photo)}" for photo, stem in safe}


def safe_stem(photo: StoredPhoto) -> str:
    """The name of a photo as one part of a path that every system allows; other photos may have the same."""
    stem = _UNSAFE.sub("_", photo.name).strip()
    if len(stem.encode()) > _BYTES_MAX:
        stem = f"{stem.encode()[:_BYTES_MAX].decode(errors='ignore')}-{file_stem(photo)}"
    return f"_{stem}" if stem.startswith(".") or _RESERVED.match(stem) else stem or file_stem(photo)


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()
