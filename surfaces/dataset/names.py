"""What a dataset's files and samples are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from surfaces.errors import DatasetError
from surfaces.photo_files import STORE_NAME as STORE_NAME

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
