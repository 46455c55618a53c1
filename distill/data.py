"""The training photos, decoded once and kept on the device; batches are drawn from them by step number alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distill.datasets import read_sample
from surfaces.classes import BELIEF_CHANNELS, IGNORE
from surfaces.dataset import Labels, ReadOptions, Sample, open_dataset, split_blocks
from surfaces.dataset.options import DEFAULT_OPTIONS
from surfaces.detections import Image
from surfaces.errors import DatasetError

BELIEF_STEP = 4
"""Pixels a side that one number of a belief stands for: the stride of the student's semantic branch."""


@dataclass(frozen=True, eq=False)
class DeviceData:
    """All photos on one canvas size, each in the canvas's top left corner.

    Attributes:
        images: uint8 (N, 3, H, W) RGB.
        labels: uint8 (N, 2, H, W): the semantic map (IGNORE outside the photo) and the table numbers. Photos with a
            belief are all IGNORE: their tables, cut out of what knows no kinds of tables, teach boxes more wrong than
            right (docs/experiments.md).
        sizes: int64 (N, 2): each photo's height and width.
        has_table: bool (N,): whether a dining table is labelled.
        chance: float64 (N,): how often each photo is drawn; sums to 1.
        beliefs: uint8 (M, 4, H/BELIEF_STEP, W/BELIEF_STEP): the beliefs of those photos that have one, on the same
            canvas.
        belief_rows: int64 (N,): each photo's row of `beliefs`, -1 where it has none.
    """

    images: Tensor
    labels: Tensor
    sizes: Tensor
    has_table: Tensor
    chance: Tensor
    beliefs: Tensor
    belief_rows: Tensor

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


def load_on_device(datasets: Sequence[Sequence[Sample]], weights: Sequence[float], device: torch.device) -> DeviceData:
    """Decodes every photo once.

    Args:
        datasets: the samples, dataset by dataset.
        weights: how often each dataset is drawn; empty: in proportion to its photos.
        device: where the photos are kept.

    Raises:
        DatasetError: a photo cannot be read, or its labels are of another size.
    """
    samples = [sample for dataset in datasets for sample in dataset]
    decoded = [read_sample(sample) for sample in samples]
    height, width = (-(-max(image.shape[side] for image, _ in decoded) // BELIEF_STEP) * BELIEF_STEP for side in (0, 1))
    images = torch.zeros(len(samples), 3, height, width, dtype=torch.uint8)
    labels = torch.zeros(len(samples), 2, height, width, dtype=torch.uint8)
    labels[:, 0] = IGNORE
    for index, (image, truth) in enumerate(decoded):
        h, w = image.shape[:2]
        images[index, :, :h, :w] = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        if truth.belief is None:
            labels[index, 0, :h, :w] = torch.from_numpy(truth.semantic)
            labels[index, 1, :h, :w] = torch.from_numpy(truth.tables)
    shares = weights or [len(dataset) for dataset in datasets]
    chance = torch.cat(
        [
            torch.full((len(dataset),), share / len(dataset), dtype=torch.float64)
            for dataset, share in zip(datasets, shares, strict=True)
        ]
    )
    return DeviceData(
        images.to(device),
        labels.to(device),
        torch.tensor([image.shape[:2] for image, _ in decoded]),
        labels[:, 1].flatten(1).any(dim=1),
        chance / chance.sum(),
        *beliefs_on_canvas(decoded, (height // BELIEF_STEP, width // BELIEF_STEP), device),
    )


def beliefs_on_canvas(
    decoded: Sequence[tuple[Image, Labels]], canvas: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """The photos' beliefs in the top left corner of canvases of one size, and each photo's row, as in DeviceData."""
    rows = torch.full((len(decoded),), -1, dtype=torch.int64)
    believed = [index for index, (_, truth) in enumerate(decoded) if truth.belief is not None]
    rows[believed] = torch.arange(len(believed))
    beliefs = torch.zeros(len(believed), BELIEF_CHANNELS, *canvas, dtype=torch.uint8)
    for row, index in enumerate(believed):
        image, truth = decoded[index]
        assert truth.belief is not None
        height, width = (max(1, round(side / BELIEF_STEP)) for side in image.shape[:2])
        resized = cv2.resize(truth.belief.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR)
        beliefs[row, :, :height, :width] = torch.from_numpy(resized.transpose(2, 0, 1).copy())
    return beliefs.to(device), rows


@dataclass(frozen=True, eq=False)
class Views:
    """Square views of photos.

    Attributes:
        images: float (B, 3, crop, crop), 0 to 255, grey outside the photo.
        labels: int64 (B, 2, crop, crop): semantic map and table numbers, IGNORE and 0 outside the photo.
        beliefs: float (B, 4, crop/BELIEF_STEP, crop/BELIEF_STEP), 0 to 1; zeros for photos without.
        believed: bool (B, crop, crop): True inside the photos that have a belief.
    """

    images: Tensor
    labels: Tensor
    beliefs: Tensor
    believed: Tensor


def crop_batch(data: DeviceData, indices: Tensor, maps: Tensor, crop: int) -> Views:
    """Cuts one square view out of each photo, all at once.

    Args:
        data: the photos.
        indices: (B,) which photos.
        maps: float (B, 2, 3): output pixel centres (x, y, 1) to photo pixel centres (x, y).
        crop: side of the views in pixels.
    """
    device = data.images.device
    height, width = data.images.shape[-2:]
    centres = torch.arange(crop, dtype=torch.float32, device=device) + 0.5
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    where = torch.einsum("hwk,bik->bhwi", points, maps.to(device))
    grid = where * torch.tensor([2.0 / width, 2.0 / height], device=device) - 1.0
    which = indices.to(device)
    images = F.grid_sample(
        data.images[which].float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    labels = F.grid_sample(data.labels[which].float(), grid, mode="nearest", padding_mode="border", align_corners=False)
    limits = data.sizes[indices].to(device).flip(1)[:, None, None, :]
    inside = ((where >= 0) & (where < limits)).all(dim=-1)
    images = torch.where(inside[:, None], images, 127.0)
    semantic = torch.where(inside, labels[:, 0], float(IGNORE))
    tables = torch.where(inside, labels[:, 1], 0.0)
    rows = data.belief_rows[indices].to(device)
    return Views(
        images,
        torch.stack([semantic, tables], dim=1).long(),
        crop_beliefs(data.beliefs, rows, grid),
        inside & (rows >= 0)[:, None, None],
    )


def crop_beliefs(beliefs: Tensor, rows: Tensor, grid: Tensor) -> Tensor:
    """The beliefs of views, float (B, 4, crop/BELIEF_STEP, crop/BELIEF_STEP), 0 to 1.

    Args:
        beliefs: as in DeviceData.
        rows: (B,), -1 for a photo without a belief.
        grid: (B, crop, crop, 2), where the views' pixels lie on the canvas, as grid_sample takes it.
    """
    # Maps are affine: the mean position of a block is its centre.
    coarse = F.avg_pool2d(grid.permute(0, 3, 1, 2), BELIEF_STEP).permute(0, 2, 3, 1)
    views = torch.zeros(len(rows), BELIEF_CHANNELS, *coarse.shape[1:3], device=grid.device)
    has = rows >= 0
    if bool(has.any()):
        taken = beliefs[rows[has]].float() / 255
        views[has] = F.grid_sample(taken, coarse[has], mode="bilinear", padding_mode="border", align_corners=False)
    return views
