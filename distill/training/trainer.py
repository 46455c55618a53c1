"""Training steps: optimizer, moving average, learning rate schedule, and checkpoints on the way."""

from __future__ import annotations

import copy
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.training.batches import BatchMaker
from distill.training.checkpoint import Checkpoint, save_checkpoint
from distill.training.config import (
    ConfigError,
    TrainConfig,
    parse_budget,
)
from distill.training.curves import Curves
from distill.training.optimizer import parameter_groups, schedule
from distill.training.processes import ALONE, Processes
from distill.training.stopping import StoppedError, noted_signals
from distill.training.targets import table_targets
from distill.training.validation import BEST_NAME, Validator
from distill.training.views import Views
from models.student.loss_sums import LossSum
from models.student.network import Student
from models.student.weights import save_student
from models.weights.training_photos import TrainingPhotos
from surfaces.errors import SurfacesError


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


AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
TIMED_STEPS = 4
"""Of which the first does not count."""

BF16_GAIN = 0.9
"""bf16 is taken where a step takes at most this share of the time."""


def report(message: str) -> None:
    """One line on stderr."""
    print(message, file=sys.stderr, flush=True)


class Trainer:
    """A student, its moving average and its optimizer, and the steps that change them."""

    def __init__(
        self,
        config: TrainConfig,
        start: Start,
        batches: BatchMaker,
        device: torch.device,
        curves: Curves,
        validator: Validator | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.validator, self.processes = validator, processes
        self.loss_weights = LOSS_WEIGHTS | {"mirror": config.mirror}
        self.config, self.batches, self.device, self.curves = config, batches, device, curves
        self.student = start.student
        for data in filter(None, (batches.data, batches.extra)):
            photos = TrainingPhotos.of(data.hashes, licences=config.licences())
            self.student.training_photos = self.student.training_photos.union(photos)
        self.student.to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.student).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.student, start.random, config), weight_decay=config.weight_decay
        )
        self.amp = initial_amp(config.amp, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.amp == "fp16")
        self.budget = parse_budget(config.budget)
        self.step, self.elapsed = 0, 0.0
        self.streamed: set[int] = set()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to where the checkpoint was written."""
        self.step, self.elapsed = checkpoint.step, checkpoint.elapsed
        self.student.load_state_dict(checkpoint.student)
        self.average.load_state_dict(checkpoint.average)
        try:
            self.optimizer.load_state_dict(checkpoint.optimizer)
        except ValueError as error:  # its groups are told by the tensors that `init` lacks
            raise ConfigError(f"expected `init` ({self.config.init}) as the run began with it: {error}") from error
        if self.config.amp == "auto" and self.device.type == "cpu":
            self.amp = checkpoint.amp
        if self.validator:
            self.validator.restore(self.step)
        if checkpoint.scaler:
            self.scaler.load_state_dict(checkpoint.scaler)
        self.streamed = set(checkpoint.photo_hashes)
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
        with noted_signals(repeated=self.processes.count > 1) as stop:
            if self.step == 0:
                self.choose_amp()
                self.validate(folder)
            saved = validated = time.monotonic()
            while self.progress() < 1:
                losses = self.train_step()
                stopped_by, self.elapsed = self.processes.meet(stop.signal, time.monotonic() - started)
                done = self.progress() == 1 or stopped_by is not None
                due = time.monotonic() - saved >= 60 * self.config.checkpoint_minutes
                log = self.step % self.config.log_every == 0 or done
                save = self.step % self.config.checkpoint_every == 0 or due or done
                validate = time.monotonic() - validated >= 60 * self.config.val_minutes or self.progress() == 1
                if log or save or validate:
                    self.require_finite(losses)
                if log:
                    self.log(losses)
                if validate:
                    self.validate(folder)
                    validated = time.monotonic()
                if save or validate:
                    if self.processes.first:
                        save_checkpoint(self.checkpoint(), folder)
                    saved = time.monotonic()
                if stopped_by is not None and self.progress() < 1:
                    raise StoppedError(
                        f"stopped after step {self.step}; the same command with --resume continues", stopped_by
                    )

    def validate(self, folder: Path) -> None:
        """Scores the moving average on the validation sets, if there are any, and keeps the best weights."""
        if not self.validator:
            return
        current, is_best = self.validator.run(self.average, self.device, self.step, self.elapsed)
        first = self.validator.history[0]
        report(f"validation after step {self.step}: score {current.score:.3f}{' (best so far)' if is_best else ''}")
        report(current.table(first if current is not first else None))
        if current is not first:
            report(current.verdict(first))
        self.curves.scalars(self.step, current.scalars())
        if is_best:
            self.save(folder / BEST_NAME)

    def save(self, path: Path) -> None:
        """Writes the moving average, with a record of the photos that it has learned from."""
        streamed = TrainingPhotos.of(self.streamed, licences=self.config.licences())
        self.average.training_photos = self.student.training_photos.union(streamed)
        save_student(self.average, path)

    def choose_amp(self) -> None:
        """On a CPU with instructions for bf16, takes it where steps are faster with it than without."""
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # since torch 2.12
        has_bf16 = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
        if self.config.amp != "auto" or self.device.type != "cpu" or not has_bf16:
            return
        trial, batch = copy.deepcopy(self.student), self.batches.make(0)
        seconds: dict[str, list[float]] = {"off": [], "bf16": []}
        for _ in range(TIMED_STEPS):
            for amp, times in seconds.items():
                started = time.monotonic()
                losses = {name: loss.mean() for name, loss in self.losses(trial, batch, amp).items()}
                self.total_loss(losses).backward()  # type: ignore[no-untyped-call]
                times.append(time.monotonic() - started)
        self.processes.meet()
        medians = {amp: statistics.median(times[1:]) for amp, times in seconds.items()}
        self.amp = self.processes.from_first("bf16" if medians["bf16"] < BF16_GAIN * medians["off"] else "off")
        report(f"amp: {self.amp} (a step takes {medians['off']:.2f} s in float32, {medians['bf16']:.2f} s in bf16)")

    def losses(self, student: Student, batch: Views, amp: str) -> dict[str, LossSum]:
        """The losses of a batch, computed in mixed precision or not."""
        with torch.autocast(self.device.type, dtype=AMP_TYPES.get(amp, torch.bfloat16), enabled=amp != "off"):
            return student.losses(
                batch.images,
                batch.labels[:, 0],
                batch.candidates,
                table_targets(batch.labels, batch.candidates, batch.seeds),
                batch.soft_labels,
                batch.soft_labelled,
                self.mirrored(batch.images) if self.config.mirror else None,
            )

    @torch.no_grad()
    def mirrored(self, images: Tensor) -> Tensor:
        """The moving average's probabilities for the mirror images, mirrored back, float (N, 4, H/4, W/4).

        As in Mean Teacher (Tarvainen and Valpola, 2017): the student learns to give one answer for both.
        """
        with torch.autocast(self.device.type, enabled=False):  # exponentials of logits exceed fp16
            probabilities: Tensor = self.average(images.flip(3))
        return probabilities.flip(3)

    def mean_losses(self, sums: Mapping[str, LossSum]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses that are means over the photos of all processes.

        Returns:
            This process's share of each, whose sum over the processes is the mean; the means.
        """
        local = torch.stack([torch.stack([loss.total.detach(), loss.count]) for loss in sums.values()])
        totals, counts = self.processes.sum(local).unbind(1)
        counts = counts.clamp(min=1)
        shares = {name: loss.total / count for (name, loss), count in zip(sums.items(), counts, strict=True)}
        return shares, dict(zip(sums, totals / counts, strict=True))

    def total_loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Their weighted sum."""
        return torch.stack([self.loss_weights[name] * loss.float() for name, loss in losses.items()]).sum()

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
            self.amp,
            sorted(self.streamed),
        )

    def train_step(self) -> dict[str, Tensor]:
        """One batch, one update; returns the losses, means over the photos of all processes."""
        factor = schedule(self.progress(), self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        batch = self.batches.make(self.step)
        self.processes.meet()
        if self.config.stream:
            self.streamed.update(*self.processes.gather(batch.hashes.tolist()))
        if self.step % (10 * self.config.log_every) == 0:
            self.curves.samples(self.step, batch.images, batch.labels)
        shares, losses = self.mean_losses(self.losses(self.student, batch, self.amp))
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(self.total_loss(shares)).backward()  # type: ignore[no-untyped-call]
        self.processes.sum_gradients(self.student.parameters())
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
        values["total"] = sum(self.loss_weights[name] * value for name, value in values.items())
        rate = self.optimizer.param_groups[-1]["lr"]
        self.curves.scalars(self.step, {**values, "lr": rate})
        done = self.progress()
        left = self.elapsed * (1 - done) / done if done else 0.0
        parts = " ".join(f"{name} {value:.3f}" for name, value in values.items())
        report(
            f"step {self.step} ({done:.0%}, {self.elapsed / self.step:.2f} s a step, {left / 60:.0f} min left) {parts}"
        )


def initial_amp(choice: str, device: torch.device) -> str:
    """The type of automatic mixed precision before `Trainer.choose_amp`: off, bf16 or fp16."""
    if choice == "auto":
        return "bf16" if device.type == "cuda" else "off"
    return choice
