"""What a training run is made of: one frozen dataclass, filled from a TOML file and from flags."""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surfaces.cli.arguments import local_path
from surfaces.datasets import ReadOptions
from surfaces.datasets.description import licences_of
from surfaces.datasets.reading import CROWDS
from surfaces.errors import SurfacesError
from surfaces.io.local_files import read_text
from surfaces.licences import Licence, merged


class ConfigError(SurfacesError):
    """A configuration key or value is not as expected."""

    exit_code = 11


SHIPPED, RANDOM = "shipped", "random"
"""Values of `init` that are no file."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `python -m distill train`; every field is a key of the TOML file and a flag.

    Attributes:
        data: dataset folders to train on: COCO, mask folders or packed.
        weights: how often photos of each dataset are drawn, one number a dataset; empty: in proportion to their photos.
        extra: auto-labelled datasets, of which each step gets `extra_batch` views besides its `batch` (none: no views).
        extra_weights, extra_batch: as weights and batch.
        skip_invalid, crowds, images: how COCO files are read, as in `surfaces.datasets.ReadOptions`; with no `images`,
            photos are looked for around the file.
        follow_links: take links that leave a dataset's folder.
        val: datasets that the moving average is scored on during training, before the first step and after the last
            (none: it is not); one that is also in `data` gives the held-back side of its split.
        val_minutes, val_photos: minutes between validations; the most photos of each dataset, spread evenly.
        split: which side of the block-wise split of `data` is trained on: train, or all (no photo is held back).
        encoder: mosaic, efficientnet_lite0, efficientnet_lite1 or efficientnet_lite2.
        init: what to start from: shipped (the weights of this release), random, or an .npz file of tensors by name;
            tensors it lacks keep their random start.
        run: folder for checkpoints, curves and the final weights.
        steps: length of the schedule; or
        budget: a time such as 25m or 1.5h that the whole schedule is fitted into (0: go by steps).
        batch, crop: photos a step; side of the square crop in pixels, a multiple of 128.
        max_side: larger photos are reduced to this longest side, in pixels, when they are read.
        stream: read photos during training, for datasets that do not fit into memory.
        buffer: photos that a stream mixes.
        lr: AdamW's peak learning rate for tensors that start at random.
        pretrained_lr: factor on it for tensors that `init` brought.
        freeze: leave what `init` brought of encoder and semantic branch as it is.
        weight_decay, warmup, clip, ema: decay of weights; share of the schedule with rising rate; largest gradient
            norm; decay of the averaged weights that are evaluated and shipped.
        table_share: share of each batch drawn from photos with a dining table.
        mirror: weight of the loss by which the semantic branch learns what the averaged weights give for the mirror
            image (0: none).
        copy_paste: chance of each photo to get a dining table of another one of its batch.
        jitter: strength of the photographic jitter (1: as described in distill/training/augment.py, 0: none).
        amp: off, bf16 or fp16; auto: bf16 on a GPU, and on a CPU that has AMX or AVX512-BF16 where the first steps are
            faster with it.
        device: cpu, cuda, or auto.
        threads: CPU threads (0: torch's own choice).
        licence: commercial: refuse data and weights that a product may not be trained on, or that do not say so.
        seed: of everything random.
        checkpoint_every, log_every: in steps.
        checkpoint_minutes: a checkpoint is also written after so many minutes without one.
    """

    data: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    extra: tuple[str, ...] = ()
    extra_weights: tuple[float, ...] = ()
    extra_batch: int = 4
    skip_invalid: bool = False
    crowds: str = "auto"
    images: str = ""
    follow_links: bool = False
    val: tuple[str, ...] = ()
    val_minutes: float = 15.0
    val_photos: int = 60
    split: str = "train"
    encoder: str = "mosaic"
    init: str = SHIPPED
    run: str = "runs/train"
    steps: int = 2000
    budget: str = ""
    batch: int = 8
    crop: int = 384
    max_side: int = 768
    stream: bool = False
    buffer: int = 1024
    lr: float = 1e-3
    pretrained_lr: float = 0.1
    freeze: bool = False
    weight_decay: float = 0.01
    warmup: float = 0.05
    clip: float = 5.0
    ema: float = 0.998
    table_share: float = 0.35
    mirror: float = 0.0
    copy_paste: float = 0.0
    jitter: float = 1.0
    amp: str = "auto"
    device: str = "auto"
    threads: int = 0
    licence: str = ""
    seed: int = 0
    checkpoint_every: int = 200
    log_every: int = 20
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError("expected at least one dataset in `data`, got none")
        for weights, folders in ((self.weights, self.data), (self.extra_weights, self.extra)):
            if weights and len(weights) != len(folders):
                raise ConfigError(f"expected one weight a dataset, got {len(weights)} for {len(folders)} datasets")
            if weights and not (min(weights) >= 0 and 0 < sum(weights) < math.inf):
                raise ConfigError(f"expected `weights` from 0, one of them positive, got {weights}")
        if self.crop % 128 or self.crop <= 0:
            raise ConfigError(f"expected `crop` to be a positive multiple of 128, got {self.crop}")
        if self.split not in ("train", "all"):
            raise ConfigError(f"expected `split` to be train or all, got {self.split!r}")
        if self.crowds not in CROWDS:
            raise ConfigError(f"expected `crowds` to be one of {', '.join(CROWDS)}, got {self.crowds!r}")
        if self.licence not in ("", "commercial"):
            raise ConfigError(f"expected `licence` to be commercial, or nothing, got {self.licence!r}")
        if self.amp not in ("auto", "off", "bf16", "fp16"):
            raise ConfigError(f"expected `amp` to be auto, off, bf16 or fp16, got {self.amp!r}")
        for name in (
            "steps",
            "batch",
            "extra_batch",
            "max_side",
            "buffer",
            "val_photos",
            "checkpoint_every",
            "log_every",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"expected `{name}` to be at least 1, got {getattr(self, name)}")
        for name in ("table_share", "warmup", "ema", "copy_paste"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"expected `{name}` to be from 0 to 1, got {getattr(self, name)}")
        for name in ("lr", "clip", "checkpoint_minutes", "val_minutes"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"expected `{name}` to be a positive number, got {getattr(self, name)}")
        for name in ("pretrained_lr", "weight_decay", "mirror", "jitter", "threads", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"expected `{name}` to be 0 or a positive number, got {getattr(self, name)}")
        if not self.init:
            raise ConfigError(f"expected `init` to be {SHIPPED}, {RANDOM} or an .npz file, got nothing")
        if self.freeze and self.init == RANDOM:
            raise ConfigError(f"expected `init` with `freeze`, got {RANDOM}: no weights that could be left as they are")
        parse_budget(self.budget)

    def read_options(self) -> ReadOptions:
        """How its datasets are read."""
        images = Path(self.images) if self.images else None
        return ReadOptions(self.skip_invalid, self.crowds, images, self.follow_links)

    def licences(self) -> tuple[Licence, ...]:
        """Of its datasets."""
        return merged(licence for path in self.data + self.extra for licence in licences_of(Path(path)))


