"""Learning rates: of parts of the network, and over a run."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from distill.training.config import TrainConfig
from models.student.network import Student
from models.student.weights import BRANCH_PARTS


def parameter_groups(student: Student, random: frozenset[str], config: TrainConfig) -> list[dict[str, Any]]:
    """What `init` brought and what starts at random, with rates of their own; frozen parts are left out."""
    brought: list[Tensor] = []
    new: list[Tensor] = []
    for name, parameter in student.named_parameters():
        if name in random:
            new.append(parameter)
        elif config.freeze and name.split(".")[0] in BRANCH_PARTS:
            parameter.requires_grad_(False)
        else:
            brought.append(parameter)
    groups = [{"params": brought, "peak": config.lr * config.pretrained_lr}, {"params": new, "peak": config.lr}]
    return [group for group in groups if group["params"]]


def schedule(progress: float, warmup: float) -> float:
    """Factor on the learning rate: a linear rise, then half a cosine down to 0 (Loshchilov and Hutter, SGDR, 2017)."""
    if progress < warmup:
        return max(progress / warmup, 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
