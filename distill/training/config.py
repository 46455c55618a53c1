"""What a training run is made of: one frozen dataclass, filled from a TOML file and from flags."""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

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


SEED_MAX = 2**32 - 1
_T = TypeVar("_T")
SHIPPED, RANDOM = "shipped", "random"
"""Values of `init` that are no file."""


def setting(default: _T, meaning: str) -> _T:
    """A field of TrainConfig with its default and what its flag's help says."""
    return dataclasses.field(default=default, metadata={"help": meaning})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `python -m distill train`; every field is a key of the TOML file and a flag."""

    data: tuple[str, ...] = setting((), "datasets to train on: COCO, mask folders, packed or other tools' folders")
    weights: tuple[float, ...] = setting(
        (), "how often photos of each dataset are drawn, one number a dataset (default: in proportion to their photos)"
    )
    extra: tuple[str, ...] = setting(
        (), "auto-labelled datasets, of which each step gets `extra_batch` views besides its `batch`"
    )
    extra_weights: tuple[float, ...] = setting((), "as `weights`, of `extra`")
    extra_batch: int = setting(4, "photos of `extra` a step")
    skip_invalid: bool = setting(False, "leave out invalid annotations and photos of other tools' datasets")
    crowds: str = setting("auto", "what iscrowd annotations of tables in COCO files are: auto, instances or refuse")
    images: str = setting("", "the folder of a COCO file's photos (default: looked for around the file)")
    follow_links: bool = setting(False, "take links that leave a dataset's folder")
    val: tuple[str, ...] = setting(
        (),
        "datasets that the averaged weights are scored on before the first step, during training and after the last; "
        "one that is also in `data` gives the held-back side of its split",
    )
    val_minutes: float = setting(15.0, "minutes between validations")
    val_photos: int = setting(60, "the most photos of each validation set, spread evenly")
    split: str = setting("train", "side of the block-wise split of `data` to train on: train, or all (none held back)")
    encoder: str = setting("mosaic", "mosaic, efficientnet_lite0, efficientnet_lite1 or efficientnet_lite2")
    init: str = setting(
        SHIPPED,
        "start: shipped (the weights of this release), random, or an .npz file, whose missing tensors start at random",
    )
    run: str = setting("runs/train", "folder for checkpoints, curves and the final weights")
    steps: int = setting(2000, "length of the schedule; or `budget`")
    budget: str = setting("", "a time such as 25m or 1.5h that the whole schedule is fitted into, in place of `steps`")
    batch: int = setting(8, "photos a step")
    crop: int = setting(384, "side of the square crops in pixels, a multiple of 128")
    max_side: int = setting(768, "longest side, in pixels, that larger photos are reduced to when they are read")
    stream: bool = setting(False, "read photos during training, for datasets that do not fit into memory")
    buffer: int = setting(1024, "photos that a stream mixes")
    lr: float = setting(1e-3, "AdamW's peak learning rate of tensors that start at random")
    pretrained_lr: float = setting(0.1, "factor on it for tensors that `init` brought")
    freeze: bool = setting(False, "leave what `init` brought of encoder and semantic branch as it is")
    weight_decay: float = setting(0.01, "AdamW's decay of weights")
    warmup: float = setting(0.05, "share of the schedule with rising learning rate")
    clip: float = setting(5.0, "largest norm of the gradient")
    ema: float = setting(
        0.998, "decay of the averaged weights that are scored and shipped; at most (1 + step) / (10 + step)"
    )
    table_share: float = setting(0.35, "share of each batch drawn from photos with a dining table")
    mirror: float = setting(
        0.0, "weight of a loss: the semantic branch learns what the averaged weights give for the mirror image"
    )
    copy_paste: float = setting(0.0, "chance of each photo to get a dining table of another one of its batch")
    jitter: float = setting(1.0, "strength of changes of light, colour and sharpness, 0: none")
    amp: str = setting(
        "auto",
        "mixed precision: off, bf16 or fp16; auto: bf16 on a GPU, and on a CPU that has AMX or AVX512-BF16 where the "
        "first steps are faster with it",
    )
    device: str = setting("auto", "cpu, cuda, or auto")
    threads: int = setting(0, "CPU threads (0: torch's own choice)")
    licence: str = setting(
        "", "commercial: refuse data and weights that a product may not be trained on, or that do not say so"
    )
    seed: int = setting(0, "of everything random")
    checkpoint_every: int = setting(200, "steps between checkpoints")
    log_every: int = setting(20, "steps between lines of losses")
    checkpoint_minutes: float = setting(5.0, "a checkpoint is also written after so many minutes without one")

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
        if self.seed > SEED_MAX:
            raise ConfigError(f"expected `seed` to be at most {SEED_MAX}, got {self.seed}")
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
        flag, default, meaning = "--" + name.replace("_", "-"), field.default, field.metadata["help"]
        if isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=meaning)
        elif isinstance(default, tuple):
            parser.add_argument(flag, nargs="+", type=element_type(name), default=None, help=meaning)
        else:
            shown = f"{meaning} (default: {default})" if default != "" else meaning
            parser.add_argument(flag, type=type(default), default=None, help=shown)


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
