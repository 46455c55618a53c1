"""Training steps: optimizer, moving average, learning rate schedule, and checkpoints on the way."""

from __future__ import annotations

import copy
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.training.batches import SEED_STRIDE, BatchMaker
from distill.training.checkpoint import Checkpoint, save_checkpoint
from distill.training.config import (
    TrainConfig,
    parse_budget,
)
from distill.training.curves import Curves
from distill.training.stopping import StoppedError, noted_signals
from distill.training.targets import table_targets
from models.student.network import Student
from models.student.weights import BRANCH_PARTS
from models.weights.training_photos import TrainingPhotos
from surfaces.errors import SurfacesError

WEIGHTS_NAME = "student.npz"
CONFIG_NAME = "config.json"


class DivergedError(SurfacesError):
    """Training has failed: the losses or the weights are no longer finite numbers."""

    exit_code = 26


LOSS_WEIGHTS = {
    "semantic": 1.0,
    "soft_labels": 1.0,
    "objectness": 1.0,
    "proposal_shape": 1.0,
    "box_class": 1.0,
    "box_shape": 1.0,
    "mask": 1.0,
}


@dataclass(frozen=True, eq=False)
class Start:
    """A student before the first step.

    Attributes:
        student: with the weights that training starts from.
        random: names of its tensors that start at random.
    """

    student: Student
    random: frozenset[str]


def report(message: str) -> None:
    """One line on stderr."""
    print(message, file=sys.stderr, flush=True)


class Trainer:
    """A student, its moving average and its optimizer, and the steps that change them."""

    def __init__(
        self, config: TrainConfig, start: Start, batches: BatchMaker, device: torch.device, curves: Curves
    ) -> None:
        self.config, self.batches, self.device, self.curves = config, batches, device, curves
        self.student = start.student
        for data in filter(None, (batches.data, batches.extra)):
            self.student.training_photos = self.student.training_photos.union(TrainingPhotos.of(data.hashes))
        self.student.to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.student).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.student, start.random, config), weight_decay=config.weight_decay
        )
        self.amp = amp_dtype(config.amp, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.amp == torch.float16)
        self.budget = parse_budget(config.budget)
        self.step, self.elapsed = 0, 0.0

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to where the checkpoint was written."""
        self.step, self.elapsed = checkpoint.step, checkpoint.elapsed
        self.student.load_state_dict(checkpoint.student)
        self.average.load_state_dict(checkpoint.average)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        if checkpoint.scaler:
            self.scaler.load_state_dict(checkpoint.scaler)
        report(f"resumed after step {self.step}")

    def progress(self) -> float:
        """How much of the schedule is done, 0 to 1."""
        return min(1.0, self.elapsed / self.budget if self.budget else self.step / self.config.steps)

    def fit(self, folder: Path) -> None:
        """Steps to the end of the schedule, with checkpoints on the way, at the end, and when a signal comes.

        Raises:
            StoppedError: a signal came.
            DivergedError: losses or weights are no longer finite.
        """
        started = time.monotonic() - self.elapsed
        saved = time.monotonic()
        with noted_signals() as stop:
            while self.progress() < 1:
                losses = self.train_step()
                self.elapsed = time.monotonic() - started
                stopped_by = stop.signal  # read once: a signal may come at any moment
                done = self.progress() == 1 or stopped_by is not None
                due = time.monotonic() - saved >= 60 * self.config.checkpoint_minutes
                log = self.step % self.config.log_every == 0 or done
                save = self.step % self.config.checkpoint_every == 0 or due or done
                if log or save:
                    self.require_finite(losses)
                if log:
                    self.log(losses)
                if save:
                    save_checkpoint(self.checkpoint(), folder)
                    saved = time.monotonic()
                if stopped_by is not None and self.progress() < 1:
                    raise StoppedError(
                        f"stopped after step {self.step}; the same command with --resume continues", stopped_by
                    )

    def require_finite(self, losses: dict[str, Tensor]) -> None:
        """Raises DivergedError where a loss or a weight is not finite; fp16 skips steps whose gradients overflow."""
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() >= 1
        wrong = [name for name, loss in losses.items() if not bool(loss.isfinite().all())]
        broken = not all(bool(parameter.isfinite().all()) for parameter in self.student.parameters())
        if broken or (wrong and not overflow):
            named = ", ".join(wrong) or "the weights"
            raise DivergedError(
                f"expected finite losses and weights, got others in {named} at step {self.step}: "
                f"lower `lr` ({self.config.lr})"
            )

    def checkpoint(self) -> Checkpoint:
        """The present state."""
        return Checkpoint(
            self.step,
            self.elapsed,
            self.config,
            self.student.state_dict(),
            self.average.state_dict(),
            self.optimizer.state_dict(),
            self.scaler.state_dict(),
        )

    def train_step(self) -> dict[str, Tensor]:
        """One batch, one update; returns the losses."""
        factor = schedule(self.progress(), self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        torch.manual_seed(self.config.seed * SEED_STRIDE + self.step)  # torchvision's samplers draw from the global one
        batch = self.batches.make(self.step)
        if self.step % (10 * self.config.log_every) == 0:
            self.curves.samples(self.step, batch.images, batch.labels)
        with torch.autocast(self.device.type, dtype=self.amp or torch.bfloat16, enabled=self.amp is not None):
            losses = self.student.losses(
                batch.images,
                batch.labels[:, 0],
                batch.candidates,
                table_targets(batch.labels, batch.candidates),
                batch.soft_labels,
                batch.soft_labelled,
            )
            total = torch.stack([LOSS_WEIGHTS[name] * loss.float() for name, loss in losses.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), self.config.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        self.update_average()
        return losses

    @torch.no_grad()
    def update_average(self) -> None:
        """Moves the average towards the weights; quickly at first, so that a short run forgets its random start."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for slow, fast in zip(self.average.parameters(), self.student.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)

    def log(self, losses: dict[str, Tensor]) -> None:
        """One line for the terminal, one point for the curves."""
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        values["total"] = sum(LOSS_WEIGHTS[name] * value for name, value in values.items())
        rate = self.optimizer.param_groups[-1]["lr"]
        self.curves.scalars(self.step, {**values, "lr": rate})
        done = self.progress()
        left = self.elapsed * (1 - done) / done if done else 0.0
        parts = " ".join(f"{name} {value:.3f}" for name, value in values.items())
        report(
            f"step {self.step} ({done:.0%}, {self.elapsed / self.step:.2f} s a step, {left / 60:.0f} min left) {parts}"
        )


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


def amp_dtype(choice: str, device: torch.device) -> torch.dtype | None:
    """The type of automatic mixed precision, None for none."""
    if choice == "auto":
        return torch.bfloat16 if device.type == "cuda" else None
    return {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[choice]
