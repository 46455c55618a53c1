"""The benchmark's TOML file. Paths may hold environment variables (`$DATA/nyuv2`); results keep them as written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from distill.training.config import ConfigError, read_config_file

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class Entry(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class DataEntry(Entry):
    """A dataset that models are scored on, and the side of its split."""

    name: Name
    path: str
    split: Literal["train", "val", "all"] = "val"


class ModelEntry(Entry):
    """A candidate model.

    `segmenter` is an exported student as segment.py runs it; `student` and `onnx` are the semantic probabilities of
    exported students and other networks, `mask-rcnn` is torchvision's.
    """

    name: Name
    title: str
    kind: Literal["segmenter", "student", "onnx", "mask-rcnn"]
    weights: tuple[str, ...] = Field((), strict=False)  # none: the shipped network
    class_map: str = "mosaic"  # of `onnx`: this or a file
    mirror: bool = False  # of `student` and `onnx`: average with the mirrored photo
    network: str = "resnet50_fpn"  # of `mask-rcnn`: one of `distill.commands.benchmark.MASK_RCNNS`
    rounds: int = Field(7, ge=0)  # of the timing; 0: not timed
    seen: dict[str, str] = {}  # by dataset: how the model saw its photos in training

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.kind == "onnx" and not self.weights:
            raise ValueError(f"expected `weights` of the model {self.name}, got none")
        if self.kind in ("segmenter", "student") and len(self.weights) > 1:
            raise ValueError(f"expected one file of `weights` of the model {self.name}, got {len(self.weights)}")
        return self


class DifferenceEntry(Entry):
    """The mean difference of scores between pairs of models on the same photos."""

    title: str
    these: tuple[str, ...] = Field(min_length=1, strict=False)
    those: tuple[str, ...] = Field(strict=False)

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if len(self.these) != len(self.those):
            raise ValueError(f"expected `these` and `those` in pairs ({self.title})")
        return self


class BenchmarkConfig(Entry):
    """The file."""

    reference: str  # the model that the others are compared with
    photo: str  # is timed on, its longest side reduced to `side`
    side: int
    data: tuple[DataEntry, ...] = Field(min_length=1, strict=False)
    models: tuple[ModelEntry, ...] = Field(alias="contenders", min_length=1, strict=False)
    differences: tuple[DifferenceEntry, ...] = Field((), strict=False)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        models, datasets = [entry.name for entry in self.models], [entry.name for entry in self.data]
        for table, names in (("contenders", models), ("data", datasets)):
            if len(set(names)) < len(names):
                raise ValueError(f"expected each name of [[{table}]] once, got {', '.join(names)}")
        references: list[tuple[str, tuple[str, ...], list[str]]] = [("reference", (self.reference,), models)]
        references += [(f"seen of {entry.name}", tuple(entry.seen), datasets) for entry in self.models]
        references += [(f"these and those of {d.title!r}", d.these + d.those, models) for d in self.differences]
        for what, values, known in references:
            for value in values:
                if value not in known:
                    raise ValueError(f"expected {what} out of {', '.join(known)}; got {value!r}")
        return self


def read_config(path: Path) -> BenchmarkConfig:
    """Reads the benchmark's file; ConfigError where it, a key or a value is not as expected."""
    content = read_config_file(path)
    try:
        return BenchmarkConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        given = "" if isinstance(first["input"], (dict, BaseModel)) else f", got {first['input']!r}"
        raise ConfigError(f"{place}: {message}{given} (in {path})" if place else f"{message} (in {path})") from error


def resolve(text: str) -> Path:
    """A path with its environment variables replaced; ConfigError where one is not set."""
    path = os.path.expandvars(text)
    if "$" in path:
        raise ConfigError(f"expected the variables of {text} in the environment, one is not set")
    return Path(path)
