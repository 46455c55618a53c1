"""Class maps: what the class names of a source mean, in a TOML file such as `maps/coco.toml`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, field_validator

from surfaces.classes import BY_NAME, IGNORE, OTHER, OTHER_TABLE
from surfaces.cli.settings_files import SettingsError, read_toml, unknown_name, validate
from surfaces.datasets.named_regions import Meaning
from surfaces.datasets.sample import LabelScope
from surfaces.errors import DatasetError
from surfaces.messages import brief

MAPS = Path(__file__).parent / "maps"

_TARGETS = {name: surface.coco_id for name, surface in BY_NAME.items()} | {
    "other": OTHER,
    "other table": OTHER_TABLE,
    "ignore": IGNORE,
}


class NameRule(BaseModel):
    """An entry of `[[names]]`: the class names that mean the same.

    Attributes:
        to: one of our classes, `other`, `other table` (a table that is no dining table, or not known to be one), or
            `ignore` (unlabelled).
        names: shell patterns, compared without case; `-` and `_` count as spaces.
        rooms: shell patterns of rooms in which alone the rule holds; empty: everywhere.
        reason: one line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: str
    names: tuple[str, ...]
    reason: str
    rooms: tuple[str, ...] = ()

    @field_validator("to")
    @classmethod
    def _check_target(cls, to: str) -> str:
        if to not in _TARGETS:
            raise ValueError(unknown_name("target", to, _TARGETS))
        return to


class RoomRule(BaseModel):
    """An entry of `[[rooms]]`: what is known of photos of these rooms as a whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rooms: tuple[str, ...]
    reason: str
    absent: tuple[str, ...] = ()
    present: tuple[str, ...] = ()

    @field_validator("absent", "present")
    @classmethod
    def _check_classes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in BY_NAME:
                raise ValueError(unknown_name("class", name, BY_NAME))
        return names


Rule = TypeVar("Rule", NameRule, RoomRule)


class ClassMap:
    """What class names mean: the first rule that matches decides.

    Args:
        names, rooms: the rules of the file.
        source: its name in errors.
    """

    def __init__(self, names: Sequence[NameRule], rooms: Sequence[RoomRule], source: str) -> None:
        self._names, self._rooms = tuple(names), tuple(rooms)
        self._source = source
        described = [rule.model_dump_json() for rule in (*names, *rooms)]
        self.fingerprint = hashlib.sha256("\n".join(described).encode()).hexdigest()
        self._rule: Callable[[str, str], NameRule] = cache(self._find_rule)
        self.labelled: Callable[[frozenset[str]], frozenset[int]] = cache(self._find_labelled)

    @classmethod
    def read(cls, path: Path) -> ClassMap:
        """Reads a class map; raises SettingsError where it is none."""
        values = read_toml(path)
        for key in values:
            if key not in ("names", "rooms"):
                raise SettingsError(f"class map {path}: {unknown_name('key', key, ('names', 'rooms'))}")
        names = _entries(NameRule, values.get("names", []), f"class map {path}, `names`")
        rooms = _entries(RoomRule, values.get("rooms", []), f"class map {path}, `rooms`")
        if not names and not rooms:
            raise SettingsError(f"class map {path}: expected entries of `names` or `rooms`, got none")
        return cls(names, rooms, str(path))

    def meaning(self, room: str = "") -> Meaning:
        """The meanings of class names in a room; they raise DatasetError for a name without a rule."""
        return lambda name: _TARGETS[self._rule(name, room).to]

    def targets(self) -> Mapping[str, int]:
        """The meanings as `ReadOptions.targets`, for datasets whose names are read as they are opened."""
        return _Targets(self.meaning())

    def _find_labelled(self, names: frozenset[str]) -> frozenset[int]:
        """COCO ids of the classes that a source labels which draws these names: those that one means in some room.

        Where a table is a dining table in some rooms alone, it is known in the others where no dining table is.
        """
        targets = {rule.to for name in names for rule in self._possible(name)}
        return frozenset(BY_NAME[target].coco_id for target in targets if target in BY_NAME)

    def _possible(self, name: str) -> Iterator[NameRule]:
        """The rules that decide about a name in some room: those up to the first that holds everywhere."""
        for rule in self._names:
            if _matches(name, rule.names):
                yield rule
                if not rule.rooms:
                    return

    def described(self, names: Collection[str], room: str = "") -> dict[str, list[str]]:
        """The class names by what they mean."""
        targets: dict[str, list[str]] = {}
        for name in names:
            targets.setdefault(self._rule(name, room).to, []).append(name)
        return targets

    def room_scope(self, room: str) -> LabelScope:
        """What is known of photos of a room."""
        rules = [rule for rule in self._rooms if _matches(room, rule.rooms)]
        absent, present = (
            frozenset(BY_NAME[name].coco_id for rule in rules for name in getattr(rule, key))
            for key in ("absent", "present")
        )
        return LabelScope(absent=absent, present=present - absent)

    def _find_rule(self, name: str, room: str) -> NameRule:
        for rule in self._names:
            if _matches(name, rule.names) and (not rule.rooms or _matches(room, rule.rooms)):
                return rule
        raise DatasetError(f"expected a rule for the class {name!r} in the class map {self._source}, got none")


def _entries(model: type[Rule], entries: Any, source: str) -> list[Rule]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingsError(f"{source}: expected tables in double brackets, got {brief(entries)}")
    return [validate(model, entry, f"{source}, entry {number}") for number, entry in enumerate(entries, 1)]


class _Targets(Mapping[str, int]):
    """The meanings of a class map as `ReadOptions.targets`: it knows every name."""

    def __init__(self, meaning: Meaning) -> None:
        self._meaning = meaning

    def __getitem__(self, name: str) -> int:
        return self._meaning(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True


def shipped_map(name: str) -> ClassMap:
    """The class map of a source, by its name."""
    return ClassMap.read(MAPS / f"{name}.toml")


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(_plain(name), _plain(pattern)) for pattern in patterns)


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ").strip()
