"""A training run: datasets and configuration in, weights out."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from contextlib import nullcontext
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
from distill.training.curves import Curves, open_curves
from distill.training.data import DeviceData, PhotoSource, load_on_device, require_memory, training_samples
from distill.training.processes import ALONE, Processes
from distill.training.stream import PhotoStream, StreamSettings, find_tables, in_reading_order
from distill.training.trainer import Start, Trainer, report
from distill.training.validation import BEST_NAME, HISTORY_NAME, Validator
from models.student.network import Student
from models.student.weights import read_tensors, start_from
from models.weights.registry import shipped
from models.weights.training_photos import TrainingPhotos
from surfaces.datasets import Sample
from surfaces.errors import WeightsError
from surfaces.io.atomic_files import replace_file, sweep
from surfaces.licences import refuse_uncommercial

WEIGHTS_NAME = "student.npz"
CONFIG_NAME = "config.json"


def train(config: TrainConfig, resume: bool = False, processes: Processes = ALONE) -> Path:
    """Trains a student and writes its averaged weights.

    The same seed, data, settings and number of processes give the same weights on the same machine, in one go or
    resumed: all that is random in a step is seeded from its number. Another number of processes learns from the same
    views, and its weights differ by what the order of sums changes.

    Args:
        config: the run's settings.
        resume: continue from the checkpoint in the run's folder.
        processes: of the run; each calls this function.

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
        PeerError: another process has failed.
    """
    folder = Path(config.run)
    checkpoint = run_checkpoint(config, resume)
    require_photos_for_all(config, processes)
    device = processes.device(config.device)
    begun = start(config)
    if config.licence:
        refuse_uncommercial((*config.licences(), *begun.student.training_photos.licences))
    report(f"reading {', '.join(config.data + config.extra)}")
    samples, extra_samples = open_samples(config)
    everything = [sample for dataset in samples + extra_samples for sample in dataset]
    if not checkpoint:
        outputs = [folder / name for name in (CONFIG_NAME, CHECKPOINT_NAME, WEIGHTS_NAME, BEST_NAME, HISTORY_NAME)]
        protect_inputs(outputs, map(Path, config.data + config.extra + config.val), everything, [init_path(config)])
    validator = Validator(config, folder) if config.val and processes.first else None
    if not config.stream:
        require_memory(everything, config.max_side, device, processes.local_count)
    processes.meet()
    if processes.first:
        begin_folder(config, folder)
    if config.threads:
        torch.set_num_threads(config.threads)
    data = open_photos(config, samples, config.weights, config.table_share, device, processes)
    extra = open_photos(config, extra_samples, config.extra_weights, 0, device, processes) if extra_samples else None
    with open_curves(folder) if processes.first else nullcontext(Curves(None)) as curves:
        batches = BatchMaker(config, data, extra, processes)
        trainer = Trainer(config, begun, batches, device, curves, validator, processes)
        if checkpoint:
            trainer.restore(checkpoint)
        processes.meet()
        trainer.fit(folder)
    path = folder / WEIGHTS_NAME
    if processes.first:
        trainer.save(path)
    processes.meet()
    best = folder / BEST_NAME if config.val else path
    links = " --follow-links" if config.follow_links else ""
    report(
        f"export it: python -m distill export {best} --out {folder / 'student.onnx'} --check {config.data[0]}{links}"
    )
    return best


def open_samples(config: TrainConfig) -> tuple[list[list[Sample]], list[list[Sample]]]:
    """The samples of `data` and of `extra`, dataset by dataset. Raises DatasetError as `train`."""
    options = config.read_options()
    samples = training_samples(config.data, config.split, options)
    require_labelled(itertools.chain.from_iterable(samples))
    return samples, training_samples(config.extra, "all", options)


def require_photos_for_all(config: TrainConfig, processes: Processes) -> None:
    """Raises ConfigError where a step has fewer photos than there are processes."""
    for name in ("batch", "extra_batch") if config.extra else ("batch",):
        if getattr(config, name) < processes.count:
            raise ConfigError(
                f"expected `{name}` of a photo or more for each of {processes.count} processes, "
                f"got {getattr(config, name)}"
            )


def begin_folder(config: TrainConfig, folder: Path) -> None:
    """Removes what an interrupted write left in the run's folder, and writes the settings into it."""
    if folder.exists():
        sweep(folder)
    replace_file(folder / CONFIG_NAME, (json.dumps(dataclasses.asdict(config), indent=2) + "\n").encode())


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


def open_photos(
    config: TrainConfig,
    datasets: Sequence[Sequence[Sample]],
    weights: Sequence[float],
    table_share: float,
    device: torch.device,
    processes: Processes,
) -> PhotoSource:
    """The photos of datasets, in memory or as a stream, and a line that counts them. Raises DatasetError as `train`."""
    if not config.stream:
        data = load_on_device(datasets, weights, device, config.max_side)
        report(f"{describe_data(data)}, on {device}")
        return data
    ordered = [in_reading_order(dataset) for dataset in datasets]
    count = sum(map(len, ordered))
    if table_share:
        report(f"looking for tables in the labels of {count} photos")
        tables = find_tables(ordered, processes)
        report(f"{count} photos, {sum(map(sum, tables))} with a dining table, read during training")
    else:
        tables = [[False] * len(dataset) for dataset in ordered]
        report(f"{count} photos, read during training")
    return PhotoStream(ordered, weights, tables, StreamSettings(config.buffer, config.seed, config.max_side), device)


def describe_data(data: DeviceData) -> str:
    """What there is to learn from, in words."""
    photos, tables = len(data.images), int(data.has_table.sum())
    soft_labels = sum(soft is not None for soft in data.soft_labels)
    return f"{photos} photos, {tables} with a dining table, {soft_labels} with soft labels"
