"""What is looked for in a photo, and how sure a teacher has to be: the ontology, read from a TOML file."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from models.teachers.base import Prompt, PromptError
from surfaces.classes import BY_NAME, CLASSES, SurfaceClass
from surfaces.errors import SurfacesError
from surfaces.io.local_files import read_text

SHIPPED = Path(__file__).with_name("ontology.toml")

_OTHER = "other"
_MARGIN = "phrase_margin"


class SettingsError(SurfacesError):
    """A key, a value or a rule's name is not as expected."""

    exit_code = 11


@dataclass(frozen=True)
class SoughtClass:
    """One class that is looked for. All numbers are from 0 to 1.

    Attributes:
        surface: which.
        prompts: words that a text-prompted detector finds it by.
        detector_threshold: boxes that score less are not looked at.
        accept: segments of a detector that score at least this are labels.
        unsure: those that score at least this make their pixels unsure; below they are dropped.
        belief_accept: least probability of a pixel, and least mean probability of a whole thing.
        belief_disagreement: largest disagreement at a pixel.
        least_share, most_share: of the photo, for a segment.
    """

    surface: SurfaceClass
    prompts: tuple[str, ...]
    detector_threshold: float
    accept: float
    ignore_mask: float
    belief_accept: float
    belief_disagreement: float
    least_share: float
    most_share: float


@dataclass(frozen=True)
class OtherThings:
    """What is none of the classes. All numbers are from 0 to 1.

    Attributes:
        prompts: negative prompts, whose regions keep the classes off.
        detector_threshold: boxes that score less are not looked at.
        belief_accept: least probability of a pixel.
        belief_disagreement: largest disagreement at a pixel.
    """

    prompts: tuple[str, ...]
    detector_threshold: float
    belief_accept: float
    belief_disagreement: float


@dataclass(frozen=True)
class ClassConfig:
    """What is looked for in photos.

    Attributes:
        classes: in the order of `surfaces.classes.CLASSES`.
        other: what is none of them.
        phrase_margin: a box that scores for several classes belongs to the best if it leads by this much.
    """

    classes: tuple[SoughtClass, ...]
    other: OtherThings
    phrase_margin: float

    def of(self, surface: SurfaceClass) -> SoughtClass:
        """What is asked of a class."""
        return next(sought for sought in self.classes if sought.surface == surface)

    def prompts(self) -> tuple[Prompt, ...]:
        """All prompts, those of the classes first."""
        wanted = [Prompt(text, sought.surface) for sought in self.classes for text in sought.prompts]
        return (*wanted, *(Prompt(text, None) for text in self.other.prompts))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything above; the same in every process."""
        document = asdict(self) | {"classes": [_plain(sought) for sought in self.classes]}
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _plain(sought: SoughtClass) -> dict[str, Any]:
    return asdict(sought) | {"surface": sought.surface.name}


@cache
def default_class_config() -> ClassConfig:
    """The ontology that is shipped."""
    return _ontology(_read_toml(SHIPPED), SHIPPED.name)


def read_class_config(path: Path) -> ClassConfig:
    """An ontology out of a TOML file; what the file does not say is as in the shipped one.

    Args:
        path: a file with any of the keys of `autolabel/ontology.toml`.

    Raises:
        SettingsError: there is no such file, it is not TOML, a key or class is unknown, or a value is of a wrong type,
            out of range, or at odds with another.
    """
    values = _read_toml(SHIPPED)
    for name, value in _read_toml(path).items():
        values[name] = values[name] | value if _both_tables(values.get(name), value) else value
    return _ontology(values, path.name)


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """What to say of a name that is not known: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(known)}"
    return f"unknown {kind} {name!r}; {hint}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"expected a TOML file at {path}: {error}") from error


def _both_tables(shipped: object, given: object) -> bool:
    return isinstance(shipped, dict) and isinstance(given, dict)


def _ontology(values: Mapping[str, Any], source: str) -> ClassConfig:
    """Builds the ontology; `source` is the file's name, with which each error begins."""
    try:
        _require_known(values, (_MARGIN, *BY_NAME, _OTHER), "the file")
        class_config = ClassConfig(
            tuple(_sought(surface, values[surface.name]) for surface in CLASSES),
            OtherThings(**_section(_OTHER, values[_OTHER], {field.name for field in fields(OtherThings)})),
            _number(f"`{_MARGIN}`", values[_MARGIN]),
        )
        _require_distinct(class_config.prompts())
    except SettingsError as error:
        raise SettingsError(f"{source}: {error}") from None
    return class_config


def _sought(surface: SurfaceClass, values: object) -> SoughtClass:
    keys = {field.name for field in fields(SoughtClass)} - {"surface"} | {"kind"}
    section = _section(surface.name, values, keys)
    kind = "thing" if surface.is_thing else "stuff"
    if section.pop("kind") != kind:
        raise SettingsError(f"expected `kind` in [{surface.name}] to be {kind!r}, as in surfaces/classes.py")
    sought = SoughtClass(surface, **section)
    for low, high in (("unsure", "accept"), ("least_share", "most_share")):
        if getattr(sought, low) > getattr(sought, high):
            raise SettingsError(
                f"expected `{low}` in [{surface.name}] to be at most `{high}`, "
                f"got {getattr(sought, low)} and {getattr(sought, high)}"
            )
    if not sought.prompts:
        raise SettingsError(f"expected at least one of `prompts` in [{surface.name}], got none")
    return sought


def _section(name: str, values: object, keys: Collection[str]) -> dict[str, Any]:
    """The checked values of one of the file's tables, which may have no other keys."""
    if not isinstance(values, dict):
        raise SettingsError(f"expected [{name}] to be a table of keys, got {values!r}")
    _require_known(values, sorted(keys), f"[{name}]")
    return {key: _value(f"`{key}` in [{name}]", key, value) for key, value in values.items()}


def _value(place: str, key: str, value: object) -> object:
    if key == "kind":
        return value
    return _prompts(place, value) if key == "prompts" else _number(place, value)


def _number(place: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise SettingsError(f"expected {place} to be a number from 0 to 1, got {value!r}")
    return float(value)


def _prompts(place: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise SettingsError(f"expected {place} to be a list of words, got {value!r}")
    for text in value:
        if not isinstance(text, str):
            raise SettingsError(f"expected {place} to be words, got {text!r}")
        try:
            Prompt(text, None)
        except PromptError as error:
            raise SettingsError(f"{error} (in {place})") from None
    return tuple(value)


def _require_known(values: Mapping[str, Any], known: Collection[str], place: str) -> None:
    for key in values:
        if key not in known:
            raise SettingsError(f"{unknown('key', key, known)} (in {place})")


def _require_distinct(prompts: Collection[Prompt]) -> None:
    text, count = Counter(prompt.text for prompt in prompts).most_common(1)[0]
    if count > 1:
        raise SettingsError(f"expected each prompt once, got {text!r} {count} times")
