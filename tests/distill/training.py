"""Small training runs for tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from distill.training.config import TrainConfig

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


def flags_of(config: TrainConfig) -> list[str]:
    """The flags that give a command this configuration."""
    flags = []
    for name, value in vars(config).items():
        if value == TrainConfig.__dataclass_fields__[name].default:
            continue
        values = value if isinstance(value, tuple) else [value]
        flags += [f"--{name.replace('_', '-')}", *map(str, values)]
    return flags


def run_distill(*arguments: str, python: tuple[str, ...] = ("-m", "distill")) -> subprocess.CompletedProcess[str]:
    """Runs `python -m distill` as a process of its own."""
    return subprocess.run([sys.executable, *python, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
