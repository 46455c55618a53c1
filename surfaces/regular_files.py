"""Reads files that a user or a stranger named: regular ones, of bounded size.

A pipe that nobody writes to, or a device, would block or never end.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

SETTINGS_BYTES_MAX = 16_000_000
"""The largest file of settings."""
LIST_BYTES_MAX = 1_000_000_000
"""The largest list of photos: some ten million lines."""


def open_regular(path: Path | str, bytes_max: int | None = None) -> BufferedReader:
    """Opens a regular file, links followed, for reading.

    Args:
        path: of the file.
        bytes_max: the most bytes that it may have; None for any number.

    Raises:
        OSError: it cannot be opened, is something else (EINVAL), or is larger (EFBIG); `strerror` says so.
        ValueError: the path holds a NUL.
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
    """All bytes of a regular file; arguments and errors as of `open_regular`."""
    with open_regular(path, bytes_max) as file:
        return file.read()


def read_text(path: Path | str, bytes_max: int = SETTINGS_BYTES_MAX) -> str:
    """The UTF-8 text of a regular file; arguments and errors as of `open_regular`, and UnicodeDecodeError."""
    return read_bytes(path, bytes_max).decode("utf-8")


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
