"""One run on a cluster at a time writes to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from surfaces.errors import MissingExtraError, OutputError
from surfaces.io.atomic_files import make_folder

LOCK_NAME = ".ray.lock"


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Holds a folder, which is created where absent, until the block or the process ends.

    Raises:
        OutputError: another run holds it, or it cannot be written to.
        MissingExtraError: filelock is not installed.
    """
    try:
        from filelock import FileLock, Timeout
    except ModuleNotFoundError as error:
        raise MissingExtraError("expected filelock, install interior-surfaces[ray]") from error
    make_folder(folder)
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(f"expected no other run with Ray on {folder}, got one that is in progress") from error
    except OSError as error:
        raise OutputError(f"could not write {folder / LOCK_NAME}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
