"""A training run: datasets and configuration in, weights out."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import torch

from distill.datasets import protect_inputs, require_labelled
from distill.training.batches import BatchMaker
from distill.training.checkpoint import NAME as CHECKPOINT_NAME
from distill.training.checkpoint import Checkpoint, load_checkpoint
from distill.training.config import (
    RANDOM,
    SHIPPED,
    ConfigError,
    TrainConfig,
)
from distill.training.curves import open_curves
from distill.training.data import DeviceData, load_on_device, require_memory, training_samples
from distill.training.trainer import Start, Trainer, report
from distill.training.validation import BEST_NAME, HISTORY_NAME, Validator
from models.device import pick_device
from models.student.network import Student
from models.student.weights import read_tensors, save_student, start_from
from models.weights.registry import shipped
from models.weights.training_photos import TrainingPhotos
from surfaces.errors import WeightsError
from surfaces.io.atomic_files import replace_file, sweep
from surfaces.licences import refuse_uncommercial

WEIGHTS_NAME = "student.npz"
CONFIG_NAME = "config.json"


def train(config: TrainConfig, resume: bool = False) -> Path:
    """Trains a student and writes its averaged weights.

    The same seed, data and settings give the same weights on the same machine, in one go or resumed: all that is
    random in a step is seeded from its number.

    Args:
        config: the run's settings.
        resume: continue from the checkpoint in the run's folder.

    Returns:
        Path of the averaged weights (.npz), as models.student.weights reads them: those with the highest score on the
        validation sets where there are any, else those after the last step.

    Raises:
        ConfigError: the checkpoint is of other settings, the run's folder is in use and `resume` was not asked, there
            is nothing to resume, or the photos do not fit into memory.
        DeviceError: this machine has no such device.
        DatasetError, WeightsError: data or weights are not as expected, or their licences do not allow what `licence`
            asks for.
        OutputError: the run's folder cannot be written to, or an input would be overwritten.
        StoppedError: a signal stopped the run; its checkpoint is written.
        DivergedError: losses or weights are no longer finite; the latest checkpoint is kept.
    """
    folder = Path(config.run)
    checkpoint = run_checkpoint(config, resume)
    device = pick_device(config.device)
    begun = start(config)
    if config.licence:
        refuse_uncommercial((*config.licences(), *begun.student.training_photos.licences))
    report(f"reading {', '.join(config.data + config.extra)}")
    options = config.read_options()
    samples = training_samples(config.data, config.split, options)
    extra_samples = training_samples(config.extra, "all", options)
    require_labelled(itertools.chain.from_iterable(samples))
    everything = [sample for dataset in samples + extra_samples for sample in dataset]
    if checkpoint:
        sweep(folder)
    else:
        outputs = [folder / name for name in (CONFIG_NAME, CHECKPOINT_NAME, WEIGHTS_NAME, BEST_NAME, HISTORY_NAME)]
        protect_inputs(outputs, map(Path, config.data + config.extra + config.val), everything, [init_path(config)])
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
        validator = Validator(config, folder) if config.val else None
        trainer = Trainer(config, begun, BatchMaker(config, data, extra), device, curves, validator)
        if checkpoint:
            trainer.restore(checkpoint)
        trainer.fit(folder)
    path = folder / WEIGHTS_NAME
    save_student(trainer.average, path)
    best = folder / BEST_NAME if config.val else path
    report(f"export it: python -m distill export {best} --out {folder / 'student.onnx'} --check {config.data[0]}")
    return best


def run_checkpoint(config: TrainConfig, resume: bool) -> Checkpoint | None:
    """The checkpoint to resume from; None for a new run. Raises ConfigError where it does not fit the settings."""
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
    return checkpoint


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
