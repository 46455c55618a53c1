"""Small training runs for tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.training.batches import BatchMaker
from distill.training.config import TrainConfig
from distill.training.curves import Curves
from distill.training.data import load_on_device
from distill.training.run import start
from distill.training.trainer import Trainer
from models.student.weights import read_tensors
from models.weights.training_photos import KEYS
from surfaces.datasets import open_dataset

ROOT = Path(__file__).parents[2]
ROOMS = ROOT / "tests" / "data" / "rooms"


def small_config(run: Path, **changes: Any) -> TrainConfig:
    """Three steps of two small crops, on one thread so that they can be repeated bit by bit."""
    values = {
        "data": (str(ROOMS),),
        "split": "all",
        "init": "random",
        "run": str(run),
        "steps": 3,
        "batch": 2,
        "crop": 128,
        "threads": 1,
        "checkpoint_every": 2,
        "log_every": 1,
        "amp": "off",
    }
    return TrainConfig(**values | changes)


def small_trainer(config: TrainConfig) -> Trainer:
    """A trainer on the first two rooms."""
    torch.set_num_threads(1)
    data = load_on_device([open_dataset(ROOMS)[:2]], (), torch.device("cpu"))
    return Trainer(config, start(config), BatchMaker(config, data), torch.device("cpu"), Curves(None))


def without_record(weights: Path, out: Path) -> Path:
    """A copy of weights that does not record the photos they learned from."""
    np.savez(out, **{name: array for name, array in read_tensors(weights).items() if name not in KEYS})
    return out


def flags_of(config: TrainConfig) -> list[str]:
    """The flags that give a command this configuration."""
    flags = []
    for name, value in vars(config).items():
        if value == TrainConfig.__dataclass_fields__[name].default:
            continue
        values = value if isinstance(value, tuple) else [] if value is True else [value]
        flags += [f"--{name.replace('_', '-')}", *map(str, values)]
    return flags


def run_distill(*arguments: str, python: tuple[str, ...] = ("-m", "distill")) -> subprocess.CompletedProcess[str]:
    """Runs `python -m distill` as a process of its own."""
    return subprocess.run([sys.executable, *python, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
