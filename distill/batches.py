"""Batches by step number: photos with labels, and photos without that the teachers label."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distill.augment import photographic_jitter, view_maps
from distill.config import TrainConfig
from distill.data import DeviceData, crop_batch

SEED_STRIDE = 1_000_003


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step learns from.

    Attributes:
        images: float (B, 3, crop, crop), jittered, as the student sees them; the last U are of unlabelled photos.
        labels: int64 (B, 2, crop, crop): semantic map and table numbers.
        clean: float (U, 3, crop, crop): the unlabelled photos' views without jitter, as the teachers see them.
        taught: bool (U, crop, crop): True inside those photos.
    """

    images: Tensor
    labels: Tensor
    clean: Tensor
    taught: Tensor


class BatchMaker:
    """Draws, cuts and jitters photos; all chance comes from the run's seed and the step's number."""

    def __init__(self, config: TrainConfig, labelled: DeviceData, unlabelled: DeviceData | None) -> None:
        self.config, self.labelled, self.unlabelled = config, labelled, unlabelled
        self.unlabelled_count = round(config.batch * config.unlabelled_share) if unlabelled else 0

    def make(self, step: int) -> Batch:
        """The batch of a step."""
        generator = torch.Generator().manual_seed(self.config.seed * SEED_STRIDE + step)
        labelled_count = self.config.batch - self.unlabelled_count
        images, labels, inside = self.views(self.labelled, labelled_count, self.config.table_share, generator)
        clean, taught = images[:0], inside[:0]
        if self.unlabelled:
            clean, ignored, taught = self.views(self.unlabelled, self.unlabelled_count, 0.0, generator)
            images, labels = torch.cat([images, clean]), torch.cat([labels, ignored])
        jittered = photographic_jitter(images, self.config.jitter, generator)
        return Batch(jittered.contiguous(memory_format=torch.channels_last), labels, clean, taught)

    def views(
        self, data: DeviceData, count: int, table_share: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Random views of random photos, as crop_batch returns them."""
        indices = data.draw(count, table_share, generator)
        maps = view_maps(data.sizes[indices], self.config.crop, generator)
        return crop_batch(data, indices, maps, self.config.crop)
