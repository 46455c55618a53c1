"""The classes, prompts and thresholds of a labelling run, read from a TOML file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, create_model, model_validator

from models.teachers.base import Prompt, PromptError
from surfaces.classes import CLASSES, SurfaceClass
from surfaces.cli.settings_files import SettingsError, read_toml, validate

SHIPPED = Path(__file__).with_name("classes.toml")


def _require_prompt(text: str) -> str:
    try:
        return Prompt(text, None).text
    except PromptError as error:
        raise ValueError(error) from error


Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Prompts = Annotated[tuple[Annotated[str, AfterValidator(_require_prompt)], ...], Strict(False)]  # TOML has lists
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class OtherSettings(BaseModel):
    """The negative prompts, whose regions no class may have, and the thresholds of "other"; see `classes.toml`."""

    model_config = STRICT

    prompts: Prompts
    detector_threshold: Share
    belief_accept: Share
    belief_disagreement: Share


class ClassSettings(OtherSettings):
    """The prompts and thresholds of one class; see `classes.toml`."""

    kind: Literal["stuff", "thing"]
    accept: Share
    unsure: Share
    least_share: Share
    most_share: Share

    @model_validator(mode="after")
    def _require_order(self) -> ClassSettings:
        for low, high in (("unsure", "accept"), ("least_share", "most_share")):
            least, most = getattr(self, low), getattr(self, high)
            if least > most:
                raise ValueError(f"expected `{low}` to be at most `{high}`, got {least} and {most}")
        if not self.prompts:
            raise ValueError("expected at least one of `prompts`, got none")
        return self


@dataclass(frozen=True)
class ClassConfig:
    """The classes that are labelled, in the order of `surfaces.classes.CLASSES`, and everything else.

    A box with scores for several classes belongs to the best if it leads by `phrase_margin`.
    """

    classes: Mapping[SurfaceClass, ClassSettings]
    other: OtherSettings
    phrase_margin: float

    def prompts(self) -> tuple[Prompt, ...]:
        """All prompts, those of the classes first."""
        of_classes = [Prompt(text, surface) for surface, settings in self.classes.items() for text in settings.prompts]
        return (*of_classes, *(Prompt(text, None) for text in self.other.prompts))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all values; its document keeps the form of version 0.1, so that runs resume."""
        document = {
            "classes": [
                {"surface": surface.name, **settings.model_dump(exclude={"kind"})}
                for surface, settings in self.classes.items()
            ],
            "other": self.other.model_dump(),
            "phrase_margin": self.phrase_margin,
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@cache
def default_class_config() -> ClassConfig:
    """The shipped class config."""
    return _build(read_toml(SHIPPED), SHIPPED.name)


def read_class_config(path: Path) -> ClassConfig:
    """Reads a TOML file with any of the keys of `classes.toml`; absent keys are as in the shipped file.

    Raises:
        SettingsError: there is no such file, it is not TOML, a key is unknown, or a value is not as expected.
    """
    values = read_toml(SHIPPED)
    for name, value in read_toml(path).items():
        is_table = isinstance(values.get(name), dict) and isinstance(value, dict)
        values[name] = values[name] | value if is_table else value
    return _build(values, path.name)


def _build(values: Mapping[str, Any], source: str) -> ClassConfig:
    tables: dict[str, Any] = {surface.name: ClassSettings for surface in CLASSES}
    file = create_model("ClassFile", __config__=STRICT, phrase_margin=Share, other=OtherSettings, **tables)
    checked = dict(validate(file, values, source))
    classes = {surface: checked[surface.name] for surface in CLASSES}
    config = ClassConfig(classes, checked["other"], checked["phrase_margin"])
    for surface, settings in classes.items():
        kind = "thing" if surface.is_thing else "stuff"
        if settings.kind != kind:
            raise SettingsError(f"{source}: expected `kind` in [{surface.name}] to be {kind!r}, got {settings.kind!r}")
    text, count = Counter(prompt.text for prompt in config.prompts()).most_common(1)[0]
    if count > 1:
        raise SettingsError(f"{source}: expected each prompt once, got {text!r} {count} times")
    return config
