"""Finds photos in folders, and parses lists of photos."""

from __future__ import annotations

import codecs
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from surfaces.images.guards import format_of
from surfaces.io.local_files import is_inside
from surfaces.messages import counted, printable

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp"})
PHOTO_SUFFIXES |= {".tif", ".tiff", ".avif", ".heic", ".heif", ".hif"}
"""Lower case; one or more for each format of `surfaces.images.guards.FORMATS`."""

STORE_NAME = "labels.sqlite"
"""The label store in a dataset's folder; the photos beside it are copies."""

CRAWL_NAME = "crawl.sqlite"
"""The crawl database of a corpus; links below its folder may not leave it, since others may have made them."""

LINK_OUTSIDE = "expected a photo inside the corpus, got a path or a link that leaves it"

_ALLOWED_CONTROLS = frozenset("\t\r\n\f\x1a")
_BMP_HEADER_BYTES = 18
_RESULT = re.compile(  # as `surfaces.segmenting.naming` makes them
    r"_.+__\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}|\.(surfaces(\.|_)|recolored\.)"
)
RESULTS = "of segment.py"
"""Stands for the suffix where earlier results are counted."""
_SUFFIX_SHOWN = 20  # characters


@dataclass(frozen=True)
class FolderPhotos:
    """The contents of a folder and its subfolders; hidden files and folders are skipped.

    Attributes:
        photos: paths, folder by folder, sorted by name within each.
        unreadable: folders that cannot be read, and photos of a crawled corpus that are links out of it, each with the
            reason.
        passed_over: the number of other files by suffix; results of `segment.py` are counted as such.
        left_out: folders that were not entered: label stores, and those that the caller named.
    """

    photos: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    passed_over: Mapping[str, int]
    left_out: tuple[str, ...]


def list_text(data: bytes) -> str:
    """The text of a list in UTF-8 or UTF-16; bytes that are not UTF-8 become surrogates, as in file names.

    Raises ValueError where it is no text; the message says what it is.
    """
    if is_photo(data):
        raise ValueError(f"a photo ({format_of(data)}), no text")
    text = _decode(data)
    first_line = text.lstrip().partition("\n")[0]
    if text.startswith("%PDF-") or any(ord(sign) < 32 and sign not in _ALLOWED_CONTROLS for sign in first_line):
        raise ValueError("binary data, no text")
    return text


def list_lines(text: str) -> Iterator[tuple[int, str]]:
    """The stripped lines of a list with their numbers, from 1; blank lines and comments (`#`) are skipped."""
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield number, entry


def is_photo(head: bytes) -> bool:
    """Whether a file is a photo by its first bytes, 64 or more where it has them."""
    name = format_of(head)
    return name is not None and (name != "BMP" or b"\0" in head[:_BMP_HEADER_BYTES])  # a text may begin with BM


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data[1:2] == data[3:4] == b"\0" != data[:1]:
        return data.decode("utf-16-le", "replace")
    if data[:1] == data[2:3] == b"\0" != data[1:2]:
        return data.decode("utf-16-be", "replace")
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def is_photo_file(name: str | PurePath) -> bool:
    """Whether a file's name is that of a photo: a suffix of `PHOTO_SUFFIXES` in any case, and not hidden."""
    path = PurePath(name)
    return path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(".")


def leaves_corpus(path: str, corpora: Iterable[str]) -> bool:
    """Whether a path below one of some crawled corpora leads out of it, links followed."""
    return any(PurePath(path).is_relative_to(corpus) and not is_inside(corpus, path) for corpus in corpora)


def corpora_around(folder: str) -> list[str]:
    """Those of the folder and its parent that `autolabel crawl` made."""
    around = folder, os.path.dirname(os.path.abspath(folder))  # noqa: PTH100, PTH120
    return [place for place in around if os.path.lexists(os.path.join(place, CRAWL_NAME))]  # noqa: PTH118


def is_result(name: str) -> bool:
    """Whether a file's name is that of a result of `segment.py`."""
    return bool(_RESULT.search(name))


def find_photos(base: str, leave_out: Iterable[str] = ()) -> FolderPhotos:
    """Searches a folder and its subfolders, each once, except those to leave out.

    Links are followed, but not out of a crawled corpus.
    """
    photos: list[str] = []
    unreadable: list[tuple[str, str]] = []
    passed_over: Counter[str] = Counter()
    left_out: list[str] = []
    unwanted = {_identity(folder) for folder in leave_out}
    entered: set[object] = set()
    corpora = corpora_around(base)

    def add_unreadable(error: OSError) -> None:
        unreadable.append((str(error.filename), f"the folder could not be read: {error.strerror}"))

    for folder, subfolders, names in os.walk(base, followlinks=True, onerror=add_unreadable):
        identity = _identity(folder)
        is_unwanted = folder != base and (identity in unwanted or STORE_NAME in names)
        if identity in entered or is_unwanted:
            left_out += [folder] if is_unwanted else []
            subfolders.clear()
            continue
        entered.add(identity)
        corpora += [folder] if CRAWL_NAME in names else []
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = str(PurePath(folder, name))
            if is_result(name):
                passed_over[RESULTS] += 1
            elif not is_photo_file(name):
                passed_over[PurePath(name).suffix.lower()] += 1
            elif leaves_corpus(path, corpora):
                unreadable.append((path, LINK_OUTSIDE))
            else:
                photos.append(path)
    return FolderPhotos(tuple(photos), tuple(unreadable), passed_over, tuple(left_out))


def passed_over_lines(files: Mapping[str, int], folders: Sequence[str]) -> list[str]:
    """Notes on files that are no photos, counted by suffix, and on folders that were left out."""
    lines = []
    if files:
        lines.append(f"{counted(sum(files.values()), 'file')} passed over: {suffix_counts(files)}")
    if folders:
        named = ", ".join(map(printable, folders))
        lines.append(f"{counted(len(folders), 'folder')} of results passed over: {named}")
    return lines


def suffix_counts(files: Mapping[str, int]) -> str:
    """Files counted by suffix: `2 .txt, 1 .mov, 1 without suffix`."""
    ordered = sorted(files.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {printable(suffix[:_SUFFIX_SHOWN]) or 'without suffix'}" for suffix, count in ordered)


def _identity(folder: str) -> object:
    try:
        status = os.stat(folder)  # noqa: PTH116
    except (OSError, ValueError):  # it has just vanished
        return folder
    return status.st_dev, status.st_ino
