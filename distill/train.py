"""`python -m distill train`: dataset in, weights out."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.batches import SEED_STRIDE, BatchMaker
from distill.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from distill.config import ConfigError, TrainConfig, add_config_arguments, config_from_arguments, parse_budget
from distill.curves import Curves, open_curves
from distill.data import DeviceData, load_on_device, training_samples
from distill.datasets import require_labelled
from distill.targets import table_targets
from models.student.network import Student
from models.student.weights import BRANCH_PARTS, read_tensors, save_student, start_from
from surfaces.files import replace_file

WEIGHTS_NAME = "student.npz"

LOSS_WEIGHTS = {
    "semantic": 1.0,
    "belief": 1.0,
    "objectness": 1.0,
    "proposal_shape": 1.0,
    "box_class": 1.0,
    "box_shape": 1.0,
    "mask": 1.0,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add_config_arguments(parser)
    parser.add_argument("--resume", action="store_true", help="go on from RUN's checkpoint, to the same end")


def run(args: argparse.Namespace) -> int:
    """Trains; the path of the weights is the result."""
    config = config_from_arguments(args)
    print(train(config, resume=args.resume))
    return 0


def train(config: TrainConfig, resume: bool = False) -> Path:
    """Trains a student and writes its averaged weights.

    The same seed, data and settings give the same weights on the same machine, in one go or resumed: all that is
    random in a step is seeded from its number.

    Args:
        config: the run's settings.
        resume: go on from the checkpoint in the run's folder; without one, start.

    Returns:
        Path of the averaged weights (.npz), as models.student.weights reads them.

    Raises:
        ConfigError: the checkpoint is of other settings, the run's folder is in use and `resume` was not asked, or this
            machine has no such device.
        DatasetError, WeightsError: data or weights are not as expected.
        OutputError: the run's folder cannot be written to.
    """
    folder = Path(config.run)
    checkpoint = load_checkpoint(folder)
    if checkpoint and not resume:
        raise ConfigError(f"expected an empty folder at {folder}, got a run of {checkpoint.step} steps; add --resume")
    if checkpoint and checkpoint.config != config:
        raise ConfigError(
            f"expected the settings that {folder} was begun with, got others: {differences(checkpoint.config, config)}"
        )
    device = chosen_device(config.device)
    replace_file(folder / "config.json", (json.dumps(dataclasses.asdict(config), indent=2) + "\n").encode())
    if config.threads:
        torch.set_num_threads(config.threads)
    report(f"reading {', '.join(config.data)}")
    options = config.read_options()
    samples = training_samples(config.data, config.split, options)
    require_labelled(itertools.chain.from_iterable(samples))
    data = load_on_device(samples, config.weights, device)
    report(f"{told(data)}, on {device}")
    extra = None
    if config.extra:
        extra = load_on_device(training_samples(config.extra, "all", options), config.extra_weights, device)
        report(f"besides, {told(extra)}")
    with open_curves(folder) as curves:
        trainer = Trainer(config, BatchMaker(config, data, extra), device, curves)
        if checkpoint:
            trainer.restore(checkpoint)
        trainer.fit(folder)
    path = folder / WEIGHTS_NAME
    save_student(trainer.average, path)
    return path


def chosen_device(name: str) -> torch.device:
    """The device of that name; auto: a GPU where there is one. Raises ConfigError where there is no such device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"expected `device` to be auto, cpu or a GPU that torch finds here, got {name!r}") from error


def differences(before: TrainConfig, now: TrainConfig) -> str:
    """The settings that differ, as `name: old -> new`."""
    pairs = ((field.name, getattr(before, field.name), getattr(now, field.name)) for field in dataclasses.fields(now))
    return ", ".join(f"{name}: {old!r} -> {new!r}" for name, old, new in pairs if old != new)


def told(data: DeviceData) -> str:
    """What there is to learn from, in words."""
    photos, tables, beliefs = len(data.images), int(data.has_table.sum()), len(data.beliefs)
    return f"{photos} photos, {tables} with a dining table, {beliefs} with a teacher's belief"


def report(message: str) -> None:
    """One line on stderr."""
    print(message, file=sys.stderr, flush=True)


class Trainer:
    """A student, its moving average and its optimizer, and the steps that change them."""

    def __init__(self, config: TrainConfig, batches: BatchMaker, device: torch.device, curves: Curves) -> None:
        self.config, self.batches, self.device, self.curves = config, batches, device, curves
        torch.manual_seed(config.seed)
        self.student = Student(config.encoder)
        random = {name for name, _ in self.student.named_parameters()}
        if config.init:
            random = set(start_from(self.student, read_tensors(Path(config.init))))
            report(f"started from {config.init}; {len(random)} tensors start at random")
        self.student.to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.student).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.student, random, config), weight_decay=config.weight_decay
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
        """Steps to the end of the schedule, with checkpoints on the way and at the end."""
        started = time.monotonic() - self.elapsed
        while self.progress() < 1:
            losses = self.train_step()
            self.elapsed = time.monotonic() - started
            if self.step % self.config.log_every == 0 or self.progress() == 1:
                self.log(losses)
            if self.step % self.config.checkpoint_every == 0 or self.progress() == 1:
                save_checkpoint(self.checkpoint(), folder)

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
                batch.images, batch.labels[:, 0], table_targets(batch.labels), batch.beliefs, batch.believed
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


def parameter_groups(student: Student, random: set[str], config: TrainConfig) -> list[dict[str, Any]]:
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
