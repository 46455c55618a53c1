"""Reads regular files within limits, and keeps names and links inside folders that others made."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path, PurePosixPath

from surfaces.errors import DatasetError
from surfaces.messages import brief, printable

SETTINGS_BYTES_MAX = 16_000_000
LIST_BYTES_MAX = 1_000_000_000
"""The largest list of photos: some ten million lines."""


def open_regular(path: Path | str, bytes_max: int | None = None) -> BufferedReader:
    """Opens a regular file for reading; links are followed.

    Raises:
        OSError: it cannot be opened, is no regular file (EINVAL), or exceeds `bytes_max` (EFBIG); see `strerror`.
        ValueError: the path contains a NUL.
    """
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115  (the caller closes it)
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if bytes_max is not None and status.st_size > bytes_max:
            raise OSError(errno.EFBIG, f"{status.st_size} bytes, more than {bytes_max}", str(path))
    except BaseException:
        file.close()
        raise
    return file


def read_bytes(path: Path | str, bytes_max: int | None = None) -> bytes:
    """All bytes of a regular file; errors as of `open_regular`."""
    with open_regular(path, bytes_max) as file:
        return file.read()


def read_text(path: Path | str, bytes_max: int = SETTINGS_BYTES_MAX) -> str:
    """The UTF-8 text of a regular file; errors as of `open_regular`, and UnicodeDecodeError."""
    return read_bytes(path, bytes_max).decode("utf-8")


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def plain_name(name: object) -> str:
    """Returns a file name; raises DatasetError for others: with a folder, a colon or a NUL, or not Unicode."""
    if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:\0") or not is_unicode(name):
        raise DatasetError(f"expected a file's name without a folder, got {brief(name)}")
    return name


def relative_path(path: str) -> str:
    """Returns a relative path with forward slashes; raises DatasetError where it leads out of its folder."""
    parts = PurePosixPath(path)
    if not parts.name or parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise DatasetError(f"expected a path inside the dataset, got {path!r}")
    return path


def is_unicode(text: str) -> bool:
    """Whether a text has no surrogates, so that UTF-8 can encode it."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def is_inside(folder: Path | str, path: Path | str) -> bool:
    """Whether a path is in a folder once all links are followed; neither has to exist."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def require_inside(folder: Path, path: Path, remedy: str = "") -> Path:
    """Returns a path below a folder, which may itself be reached by links that the user chose.

    Raises DatasetError, which ends with the remedy, where a link leads out of the folder.
    """
    if is_inside(folder, path):
        return path
    prefixes = (folder.joinpath(*path.relative_to(folder).parts[:count]) for count in range(1, len(path.parts) + 1))
    link = next(prefix for prefix in prefixes if not is_inside(folder, prefix))
    raise DatasetError(
        f"expected {printable(str(link))} inside {printable(str(folder))}, got a link to "
        f"{printable(os.path.realpath(link))}" + (f": {remedy}" if remedy else "")
    )
