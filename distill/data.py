"""The training photos, decoded once and kept on the device; batches are drawn from them by step number alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distill.datasets import read_sample
from surfaces.classes import IGNORE
from surfaces.dataset import Labels, Sample, open_dataset, split_blocks
from surfaces.dataset.codec import decode_image, read_bytes
from surfaces.dataset.mask_folder import IMAGE_SUFFIXES
from surfaces.dataset.packed import INDEX_NAME
from surfaces.detections import Image
from surfaces.errors import DatasetError


@dataclass(frozen=True, eq=False)
class DeviceData:
    """All photos on one canvas size, each in the canvas's top left corner.

    Attributes:
        images: uint8 (N, 3, H, W) RGB.
        labels: uint8 (N, 2, H, W): the semantic map (IGNORE outside the photo) and the table numbers.
        sizes: int64 (N, 2): each photo's height and width.
        has_table: bool (N,): whether a dining table is labelled.
        chance: float64 (N,): how often each photo is drawn; sums to 1.
    """

    images: Tensor
    labels: Tensor
    sizes: Tensor
    has_table: Tensor
    chance: Tensor

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


def training_samples(folders: Sequence[str], split: str) -> list[list[Sample]]:
    """The samples of each dataset on the wanted side of its block-wise split.

    Raises:
        DatasetError: a dataset cannot be opened, or nothing is left of it.
    """
    chosen = []
    for folder in folders:
        samples = open_dataset(Path(folder))
        kept = samples if split == "all" else split_blocks(samples)[0]
        if not kept:
            raise DatasetError(f"expected training photos in {folder}, got none on the {split} side of its split")
        chosen.append(kept)
    return chosen


@dataclass(frozen=True)
class UnlabelledPhoto:
    """A photo without labels, as a Sample: every pixel is IGNORE.

    Attributes:
        name: as of any sample.
        source: what it is called in error messages.
        encoded_image: reads its file.
    """

    name: str
    source: str
    encoded_image: Callable[[], bytes]

    def image(self) -> Image:
        return decode_image(self.encoded_image(), self.source)

    def labels(self) -> Labels:
        shape = self.image().shape[:2]
        return Labels(np.full(shape, IGNORE, np.uint8), np.zeros(shape, np.uint8))


def unlabelled_samples(folders: Sequence[str]) -> list[list[Sample]]:
    """The photos of each folder, sorted by name; a packed dataset's labels are not looked at.

    Raises:
        DatasetError: a folder has no photo.
    """
    chosen: list[list[Sample]] = []
    for folder in map(Path, folders):
        if (folder / INDEX_NAME).is_file():
            packed = open_dataset(folder)
            chosen.append([UnlabelledPhoto(s.name, f"{s.name} of {folder}", s.encoded_image) for s in packed])
            continue
        photos = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not photos:
            raise DatasetError(f"expected photos ({', '.join(IMAGE_SUFFIXES)}) in {folder}, got none")
        chosen.append([UnlabelledPhoto(path.stem, str(path), partial(read_bytes, path)) for path in photos])
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
    height = max(image.shape[0] for image, _ in decoded)
    width = max(image.shape[1] for image, _ in decoded)
    images = torch.zeros(len(samples), 3, height, width, dtype=torch.uint8)
    labels = torch.zeros(len(samples), 2, height, width, dtype=torch.uint8)
    labels[:, 0] = IGNORE
    for index, (image, truth) in enumerate(decoded):
        h, w = image.shape[:2]
        images[index, :, :h, :w] = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
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
        torch.tensor([bool(truth.tables.any()) for _, truth in decoded]),
        chance / chance.sum(),
    )


def crop_batch(data: DeviceData, indices: Tensor, maps: Tensor, crop: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cuts one square view out of each photo, all at once.

    Args:
        data: the photos.
        indices: (B,) which photos.
        maps: float (B, 2, 3): output pixel centres (x, y, 1) to photo pixel centres (x, y).
        crop: side of the views in pixels.

    Returns:
        Images float (B, 3, crop, crop) 0 to 255, grey outside the photo; labels int64 (B, 2, crop, crop), IGNORE and 0
        outside the photo; bool (B, crop, crop), True inside the photo.
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
    return images, torch.stack([semantic, tables], dim=1).long(), inside
