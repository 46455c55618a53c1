"""The class map of a checkpoint: its own label names, as our classes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from surfaces.classes import BY_NAME, CLASSES
from surfaces.cli.settings_files import SettingsError, read_toml, unknown_name
from surfaces.errors import WeightsError

SHIPPED = Path(__file__).with_name("labels.toml")

_OTHERWISE = "otherwise"
_SYNONYMS = re.compile(r"[,;]")
_NEAREST = 3

Names = dict[str, Collection[str]]
"""Label names by the name of our class."""


@dataclass(frozen=True)
class LabelMap:
    """A checkpoint's labels, and, for each of `CLASSES`, their numbers; the others are `other`.

    Raises:
        WeightsError: no label is one of our classes.
    """

    labels: tuple[str, ...]
    classes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not any(self.classes):
            near = dict.fromkeys(label for name in BY_NAME for label in _nearest(name, self.labels))
            raise WeightsError(
                f"expected labels such as {', '.join(BY_NAME)}, got {len(self.labels)} others, the nearest "
                f"{', '.join(map(repr, near))}; a class map can name some"
            )

    def __str__(self) -> str:
        """For the user: `wall: wall-brick, wall-tile; floor: none; dining table: dining table`."""
        named = [", ".join(self.labels[number].strip() for number in numbers) or "none" for numbers in self.classes]
        return "; ".join(f"{surface.name}: {names}" for surface, names in zip(CLASSES, named, strict=True))


def match_labels(labels: Sequence[str], class_map: Path | None = None) -> LabelMap:
    """Finds our classes among a checkpoint's label names.

    Args:
        labels: by their numbers, synonyms apart by commas or semicolons.
        class_map: a TOML file with lists of label names by our classes' names; classes that it does not name are
            matched by the shipped names.

    Raises:
        SettingsError: the file is not TOML, or names unknown classes or labels, or one label twice.
        WeightsError: no label is one of our classes.
    """
    own = _read_class_map(class_map, labels) if class_map else {}
    shipped = read_toml(SHIPPED)
    otherwise = shipped.pop(_OTHERWISE)
    taken = {number for names in own.values() for number in _numbers(labels, names)}
    classes = []
    for surface in CLASSES:
        if surface.name in own:
            numbers = _numbers(labels, own[surface.name])
        else:
            numbers = _numbers(labels, shipped[surface.name]) or _numbers(labels, otherwise.get(surface.name, ()))
            numbers = [number for number in numbers if number not in taken]
        classes.append(tuple(numbers))
    return LabelMap(tuple(labels), tuple(classes))


def _read_class_map(path: Path, labels: Sequence[str]) -> Names:
    own: Names = {}
    for surface, names in read_toml(path).items():
        if surface not in BY_NAME:
            raise SettingsError(f"{path}: {unknown_name('class', surface, BY_NAME)}")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SettingsError(f"{path}: expected `{surface}` to be a list of label names, got {names!r}")
        own[surface] = [name.strip().lower() for name in names]
    known = sorted({synonym for label in labels for synonym in _synonyms(label)})
    numbers = []
    for names in own.values():
        for name in names:
            if not (found := _numbers(labels, [name])):
                near = ", ".join(map(repr, _nearest(name, known)))
                raise SettingsError(f"{path}: the checkpoint has no label {name!r}; the nearest are {near}")
            numbers += found
    if len(set(numbers)) < len(numbers):
        raise SettingsError(f"{path}: expected each label once, got {own}")
    return own


def _numbers(labels: Sequence[str], names: Collection[str]) -> list[int]:
    return [number for number, label in enumerate(labels) if not _synonyms(label).isdisjoint(names)]


def _synonyms(label: str) -> set[str]:
    """The label's names and the whole of it, in lower case."""
    whole = label.strip().lower()
    return {whole, *(name.strip() for name in _SYNONYMS.split(whole))}


def _nearest(name: str, labels: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, labels, n=_NEAREST, cutoff=0)
