"""Checkpoints that let a run go on as if it had never stopped."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from types import UnionType
from typing import Any

import torch

from distill.training.config import TrainConfig, config_from_values
from surfaces.errors import SurfacesError, WeightsError
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import open_regular
from surfaces.messages import brief

NAME = "checkpoint.pt"
_KINDS: dict[str, type | UnionType] = {
    "step": int,
    "elapsed": float | int,
    "student": dict,
    "average": dict,
    "optimizer": dict,
    "scaler": dict,
    "amp": str,
    "photo_hashes": list,
}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run between two steps.

    Attributes:
        step: steps done.
        elapsed: seconds of training so far, which a time budget counts.
        config: the run's settings.
        student, average, optimizer: state dicts of the weights, of their moving average, of AdamW.
        scaler: of the loss scaling that fp16 needs; empty without it.
        amp: the type that `amp = "auto"` chose.
        photo_hashes: of the photos that were streamed so far; empty without `stream`.
    """

    step: int
    elapsed: float
    config: TrainConfig
    student: dict[str, Any]
    average: dict[str, Any]
    optimizer: dict[str, Any]
    scaler: dict[str, Any] = field(default_factory=dict)
    amp: str = "off"
    photo_hashes: list[int] = field(default_factory=list)


def save_checkpoint(checkpoint: Checkpoint, run: Path) -> None:
    """Writes RUN/checkpoint.pt; the old one stays whole until the new one is.

    Raises:
        OutputError: it cannot be written.
    """
    values = {part.name: getattr(checkpoint, part.name) for part in dataclasses.fields(checkpoint)}
    values["config"] = dataclasses.asdict(checkpoint.config)
    buffer = io.BytesIO()
    torch.save(values, buffer)
    replace_file(run / NAME, buffer.getvalue())


def load_checkpoint(run: Path) -> Checkpoint | None:
    """RUN/checkpoint.pt, or None where there is none.

    Raises:
        WeightsError: the file cannot be read.
    """
    path = run / NAME
    if not path.exists():
        return None
    try:
        with open_regular(path) as file:
            values = torch.load(file, map_location="cpu", weights_only=True)
        values["config"] = config_from_values(values["config"])
        checkpoint = Checkpoint(**values)
    except SurfacesError:
        raise
    except UnpicklingError as error:  # torch's own words advise to run the code in it
        raise WeightsError(f"expected a checkpoint at {path}: it is damaged or holds code") from error
    except Exception as error:  # other bytes make torch raise nearly anything
        raise WeightsError(f"expected a checkpoint at {path}: {(str(error) or repr(error)).splitlines()[0]}") from error
    for name, kind in _KINDS.items():
        value = getattr(checkpoint, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise WeightsError(f"expected a checkpoint at {path}, its `{name}` is {brief(value)}")
    return checkpoint
