"""Folders that appear whole or not at all, and never inside what they are made from."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from surfaces.errors import DatasetError, OutputError
from surfaces.io.photo_lists import STORE_NAME as STORE_NAME

COCO_NAME = "annotations.json"


def require_unique(names: Iterable[str]) -> None:
    """Checks that no two samples share a name.

    Raises:
        DatasetError: two do.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise DatasetError(f"expected one sample a name, got {count} called {name}")


def inside(path: str) -> str:
    """A relative path with forward slashes, passed through.

    Raises:
        DatasetError: the path is empty, absolute, or leads out of its folder.
    """
    parts = PurePosixPath(path)
    if not parts.name or parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise DatasetError(f"expected a path inside the dataset, got {path!r}")
    return path


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name when the block ends well and vanishes when it does not.

    Args:
        folder: the name; nothing may have it yet.

    Yields:
        The folder to fill, beside the place where it will be.

    Raises:
        OutputError: the name is taken, or the file system refuses.
    """
    if folder.exists():
        raise OutputError(f"expected a new folder to write to, got {folder}, which exists")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield partial
            partial.chmod(0o755)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"expected to write to {folder}, got: {error.strerror}") from error


def require_outside(output: Path, inputs: Iterable[Path]) -> None:
    """Checks that an output is neither one of the inputs nor inside one, whatever links lead there.

    Args:
        output: a file or a folder that may not exist yet.
        inputs: files and folders that are read; those that do not exist are left to their readers.

    Raises:
        OutputError: it is.
    """
    places = [place for place in (output.resolve(), *output.resolve().parents) if place.exists()]
    for source in inputs:
        if source.exists() and any(place.samefile(source) for place in places):
            raise OutputError(f"expected an output outside of the input {source}, got {output}")
