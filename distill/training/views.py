"""Square views cut out of photos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.training.data import SOFT_LABEL_STRIDE, DeviceData
from models.student.network import PARTIAL
from surfaces.classes import IGNORE, NUM_CHANNELS


@dataclass(frozen=True, eq=False)
class Views:
    """Square views of photos.

    Attributes:
        images: float (B, 3, crop, crop), 0 to 255, grey outside the photo.
        labels: int64 (B, 2, crop, crop): semantic map and table numbers, IGNORE and 0 outside the photo.
        candidates: bool (B, 4): the classes of PARTIAL pixels.
        soft_labels: float (B, 4, crop/SOFT_LABEL_STRIDE, crop/SOFT_LABEL_STRIDE), 0 to 1; zeros for photos without.
        soft_labelled: bool (B, crop, crop): the PARTIAL pixels of photos that have soft labels.
        seeds: int64 (B,), of the samples of anchors and boxes that are learnt.
        hashes: uint64 (B,), of the photos, as DeviceData has them.
    """

    images: Tensor
    labels: Tensor
    candidates: Tensor
    soft_labels: Tensor
    soft_labelled: Tensor
    seeds: Tensor
    hashes: Tensor


def crop_batch(data: DeviceData, indices: Tensor, maps: Tensor, crop: int) -> Views:
    """Cuts one square view out of each photo, all at once.

    Args:
        data: the photos.
        indices: (B,) which photos.
        maps: float (B, 2, 3): output pixel centres (x, y, 1) to photo pixel centres (x, y).
        crop: side of the views in pixels.
    """
    device = data.images[0].device
    centres = torch.arange(crop, dtype=torch.float32, device=device) + 0.5
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    where = torch.einsum("hwk,bik->bhwi", points, maps.to(device))
    limits = data.sizes[indices].to(device).flip(1)[:, None, None, :]
    inside = ((where >= 0) & (where < limits)).all(dim=-1)
    images, labels, soft_labels, soft_labelled = [], [], [], []
    for place, index in zip(where, indices.tolist(), strict=True):
        image, soft = data.images[index], data.soft_labels[index]
        scale = torch.tensor([2.0 / image.shape[2], 2.0 / image.shape[1]], device=device)
        grid = (place * scale - 1.0)[None]
        images.append(sampled(image, grid, "bilinear"))
        labels.append(sampled(data.labels[index], grid, "nearest"))
        # Maps are affine: the mean position of a block is its centre.
        coarse = F.avg_pool2d(grid.permute(0, 3, 1, 2), SOFT_LABEL_STRIDE).permute(0, 2, 3, 1)
        nothing = torch.zeros(1, NUM_CHANNELS, *coarse.shape[1:3], device=device)
        soft_labels.append(nothing if soft is None else sampled(soft, coarse, "bilinear", 255))
        soft_labelled.append(soft is not None)
    semantic, tables = torch.cat(labels).unbind(1)
    semantic = semantic.where(inside, float(IGNORE))
    return Views(
        torch.where(inside[:, None], torch.cat(images), 127.0),
        torch.stack([semantic, tables.where(inside, 0.0)], dim=1).long(),
        data.candidates[indices].to(device),
        torch.cat(soft_labels),
        (semantic == PARTIAL) & torch.tensor(soft_labelled, device=device)[:, None, None],
        torch.zeros(len(indices), dtype=torch.int64),
        torch.tensor([data.hashes[index] for index in indices.tolist()], dtype=torch.uint64),
    )


def sampled(raster: Tensor, grid: Tensor, mode: str, divisor: int = 1) -> Tensor:
    """Values of a raster, uint8 (C, H, W), divided by `divisor`, where a grid (1, h, w, 2) lies; float (1, C, h, w)."""
    values = raster[None].float() / divisor
    return F.grid_sample(values, grid, mode=mode, padding_mode="border", align_corners=False)
