"""The training photos, decoded once and kept on the device; batches are drawn from them by step number alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distill.datasets import read_sample, subsample
from distill.training.config import ConfigError
from models.student.network import PARTIAL
from models.weights.training_photos import photo_hash
from surfaces.classes import IGNORE, NUM_CHANNELS, OTHER
from surfaces.cli.progress import track
from surfaces.datasets import Labels, ReadOptions, Sample, open_dataset, split_blocks
from surfaces.datasets.reading import DEFAULT_OPTIONS
from surfaces.datasets.sample import shrink_labels
from surfaces.detections import Image
from surfaces.drawing.labels import fitting_size
from surfaces.errors import DatasetError

SOFT_LABEL_STRIDE = 4
"""Stride of soft labels in pixels, that of the student's semantic branch."""


PIXEL_BYTES = 5 + NUM_CHANNELS / SOFT_LABEL_STRIDE**2
"""Largest memory per pixel of a photo: colours, two label maps, and soft labels."""

MEMORY_SHARE = 0.8
"""Of the memory that is free, what photos may take: training itself needs the rest."""

PROBED_PHOTOS = 16
"""Photos that are read to estimate the size of all."""


@dataclass(frozen=True, eq=False)
class DeviceData:
    """All photos, each on a canvas of its own: its size, rounded up to multiples of SOFT_LABEL_STRIDE.

    Attributes:
        images: uint8 (3, H, W) RGB each.
        labels: uint8 (2, H, W) each: the semantic map (PARTIAL where the labels leave a choice of classes, IGNORE
            outside the photo) and the table numbers.
        candidates: bool (N, 4): the classes of each photo's PARTIAL pixels; see `partial_labels`.
        sizes: int64 (N, 2): each photo's height and width.
        has_table: bool (N,): whether a dining table is labelled.
        chance: float64 (N,): how often each photo is drawn; sums to 1.
        soft_labels: uint8 (4, H/SOFT_LABEL_STRIDE, W/SOFT_LABEL_STRIDE) each, on the same canvas; None for photos
            without. PARTIAL pixels learn them.
        hashes: of the photos as the datasets hold them, see `models.weights.training_photos`.
    """

    images: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    candidates: Tensor
    sizes: Tensor
    has_table: Tensor
    chance: Tensor
    soft_labels: tuple[Tensor | None, ...]
    hashes: tuple[int, ...]

    def draw(self, count: int, table_share: float, generator: torch.Generator) -> Tensor:
        """Indices (count,) int64 of a batch's photos; the first `table_share` of them have a table."""
        table_chance = self.chance * self.has_table
        with_table = round(count * table_share) if bool(table_chance.any()) else 0
        parts = [torch.zeros(0, dtype=torch.int64)]
        if with_table:
            parts.append(torch.multinomial(table_chance, with_table, replacement=True, generator=generator))
        if count > with_table:
            parts.append(torch.multinomial(self.chance, count - with_table, replacement=True, generator=generator))
        return torch.cat(parts)

    def select(self, wanted: Wanted) -> tuple[DeviceData, Tensor]:
        """Photos of a batch: where they are, and their indices there, as of `draw`."""
        return self, self.draw(wanted.count, wanted.table_share, wanted.generator)[wanted.rows]


@dataclass(frozen=True, eq=False)
class Wanted:
    """Photos of a batch that a process needs.

    Attributes:
        step: of the batch.
        count: photos of the whole batch.
        table_share: of them that have a table.
        generator: source of chance.
        rows: those that are needed.
    """

    step: int
    count: int
    table_share: float
    generator: torch.Generator
    rows: slice


class PhotoSource(Protocol):
    """Where photos of batches come from: DeviceData, or `distill.training.stream.PhotoStream`."""

    @property
    def hashes(self) -> tuple[int, ...]:
        """Of the photos that are known before the first step."""

    def select(self, wanted: Wanted) -> tuple[DeviceData, Tensor]:
        """See DeviceData.select."""


