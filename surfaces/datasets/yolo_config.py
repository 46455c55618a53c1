"""Reads the YAML file of a YOLO dataset, or the `classes.txt` of Label Studio's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surfaces.datasets.codec import read_bytes
from surfaces.datasets.foreign import find_inside
from surfaces.errors import DatasetError
from surfaces.messages import brief, listed

CLASSES_NAME = "classes.txt"
YAML_SUFFIXES = (".yaml", ".yml")

_NAMES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
_SPLITS = ("train", "val", "valid", "test")
_BYTES_MAX = 1_000_000
_NAMES_KEY = re.compile(rb"^names\s*:", re.MULTILINE)


@dataclass(frozen=True)
class YoloConfig:
    """A dataset's classes and splits.

    Attributes:
        path: of the file.
        root: the dataset's folder.
        names: the classes by their numbers.
        splits: of each split the folders of photos, or lists of them, as the file says.
    """

    path: Path
    root: Path
    names: dict[int, str]
    splits: dict[str, tuple[str, ...]]

    @property
    def files(self) -> set[Path]:
        """Text files that are no labels."""
        return {self.path, self.root / "labels" / CLASSES_NAME}


def config_file(folder: Path) -> Path | None:
    """The file of a folder that names a YOLO dataset's classes; None where there is none.

    Raises:
        DatasetError: several files do, or none does although there are photos and labels.
    """
    found = [folder / name for name in _NAMES if (folder / name).is_file()][:1]
    if not found:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in YAML_SUFFIXES and path.is_file())
        found = [path for path in files if _NAMES_KEY.search(read_bytes(path))]
    has_labels = any((folder / "labels").rglob("*.txt"))
    if not found and has_labels and (folder / CLASSES_NAME).is_file():
        found = [folder / CLASSES_NAME]
    if len(found) > 1:
        raise DatasetError(f"expected one YAML file of a YOLO dataset in {folder}, got {listed(found)}: name one")
    if not found and has_labels and (folder / "images").is_dir():
        raise DatasetError(f"expected data.yaml or {CLASSES_NAME} with the class names in {folder}, got neither")
    return found[0] if found else None


def read_config(path: Path, follow_links: bool) -> YoloConfig:
    """Reads the file; `path` in it may leave the file's folder only with `follow_links`.

    Raises:
        DatasetError: it is no such file.
    """
    if path.name == CLASSES_NAME:
        text = _text(path)
        names = [line.strip() for line in text.splitlines() if line.strip()]
        return YoloConfig(path, path.parent, dict(enumerate(names)), {"": ("images",)})
    values = _load(path)
    splits = {split: _entries(values[split], split, path) for split in _SPLITS if values.get(split)}
    if not splits:
        raise DatasetError(f"expected one of {', '.join(_SPLITS)} in {path}, got none")
    return YoloConfig(path, _root(values.get("path"), path, follow_links), _names(values.get("names"), path), splits)


def _text(path: Path) -> str:
    try:
        return read_bytes(path, _BYTES_MAX).decode("utf-8-sig")
    except ValueError as error:
        raise DatasetError(f"expected text in UTF-8 in {path}, got: {error}") from error


def _load(path: Path) -> dict[Any, Any]:
    import yaml  # the other forms don't need it

    try:
        values = yaml.safe_load(_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DatasetError(f"expected a YAML file in {path}, got: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise DatasetError(f"expected keys and values in {path}, got {type(values).__name__}")
    return values


def _names(value: object, path: Path) -> dict[int, str]:
    names = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(names, dict) or not names:
        raise DatasetError(f"expected `names` in {path} to be the classes, got {type(value).__name__}")
    for number, name in names.items():
        if type(number) is not int or not isinstance(name, str | int | float):
            raise DatasetError(f"expected `names` in {path} to be texts by numbers, got one by {brief(number)}")
    return {number: str(name) for number, name in names.items()}


def _entries(value: object, split: str, path: Path) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) for entry in entries):
        raise DatasetError(f"expected `{split}` in {path} to be a path or a list of paths, got another")
    return tuple(entries)


def _root(value: object, path: Path, follow_links: bool) -> Path:
    if value is not None and not isinstance(value, str):
        raise DatasetError(f"expected `path` in {path} to be a path, got {type(value).__name__}")
    if value and follow_links and (path.parent / value).is_dir():
        return path.parent / value
    inner = find_inside(path.parent, value) if value else None
    return inner if inner and inner.is_dir() else path.parent
