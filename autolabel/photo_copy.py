"""Copies of photos that share the original's disk blocks, or the original's file, where the file system can."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

_FICLONE = 0x40049409  # linux/fs.h: makes a file share the blocks of another until one of them is written to


def copy_photo(sources: Iterable[str], data: bytes, target: Path, link: bool = False) -> None:
    """Writes a photo's bytes to a new file.

    The file is a reflink of the original where the file system supports it: an independent file that takes no space.

    Args:
        sources: paths that may hold the bytes; addresses of object storage are passed over.
        data: the bytes.
        target: the new file.
        link: try a hard link first: one file under two names, so that who rewrites one rewrites the other.

    Raises:
        OSError: the file cannot be written.
    """
    methods = (os.link, _clone) if link else (_clone,)
    originals = [Path(source).resolve() for source in sources]
    if not any(_try(method, original, target, data) for method in methods for original in originals):
        with target.open("xb") as file:
            file.write(data)


def is_linked(path: Path) -> bool:
    """Whether a file has further names."""
    return path.stat().st_nlink > 1


def _try(method: Callable[[Path, Path], None], source: Path, target: Path, data: bytes) -> bool:
    """Whether a method made a file of exactly these bytes; nothing is left behind where it did not."""
    try:
        method(source, target)
    except (OSError, ImportError):  # another disk, a file system without links, a file that is gone, Windows
        return False
    if target.read_bytes() == data:
        return True
    target.unlink()
    return False


def _clone(source: Path, target: Path) -> None:
    import fcntl  # not on Windows

    with source.open("rb") as original, target.open("xb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
        except OSError:
            target.unlink()
            raise