def training_samples(folders: Sequence[str], split: str, options: ReadOptions = DEFAULT_OPTIONS) -> list[list[Sample]]:
    """The samples of each dataset on the wanted side of its block-wise split.

    Raises:
        DatasetError: a dataset cannot be opened, or nothing is left of it.
    """
    chosen = []
    for folder in folders:
        samples = open_dataset(Path(folder), options)
        kept = samples if split == "all" else split_blocks(samples)[0]
        if not kept:
            raise DatasetError(f"expected training photos in {folder}, got none on the {split} side of its split")
        chosen.append(kept)
    return chosen


def require_memory(samples: Sequence[Sample], max_side: int, device: torch.device, processes: int = 1) -> None:
    """Checks that photos fit into memory, by the sizes of some of them.

    Args:
        samples: all that are to be loaded.
        max_side: as in TrainConfig.
        device: where the photos are to be kept.
        processes: how many on this machine keep all of them.

    Raises:
        ConfigError: they need more than MEMORY_SHARE of what is free there.
    """
    available = available_memory(device)
    probed = subsample(samples, PROBED_PHOTOS)
    pixels = [math.prod(fitting_size(shape, max_side, max_side)) for shape in map(photo_shape, probed) if shape]
    needed = PIXEL_BYTES * len(samples) * sum(pixels) / max(1, len(pixels))
    needed *= processes if device.type == "cpu" else 1
    if available is not None and needed > MEMORY_SHARE * available:
        raise ConfigError(
            f"expected photos that fit into {MEMORY_SHARE:.0%} of the {gigabytes(available)} free on {device}, got "
            f"{len(samples)} of about {gigabytes(needed)}: lower `max_side` ({max_side}), train on fewer photos, "
            "or read them during training (`stream`)"
        )


def photo_shape(sample: Sample) -> tuple[int, ...]:
    """Height, width and channels of a photo; empty for one that cannot be read, which is reported on loading."""
    try:
        return sample.image().shape
    except DatasetError:
        return ()


