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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.datasets import protect_inputs, require_labelled
from distill.training.batches import SEED_STRIDE, BatchMaker
from distill.training.checkpoint import NAME as CHECKPOINT_NAME
from distill.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from distill.training.config import (
    RANDOM,
    SHIPPED,
    ConfigError,
    TrainConfig,
    add_config_arguments,
    config_from_arguments,
    parse_budget,
)
from distill.training.curves import Curves, open_curves
from distill.training.data import DeviceData, load_on_device, require_memory, training_samples
from distill.training.stopping import StoppedError, noted_signals
from distill.training.targets import table_targets
from models.student.network import Student
from models.student.weights import BRANCH_PARTS, read_tensors, save_student, start_from
from models.weights.registry import shipped
from models.weights.training_photos import TrainingPhotos
from surfaces.errors import SurfacesError, WeightsError
from surfaces.io.atomic_files import replace_file, sweep

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
        resume: continue from the checkpoint in the run's folder.

    Returns:
        Path of the averaged weights (.npz), as models.student.weights reads them.

    Raises:
        ConfigError: the checkpoint is of other settings, the run's folder is in use and `resume` was not asked, there
            is nothing to resume, this machine has no such device, or the photos do not fit into its memory.
        DatasetError, WeightsError: data or weights are not as expected.
        OutputError: the run's folder cannot be written to, or an input would be overwritten.
        StoppedError: a signal stopped the run; its checkpoint is written.
        DivergedError: losses or weights are no longer finite; the latest checkpoint is kept.
    """
    folder = Path(config.run)
    checkpoint = load_checkpoint(folder)
    if checkpoint and not resume:
        raise ConfigError(f"expected an empty folder at {folder}, got a run of {checkpoint.step} steps; add --resume")
    if resume and not checkpoint:
        raise ConfigError(f"expected a checkpoint to resume at {folder / CHECKPOINT_NAME}, got none; omit --resume")
    if checkpoint and checkpoint.config != config:
        raise ConfigError(
            f"expected the settings that {folder} was begun with, got others: {differences(checkpoint.config, config)}"
        )
    device = chosen_device(config.device)
    begun = start(config)
    report(f"reading {', '.join(config.data + config.extra)}")
    options = config.read_options()
    samples = training_samples(config.data, config.split, options)
    extra_samples = training_samples(config.extra, "all", options)
    require_labelled(itertools.chain.from_iterable(samples))
    everything = [sample for dataset in samples + extra_samples for sample in dataset]
    if checkpoint:
        sweep(folder)
    else:
        outputs = [folder / name for name in (CONFIG_NAME, CHECKPOINT_NAME, WEIGHTS_NAME)]
        protect_inputs(outputs, map(Path, config.data + config.extra), everything, [init_path(config)])
    require_memory(everything, config.max_side, device)
    replace_file(folder / CONFIG_NAME, (json.dumps(dataclasses.asdict(config), indent=2) + "\n").encode())
    if config.threads:
        torch.set_num_threads(config.threads)
    data = load_on_device(samples, config.weights, device, config.max_side)
    report(f"{describe_data(data)}, on {device}")
    extra = None
    if config.extra:
        extra = load_on_device(extra_samples, config.extra_weights, device, config.max_side)
        report(f"besides, {describe_data(extra)}")
    with open_curves(folder) as curves:
        trainer = Trainer(config, begun, BatchMaker(config, data, extra), device, curves)
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


@dataclass(frozen=True, eq=False)
class Start:
    """A student before the first step.

    Attributes:
        student: with the weights that training starts from.
        random: names of its tensors that start at random.
    """

    student: Student
    random: frozenset[str]


def init_path(config: TrainConfig) -> Path | None:
    """The weights to start from; None for a random start. Raises WeightsError where the shipped ones are damaged."""
    if config.init == RANDOM:
        return None
    return shipped("npz").path if config.init == SHIPPED else Path(config.init)


def start(config: TrainConfig) -> Start:
    """The student that training starts from.

    Raises:
        WeightsError: the weights are not as expected, or do not fit the configured encoder.
    """
    torch.manual_seed(config.seed)
    student = Student(config.encoder)
    path = init_path(config)
    if not path:
        report("starting at random, without weights")
        student.training_photos = TrainingPhotos.of([])
        return Start(student, frozenset(name for name, _ in student.named_parameters()))
    try:
        random = start_from(student, read_tensors(path))
    except WeightsError as error:
        raise WeightsError(f"{error} ({path}); `--init {RANDOM}` starts without weights") from error
    report(f"starting from {path}; {len(random)} tensors start at random")
    return Start(student, frozenset(random))


def differences(before: TrainConfig, now: TrainConfig) -> str:
    """The settings that differ, as `name: old -> new`."""
    pairs = ((field.name, getattr(before, field.name), getattr(now, field.name)) for field in dataclasses.fields(now))
    return ", ".join(f"{name}: {old!r} -> {new!r}" for name, old, new in pairs if old != new)


def describe_data(data: DeviceData) -> str:
    """What there is to learn from, in words."""
    photos, tables = len(data.images), int(data.has_table.sum())
    soft_labels = sum(soft is not None for soft in data.soft_labels)
    return f"{photos} photos, {tables} with a dining table, {soft_labels} with soft labels"


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
                batch.images, batch.labels[:, 0], table_targets(batch.labels), batch.soft_labels, batch.soft_labelled
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