def parse_budget(text: str) -> float:
    """Seconds in a time such as `90s`, `25m`, `1.5h`; 0 for an empty text.

    Raises:
        ConfigError: another form.
    """
    if not text:
        return 0.0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match or float(match[1]) == 0:
        raise ConfigError(f"expected a budget such as 90s, 25m or 1.5h, got {text!r}")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """One flag a field of TrainConfig; a flag that is not given leaves the file's or the default value."""
    parser.add_argument(
        "--config", type=local_path, help="TOML file with any of the settings below; flags go before it"
    )
    for name, field in FIELDS.items():
        flag = "--" + name.replace("_", "-")
        default = field.default
        if isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        elif isinstance(default, tuple):
            parser.add_argument(flag, nargs="+", type=element_type(name), default=None)
        else:
            parser.add_argument(flag, type=type(default), default=None, help=f"default {default!r}")


def config_from_arguments(args: argparse.Namespace) -> TrainConfig:
    """Defaults, overridden by the file, overridden by flags.

    Raises:
        ConfigError: the file is not there or not TOML, a key is unknown, or a value has another type.
    """
    values: dict[str, Any] = read_config_file(args.config) if args.config else {}
    values |= {name: value for name in FIELDS if (value := getattr(args, name)) is not None}
    return config_from_values(values)


def config_from_values(values: dict[str, Any]) -> TrainConfig:
    """Builds a TrainConfig from plain values, as TOML or JSON give them. Raises ConfigError as above."""
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in FIELDS:
            raise ConfigError(f"expected keys out of {', '.join(FIELDS)}; got {name!r}")
        checked[name] = typed(name, value, FIELDS[name].default)
    return TrainConfig(**checked)


def element_type(name: str) -> type[float] | type[str]:
    """What a field that is a tuple holds."""
    return float if name.endswith("weights") else str


def typed(name: str, value: Any, default: Any) -> Any:
    """The value in its field's type: lists become tuples, whole numbers pass for floats."""
    if isinstance(default, tuple) and isinstance(value, (list, tuple)):
        return tuple(typed(name, item, element_type(name)()) for item in value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise ConfigError(f"expected `{name}` to be of type {type(default).__name__}, got {value!r}")
    return value


def read_config_file(path: Path) -> dict[str, Any]:
    """The TOML file's keys. Raises ConfigError where it cannot be read."""
    try:
        return tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"expected a TOML file at {path}: {error}") from error