def available_memory(device: torch.device) -> int | None:
    """Free memory in bytes; None where it is not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        import psutil
    except ModuleNotFoundError:
        return None
    return int(psutil.virtual_memory().available)


def gigabytes(count: float) -> str:
    """A number of bytes in words."""
    return f"{count / 1e9:.2g} GB" if count < 1e10 else f"{count / 1e9:.0f} GB"


def load_on_device(
    datasets: Sequence[Sequence[Sample]],
    weights: Sequence[float],
    device: torch.device,
    max_side: int | None = None,
) -> DeviceData:
    """Decodes every photo once, one at a time.

    Args:
        datasets: the samples, dataset by dataset.
        weights: how often each dataset is drawn; empty: in proportion to its photos.
        device: where the photos are kept.
        max_side: larger photos are reduced to this longest side in pixels; None: all are kept as they are.

    Raises:
        DatasetError: a photo cannot be read, or its labels are of another size.
    """
    samples = [sample for dataset in datasets for sample in dataset]
    photos = [load_photo(sample, device, max_side) for sample in track(samples)]
    shares = weights or [len(dataset) for dataset in datasets]
    chance = torch.cat(
        [
            torch.full((len(dataset),), share / len(dataset), dtype=torch.float64)
            for dataset, share in zip(datasets, shares, strict=True)
        ]
    )
    return on_device(photos, chance / chance.sum())


def on_device(photos: Sequence[LoadedPhoto], chance: Tensor) -> DeviceData:
    """Photos as one; `chance` as in DeviceData."""
    return DeviceData(
        tuple(photo.image for photo in photos),
        tuple(photo.labels for photo in photos),
        torch.stack([photo.candidates for photo in photos]),
        torch.tensor([photo.size for photo in photos]),
        torch.tensor([bool(photo.labels[1].any()) for photo in photos]),
        chance,
        tuple(photo.soft_labels for photo in photos),
        tuple(photo.pixel_hash for photo in photos),
    )


class LoadedPhoto(NamedTuple):
    """One photo of DeviceData."""

    image: Tensor
    labels: Tensor
    candidates: Tensor
    soft_labels: Tensor | None
    size: tuple[int, int]
    pixel_hash: int


def load_photo(sample: Sample, device: torch.device, max_side: int | None) -> LoadedPhoto:
    """Decodes a photo; arguments and errors as in `load_on_device`."""
    image, truth = read_sample(sample)
    pixel_hash = photo_hash(image)
    if max_side:
        image, truth = reduced(image, truth, max_side)
    truth, candidates = partial_labels(truth)
    height, width = image.shape[:2]
    canvas = -(-height // SOFT_LABEL_STRIDE), -(-width // SOFT_LABEL_STRIDE)
    return LoadedPhoto(
        on_canvas(image.transpose(2, 0, 1), canvas, SOFT_LABEL_STRIDE, 0).to(device),
        label_canvas(truth, canvas).to(device),
        torch.from_numpy(candidates),
        None if truth.soft_labels is None else soft_label_canvas(truth.soft_labels, image, canvas).to(device),
        (height, width),
        pixel_hash,
    )


def reduced(image: Image, labels: Labels, max_side: int) -> tuple[Image, Labels]:
    """A photo and its labels with a longest side of at most `max_side` pixels; soft labels keep their resolution."""
    size = fitting_size(image.shape, max_side, max_side)
    if size == (image.shape[1], image.shape[0]):
        return image, labels
    pixels = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return pixels, shrink_labels(labels, size)


def partial_labels(labels: Labels) -> tuple[Labels, npt.NDArray[np.bool_]]:
    """Marks the pixels whose class the labels leave open, and removes what they exclude from the soft labels.

    - Some classes are unlabelled: OTHER becomes PARTIAL, which is other or one of them.
    - Soft labels alone (of a teacher, without a `labelled` of people): all pixels become PARTIAL, and tables have no
      numbers. Cut out by a network that knows no kinds of tables, they teach boxes more wrong than right
      (docs/results.md).
    - Nothing but absence is known: IGNORE becomes PARTIAL.

    Returns:
        The labels; bool (4,), the classes that PARTIAL pixels may have, a channel each.
    """
    scope, soft_labels = labels.scope, labels.soft_labels
    semantic, tables = labels.semantic, labels.tables
    candidates = np.ones(NUM_CHANNELS, np.bool_)
    candidates[sorted(scope.absent)] = False
    if scope.unlabelled:
        candidates[1:] = False
        candidates[sorted(scope.unlabelled)] = True
        semantic = np.where(semantic == OTHER, PARTIAL, semantic).astype(np.uint8)
    elif soft_labels is not None:
        semantic, tables = np.full_like(semantic, PARTIAL), np.zeros_like(tables)
    elif scope.absent:
        semantic = np.where(semantic == IGNORE, PARTIAL, semantic).astype(np.uint8)
    if soft_labels is not None and not candidates.all():
        excluded = soft_labels[~candidates].astype(np.uint16).sum(axis=0)
        soft_labels = np.where(candidates[:, None, None], soft_labels, 0).astype(np.uint8)
        soft_labels[OTHER] = np.minimum(soft_labels[OTHER] + excluded, 255)
    return Labels(semantic, tables, soft_labels, scope), candidates


def on_canvas(raster: npt.NDArray[np.uint8], canvas: tuple[int, int], step: int, outside: int) -> Tensor:
    """A raster (C, h, w) in the top left corner of a canvas, uint8 (C, step * rows, step * columns)."""
    placed = torch.full((len(raster), step * canvas[0], step * canvas[1]), outside, dtype=torch.uint8)
    placed[:, : raster.shape[1], : raster.shape[2]] = torch.from_numpy(np.ascontiguousarray(raster))
    return placed


def label_canvas(labels: Labels, canvas: tuple[int, int]) -> Tensor:
    """The label maps of a photo as in DeviceData."""
    maps = ((labels.semantic, IGNORE), (labels.tables, 0))
    return torch.cat([on_canvas(values[None], canvas, SOFT_LABEL_STRIDE, outside) for values, outside in maps])


def soft_label_canvas(soft_labels: npt.NDArray[np.uint8], image: Image, canvas: tuple[int, int]) -> Tensor:
    """Soft labels of a photo as in DeviceData."""
    height, width = (max(1, round(side / SOFT_LABEL_STRIDE)) for side in image.shape[:2])
    resized = cv2.resize(soft_labels.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR)
    return on_canvas(np.asarray(resized, np.uint8).transpose(2, 0, 1), canvas, 1, 0)
