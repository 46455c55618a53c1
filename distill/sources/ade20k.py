"""ADE20K (Zhou et al., CVPR 2017): SceneParsing with 150 classes, and the full release of 2021."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from distill.sources.base import Source, SourcePhoto, read_colours, read_numbers, shape_of
from surfaces.datasets.codec import read_bytes
from surfaces.datasets.named_labels import MapLabels
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.errors import DatasetError
from surfaces.io.local_files import SETTINGS_BYTES_MAX, read_text
from surfaces.messages import brief

_SPLITS = ("training", "validation")
_NAMES = "objectInfo150.txt"
_ROOMS = "sceneCategories.txt"
# Of some 3,000 names those that matter: all objects of a photo are drawn.
_DRAWN = frozenset({"wall", "floor, flooring", "table"})


class SceneParsingSource(Source):
    """The folder `ADEChallengeData2016`: a map of 150 classes a photo; 0 is what has none of them, and is unlabelled.

    Raises:
        DatasetError: a folder or a list is missing.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:  # noqa: ARG002
        super().__init__(path, options)
        self._names = _object_names(path / _NAMES)
        self._rooms = _rooms(path / _ROOMS)
        self._maps = [file for split in _SPLITS for file in sorted((path / "annotations" / split).glob("*.png"))]
        if not self._maps:
            raise DatasetError(f"expected annotations/{_SPLITS[0]}/*.png in {path}, got none")
        self._images = path / "images"

    def __len__(self) -> int:
        return len(self._maps)

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index."""
        file = self._maps[index]
        split = file.parent.name
        photo = self._images / split / f"{file.stem}.jpg"
        provenance = Provenance(split=split, room=self._rooms.get(file.stem, ""))
        return SourcePhoto(f"{split}/{file.stem}", photo, partial(self._labels, file, photo), provenance)

    def _labels(self, file: Path, photo: Path) -> MapLabels:
        shape = shape_of(self.inside(photo))
        numbers = shape.upright(read_numbers(self.inside(file)), str(file))
        return MapLabels(
            size_hw=shape.upright_hw, vocabulary=frozenset(self._names.values()), numbers=numbers, names=self._names
        )


class Ade20kSource(Source):
    """The folder `ADE20K_2021_17_01`: `X_seg.png` with class and instance of each pixel, `X.json` with the names.

    Parts (`X_parts_1.png`, …) are left out: a table's leg is its table. A pixel without an object is unlabelled.

    Raises:
        DatasetError: there is no photo with its files.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:  # noqa: ARG002
        super().__init__(path, options)
        self._maps = sorted(path.glob("images/ADE/*/*/*/*_seg.png"))
        if not self._maps:
            raise DatasetError(f"expected images/ADE/training/…/*_seg.png in {path}, got none")

    def __len__(self) -> int:
        return len(self._maps)

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index."""
        file = self.inside(self._maps[index])
        stem = file.name.removesuffix("_seg.png")
        split = file.parents[2].name
        photo = self.inside(file.with_name(f"{stem}.jpg"))
        provenance = Provenance(split=split, room=file.parent.name)
        return SourcePhoto(f"{split}/{stem}", photo, partial(_full_labels, file, photo), provenance)


def _full_labels(file: Path, photo: Path) -> MapLabels:
    """The labels of the full release: red and green are the class (red / 10 * 256 + green), blue is the instance."""
    shape = shape_of(photo)
    names = _names_of_objects(photo.with_suffix(".json"))
    red, green, blue = (shape.upright(channel, str(file)) for channel in read_colours(file))
    numbers = red // 10 * 256 + green
    return MapLabels(
        size_hw=shape.upright_hw,
        vocabulary=_DRAWN,
        numbers=numbers,
        names=names,
        instances=numbers * 256 + blue,
    )


def _names_of_objects(file: Path) -> dict[int, str]:
    """The names of a photo's objects by the number of their class; those of parts are left out."""
    try:
        objects: Sequence[dict[str, Any]] = json.loads(
            read_bytes(file, SETTINGS_BYTES_MAX).decode("utf-8", "replace")  # some files are in Latin-1
        )["annotation"]["object"]
        return {int(entry["name_ndx"]): str(entry["name"]) for entry in objects if not entry["parts"]["part_level"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"expected the objects of a photo in {file}, got: {brief(str(error))}") from error


def _rooms(file: Path) -> dict[str, str]:
    """The rows of `sceneCategories.txt`, a name and its room; nothing where the file is not there."""
    rows = [line.split(maxsplit=1) for line in _lines(file)] if file.exists() else []
    for row in rows:
        if len(row) != 2:
            raise DatasetError(f"expected a name and a room in each line of {file}, got {brief(' '.join(row))}")
    return dict(rows)


def _object_names(file: Path) -> dict[int, str]:
    """The rows of `objectInfo150.txt`: index, three numbers, a flag, the name."""
    names = {}
    for line in _lines(file)[1:]:
        columns = re.split(r"\t+|\s{2,}", line.strip())
        if not columns[0].isdigit():
            raise DatasetError(f"expected a number and a name in {file}, got {brief(line)}")
        names[int(columns[0])] = columns[-1]
    if not names:
        raise DatasetError(f"expected the names of classes in {file}, got none")
    return names


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in read_text(file).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"expected a list of names at {file}, got: {error}") from error
