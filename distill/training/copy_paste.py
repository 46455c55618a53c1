"""Copies tables of some views into others of the same batch (Ghiasi et al., Simple Copy-Paste, 2021)."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.training.data import SOFT_LABEL_STRIDE
from distill.training.views import Views
from surfaces.classes import DINING_TABLE

SMALLEST_SHARE = 0.01
"""Of a view: smaller tables, and slivers at its edge, are not copied."""
SHIFT_X, SHIFT_Y = 0.3, 0.08
"""Of a view: how far a table moves. It hardly leaves its height, where a table of its size stands."""


def paste_tables(views: Views, chance: float, generator: torch.Generator) -> Views:
    """Pastes a table of another view into each view, with a chance; what lies below it is covered.

    Args:
        views: the batch; it is not changed.
        chance: 0 to 1, of each view.
        generator: source of chance.
    """
    sources = [index for index, tables in enumerate(views.labels[:, 1]) if large_tables(tables)]
    wanted = torch.rand(len(views.images), generator=generator) < chance
    images, labels = views.images.clone(), views.labels.clone()
    soft_labels, soft_labelled = views.soft_labels.clone(), views.soft_labelled.clone()
    for target in torch.nonzero(wanted)[:, 0].tolist():
        others = [source for source in sources if source != target]
        if not others:
            continue
        source = others[int(torch.randint(len(others), (1,), generator=generator))]
        numbers = large_tables(views.labels[source, 1])
        number = numbers[int(torch.randint(len(numbers), (1,), generator=generator))]
        side = views.images.shape[-1]
        shift = ((2 * torch.rand(2, generator=generator) - 1) * torch.tensor([SHIFT_Y, SHIFT_X]) * side).round().int()
        mask = moved((views.labels[source, 1] == number)[None], shift)[0]
        picture = moved(views.images[source], shift)
        opacity = F.avg_pool2d(mask[None, None].float(), 3, 1, 1)[0]
        images[target] += opacity * (picture - images[target])
        labels[target, 0][mask] = DINING_TABLE.coco_id
        labels[target, 1][mask] = int(labels[target, 1].max()) + 1
        soft_labelled[target][mask] = False
        share = F.avg_pool2d(mask[None, None].float(), SOFT_LABEL_STRIDE)[0]
        soft_labels[target] *= 1 - share
        soft_labels[target, DINING_TABLE.coco_id] += share[0]
    return replace(views, images=images, labels=labels, soft_labels=soft_labels, soft_labelled=soft_labelled)


def large_tables(tables: Tensor) -> list[int]:
    """The numbers of tables, int64 (H, W), that are worth copying."""
    numbers, counts = torch.unique(tables[tables > 0], return_counts=True)
    return [int(number) for number in numbers[counts >= SMALLEST_SHARE * tables.numel()]]


def moved(raster: Tensor, shift: Tensor) -> Tensor:
    """A raster (C, H, W) moved by (rows, columns); 0, or False, where nothing comes from."""
    height, width = raster.shape[1:]
    (down, right), result = shift.tolist(), torch.zeros_like(raster)
    rows = slice(max(0, down), height + min(0, down)), slice(max(0, -down), height + min(0, -down))
    columns = slice(max(0, right), width + min(0, right)), slice(max(0, -right), width + min(0, -right))
    result[:, rows[0], columns[0]] = raster[:, rows[1], columns[1]]
    return result
