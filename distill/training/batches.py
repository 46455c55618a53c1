"""Batches by step number."""

from __future__ import annotations

from dataclasses import fields, replace

import torch

from distill.training.augment import drawn_seeds, photographic_jitter, view_maps
from distill.training.config import TrainConfig
from distill.training.copy_paste import paste_tables
from distill.training.data import PhotoSource, Wanted
from distill.training.processes import ALONE, Processes
from distill.training.views import Views, crop_batch

SEED_STRIDE = 1_000_003


class BatchMaker:
    """Draws, cuts and jitters photos; all chance comes from the run's seed and the step's number.

    Args:
        config: the run's settings.
        data: the photos of `config.data`.
        extra: those of `config.extra`. What is drawn of `data` is the same with and without them.
        processes: share each batch; every process makes the views of some of its photos, the same as one would alone.
    """

    def __init__(
        self, config: TrainConfig, data: PhotoSource, extra: PhotoSource | None = None, processes: Processes = ALONE
    ) -> None:
        self.config, self.data, self.extra = config, data, extra
        # Every so many photos: those with tables, which come first and take longer, are shared too.
        self.rows = slice(processes.rank, None, processes.count)

    def make(self, step: int) -> Views:
        """This process's part of the batch of a step, its photos jittered; those of `extra` come last."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed * SEED_STRIDE + step)
        views = self._views(self.data, step, config.batch, config.table_share, generator)
        if self.extra:
            views = concat_batches(views, self._views(self.extra, step, config.extra_batch, 0.0, generator))
        return replace(views, images=views.images.contiguous(memory_format=torch.channels_last))

    def _views(
        self, source: PhotoSource, step: int, count: int, table_share: float, generator: torch.Generator
    ) -> Views:
        config = self.config
        # Tables are pasted from any photo of the batch: then all are cut.
        rows = slice(None) if config.copy_paste else self.rows
        data, indices = source.select(Wanted(step, count, table_share, generator, rows))
        maps = view_maps(data.sizes[indices], config.crop, generator, count, rows)
        views = crop_batch(data, indices, maps, config.crop)
        if config.copy_paste:
            views = paste_tables(views, config.copy_paste, generator)
            views = Views(*(getattr(views, f.name)[self.rows] for f in fields(Views)))
        jittered = photographic_jitter(views.images, config.jitter, generator, count, self.rows)
        return replace(views, images=jittered, seeds=drawn_seeds(count, generator)[self.rows])


def concat_batches(one: Views, other: Views) -> Views:
    """The views of both."""
    return Views(*(torch.cat([getattr(one, f.name), getattr(other, f.name)]) for f in fields(Views)))
