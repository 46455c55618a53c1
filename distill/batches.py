"""Batches by step number."""

from __future__ import annotations

from dataclasses import replace

import torch

from distill.augment import photographic_jitter, view_maps
from distill.config import TrainConfig
from distill.data import DeviceData, Views, crop_batch

SEED_STRIDE = 1_000_003


class BatchMaker:
    """Draws, cuts and jitters photos; all chance comes from the run's seed and the step's number."""

    def __init__(self, config: TrainConfig, data: DeviceData) -> None:
        self.config, self.data = config, data

    def make(self, step: int) -> Views:
        """The batch of a step, its photos jittered."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed * SEED_STRIDE + step)
        indices = self.data.draw(config.batch, config.table_share, generator)
        views = crop_batch(self.data, indices, view_maps(self.data.sizes[indices], config.crop, generator), config.crop)
        jittered = photographic_jitter(views.images, config.jitter, generator)
        return replace(views, images=jittered.contiguous(memory_format=torch.channels_last))
