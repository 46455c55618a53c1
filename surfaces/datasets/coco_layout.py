"""Where the tools that write COCO put its file and its photos."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from surfaces.datasets.codec import COCO_BYTES_MAX, read_bytes
from surfaces.datasets.folders import COCO_NAME, inside
from surfaces.datasets.reading import FOLLOW_LINKS, listed
from surfaces.errors import DatasetError
from surfaces.io.local_files import require_inside

_ANNOTATIONS = "annotations"
_INSTANCES = "instances_"
_NAMED_COCO = re.compile(r"instances_|_annotations\.coco\.json$")
"""Names that only COCO files have; a damaged file of such a name must not be passed over."""
_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/|[A-Za-z][A-Za-z0-9+.-]*://")


def coco_files(folder: Path) -> list[Path]:
    """The COCO files of a folder: one, or one for each of its splits (`train`, `valid`, `instances_train.json`, …).

    They are looked for in the folder, in its `annotations`, then in all of its folders, each of which is a split.

    Raises:
        DatasetError: a folder has several, and their names do not say that they are splits.
    """
    for place in (folder, folder / _ANNOTATIONS):
        if files := _files_directly_in(place):
            return files
    return [file for place in sorted(folder.iterdir()) if place.is_dir() for file in _files_directly_in(place)]


def split_name(file: Path) -> str:
    """What a split is called: the end of `instances_train.json`, else the folder of the file."""
    return file.stem.removeprefix(_INSTANCES) if file.stem.startswith(_INSTANCES) else file.parent.name


def _files_directly_in(folder: Path) -> list[Path]:
    if (folder / COCO_NAME).is_file():
        return [folder / COCO_NAME]
    names = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    files = [path for path in names if path.is_file() and (_NAMED_COCO.match(path.name) or _looks_like_coco(path))]
    splits = [path for path in files if path.stem.startswith(_INSTANCES)]
    if len(files) > 1 and not splits:
        raise DatasetError(f"expected one COCO file in {folder}, got {listed([p.name for p in files])}: name one")
    return splits or files


def _looks_like_coco(path: Path) -> bool:
    content = read_bytes(path, COCO_BYTES_MAX).replace(b"\0", b"")  # UTF-16
    return all(key in content for key in _KEYS)


@dataclass(frozen=True)
class FoundPhoto:
    """The photo of a COCO image.

    Attributes:
        path: of its file.
        name: where it was found below the folder that was searched, with forward slashes.
        by_tail: whether only the end of the image's `file_name` led to it.
    """

    path: Path
    name: str
    by_tail: bool


@dataclass(frozen=True)
class PhotoFolders:
    """Where the photos of a COCO file are looked for.

    Attributes:
        file: the COCO file.
        images: the only folder to search; None to search those that tools use.
        follow_links: whether photos may be links that leave the dataset's folder, or `images`.
    """

    file: Path
    images: Path | None = None
    follow_links: bool = False
    roots: tuple[Path, ...] = field(init=False)

    def __post_init__(self) -> None:
        roots = [self.images] if self.images else dict.fromkeys(_usual_roots(self.file))
        object.__setattr__(self, "roots", tuple(root for root in roots if root.is_dir()))
        if self.images and not self.roots:
            raise DatasetError(f"expected the folder of the photos at {self.images}, got none")

    def find(self, file_name: str) -> FoundPhoto | None:
        """The photo of a `file_name`, None where there is none.

        Backslashes count as slashes, and percent-encoded names are tried as they are and decoded. Of an absolute path
        or an address, and of every name below `images`, the longest end that leads to a file counts.

        Raises:
            DatasetError: the name, or a link, leads out of the dataset.
        """
        for spelling in dict.fromkeys((file_name, unquote(file_name))):
            path = spelling.replace("\\", "/")
            absolute = _ABSOLUTE.match(path)
            parts = PurePosixPath(inside(path[absolute.end() :].lstrip("/") if absolute else path)).parts
            last = len(parts) if absolute or self.images else 1
            for start in range(last):
                name = "/".join(parts[start:])
                for root in self.roots:
                    if _is_file(root / name):
                        if not self.follow_links:
                            require_inside(self.images or _base(self.file), root / name, FOLLOW_LINKS)
                        return FoundPhoto(root / name, name, bool(absolute or start))
        return None


def _base(file: Path) -> Path:
    """The folder of the dataset that a COCO file is of."""
    return file.parent.parent if file.parent.name == _ANNOTATIONS else file.parent


def _usual_roots(file: Path) -> Iterator[Path]:
    split = file.stem.removeprefix(_INSTANCES)
    folder = file.parent
    yield folder
    for base in dict.fromkeys((folder, _base(file))):
        yield from (base / "images" / split, base / "images", base / split, base / "data", base)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
