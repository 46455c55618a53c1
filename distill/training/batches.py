"""Batches by step number."""

from __future__ import annotations

from dataclasses import fields, replace

import torch

from distill.training.augment import photographic_jitter, view_maps
from distill.training.config import TrainConfig
from distill.training.copy_paste import paste_tables
from distill.training.data import DeviceData, Views, crop_batch

SEED_STRIDE = 1_000_003


class BatchMaker:
    """Draws, cuts and jitters photos; all chance comes from the run's seed and the step's number.

    Args:
        config: the run's settings.
        data: the photos of `config.data`.
        extra: those of `config.extra`. What is drawn of `data` is the same with and without them.
    """

    def __init__(self, config: TrainConfig, data: DeviceData, extra: DeviceData | None = None) -> None:
        self.config, self.data, self.extra = config, data, extra

    def make(self, step: int) -> Views:
        """The batch of a step, its photos jittered; those of `extra` come last."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed * SEED_STRIDE + step)
        views = self._views(self.data, config.batch, config.table_share, generator)
        if self.extra:
            views = concat_batches(views, self._views(self.extra, config.extra_batch, 0.0, generator))
        return replace(views, images=views.images.contiguous(memory_format=torch.channels_last))

    def _views(self, data: DeviceData, count: int, table_share: float, generator: torch.Generator) -> Views:
        indices = data.draw(count, table_share, generator)
        views = crop_batch(data, indices, view_maps(data.sizes[indices], self.config.crop, generator), self.config.crop)
        if self.config.copy_paste:
            views = paste_tables(views, self.config.copy_paste, generator)
        return replace(views, images=photographic_jitter(views.images, self.config.jitter, generator))


def concat_batches(one: Views, other: Views) -> Views:
    """The views of both."""
    return Views(*(torch.cat([getattr(one, f.name), getattr(other, f.name)]) for f in fields(Views)))
