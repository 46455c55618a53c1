"""What a score sheet compares: datasets, contenders, seeds, differences and auto-labels, told by one TOML file.

Paths may name variables of the environment (`$DATA/nyuv2`); results keep them as they are written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from distill.datasets import SPLITS
from distill.training.config import ConfigError, read_config_file

KINDS = ("segmenter", "student", "onnx", "mask-rcnn", "grounded-sam")


@dataclass(frozen=True)
class DataEntry:
    """A dataset that contenders are scored on.

    Attributes:
        name: short.
        path: as `distill evaluate` takes it.
        split: the side of its split.
    """

    name: str
    path: str
    split: str = "val"

    def __post_init__(self) -> None:
        require("split", self.split, SPLITS)


@dataclass(frozen=True)
class ContenderEntry:
    """Something that finds surfaces in photos.

    Attributes:
        name: short; names its files in the run's folder.
        title: as tables show it.
        kind: `segmenter` (an exported student, as segment.py runs it), `student` and `onnx` (teachers: the belief of
            an exported student's branch, of semantic networks), `mask-rcnn` (torchvision's), `grounded-sam`.
        weights: files; for a student none is the network that ships.
        class_map: of `onnx`: a file, or `mosaic`.
        mirror: of `student` and `onnx`: whether the mirrored photo is looked at too.
        network: of `mask-rcnn`: one of `score_sheet_contenders.MASK_RCNNS`.
        rounds: in how many rounds of the timing it takes part; 0: it is not timed.
        seen: by a dataset's name, how its photos were seen before they were scored.
    """

    name: str
    title: str
    kind: str
    weights: tuple[str, ...] = ()
    class_map: str = "mosaic"
    mirror: bool = False
    network: str = "resnet50_fpn"
    rounds: int = 7
    seen: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require("kind", self.kind, KINDS)
        if self.kind == "onnx" and not self.weights:
            raise ConfigError(f"expected `weights` of the contender {self.name}, got none")
        if self.kind in ("segmenter", "student") and len(self.weights) > 1:
            raise ConfigError(f"expected one file of `weights` of the contender {self.name}, got {len(self.weights)}")
        if self.rounds < 0:
            raise ConfigError(f"expected `rounds` from 0, got {self.rounds}")


@dataclass(frozen=True)
class GroupEntry:
    """Contenders that differ by their seed alone: a row of means and deviations.

    Attributes:
        name: short.
        title: as tables show it.
        members: names of contenders, two at the least.
    """

    name: str
    title: str
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise ConfigError(f"expected two `members` or more of the group {self.name}, got {len(self.members)}")


@dataclass(frozen=True)
class DifferenceEntry:
    """What some contenders score more than others on the same photos, pair by pair, on average.

    Attributes:
        title: as tables show it.
        these, those: names of contenders, as many of one as of the other.
    """

    title: str
    these: tuple[str, ...]
    those: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.these or len(self.these) != len(self.those):
            raise ConfigError(f"expected `these` and `those` in pairs ({self.title})")


@dataclass(frozen=True)
class LabelsEntry:
    """A teacher whose labels, made with `autolabel run`, are compared with people's.

    Attributes:
        name: short; names its folder in the run's folder.
        title: as tables show it.
        data: what the photos are called in tables, as in `DataEntry`.
        photos: a folder of photos.
        truth: a dataset with labels of some of them.
        teacher: as `autolabel run --teacher` takes it.
        without: names of rules that are left out.
        shard: the part of the photos that is labelled, such as `1/8`.
        seen: how the teacher has seen these photos before; empty: not at all.
    """

    name: str
    title: str
    data: str
    photos: str
    truth: str
    teacher: str
    without: tuple[str, ...] = ()
    shard: str = "1/1"
    seen: str = ""


@dataclass(frozen=True)
class SheetConfig:
    """A score sheet.

    Attributes:
        reference: the contender that the others are compared with.
        photo: what is timed on, a path.
        side: it is shrunk to this longest side.
        data, contenders, groups, differences, labels: see there.
    """

    reference: str
    photo: str
    side: int
    data: tuple[DataEntry, ...]
    contenders: tuple[ContenderEntry, ...]
    groups: tuple[GroupEntry, ...] = ()
    differences: tuple[DifferenceEntry, ...] = ()
    labels: tuple[LabelsEntry, ...] = ()

    def __post_init__(self) -> None:
        known = _names("contenders", self.contenders)
        datasets = _names("data", self.data)
        _names("labels", self.labels)
        require("reference", self.reference, known)
        for contender in self.contenders:
            for name in contender.seen:
                require(f"seen of {contender.name}", name, datasets)
        for group in self.groups:
            _require_all(f"members of {group.name}", group.members, known)
        for difference in self.differences:
            _require_all(f"these and those of {difference.title!r}", (*difference.these, *difference.those), known)


def read_sheet(path: Path) -> SheetConfig:
    """Reads a score sheet's file.

    Raises:
        ConfigError: it is not there or not TOML, or a key or value is not as expected.
    """
    content = read_config_file(path)
    parts = {"data": DataEntry, "contenders": ContenderEntry, "groups": GroupEntry, "differences": DifferenceEntry}
    try:
        for name, of in (parts | {"labels": LabelsEntry}).items():
            content[name] = tuple(_entry(of, table, f"[[{name}]]") for table in _tables(name, content.get(name, [])))
        return _entry(SheetConfig, content, "the file")
    except ConfigError as error:
        raise ConfigError(f"{error} (in {path})") from error


def resolved(text: str) -> Path:
    """A path with the environment's variables filled in.

    Raises:
        ConfigError: one of them is not set.
    """
    path = os.path.expandvars(text)
    if "$" in path:
        raise ConfigError(f"expected the variables of {text} in the environment, one is not set")
    return Path(path)


T = TypeVar("T")


def _entry(of: type[T], table: dict[str, Any], place: str) -> T:
    known: dict[str, Field[Any]] = {one.name: one for one in fields(of)}  # type: ignore[arg-type]
    for key in table:
        require(f"a key of {place}", key, known)
    for name, one in known.items():
        if name not in table and one.default is MISSING and one.default_factory is MISSING:
            raise ConfigError(f"expected `{name}` in {place}, got none")
    return of(**{key: _value(key, value, str(known[key].type)) for key, value in table.items()})


def _value(key: str, value: Any, annotation: str) -> Any:
    """A value in its field's type; lists of text become tuples."""
    if annotation == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if annotation.startswith("tuple[") and isinstance(value, tuple):
        return value
    if annotation == "dict[str, str]" and isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
        return value
    if type(value).__name__ != annotation:
        raise ConfigError(f"expected `{key}` to be of type {annotation}, got {value!r}")
    return value


def _tables(name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ConfigError(f"expected [[{name}]] to be tables, got {value!r}")
    return value


def _names(what: str, entries: Sequence[DataEntry | ContenderEntry | LabelsEntry]) -> list[str]:
    names = [entry.name for entry in entries]
    if what != "labels" and not names:
        raise ConfigError(f"expected one of [[{what}]] at the least, got none")
    if len(set(names)) < len(names):
        raise ConfigError(f"expected each name of [[{what}]] once, got {', '.join(names)}")
    for name in names:
        if not name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"expected names of letters, digits, - and _ in [[{what}]], got {name!r}")
    return names


def _require_all(what: str, values: Iterable[str], known: Iterable[str]) -> None:
    for value in values:
        require(what, value, known)


def require(what: str, value: str, known: Iterable[str]) -> None:
    """Raises ConfigError where a value is none of the known ones."""
    if value not in known:
        raise ConfigError(f"expected {what} out of {', '.join(known)}; got {value!r}")
