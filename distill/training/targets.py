"""From augmented label maps to the instance heads' targets."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from models.student.instance_heads import TableTargets
from models.student.network import PARTIAL
from surfaces.classes import DINING_TABLE, IGNORE, OTHER_TABLE

SMALLEST_AREA = 64
"""Pixels: what is left of a table at a crop's edge below this is ignored rather than learnt."""


def table_targets(labels: Tensor, candidates: Tensor, seeds: Tensor | None = None) -> list[TableTargets]:
    """One TableTargets a photo.

    Args:
        labels: int64 (B, 2, H, W): semantic map and table numbers.
        candidates: bool (B, 4): the classes of PARTIAL pixels.
        seeds: int64 (B,), of what is sampled of each photo; None: 0.
    """
    tables_possible = candidates[:, DINING_TABLE.coco_id].tolist()
    photos = zip(labels.unbind(0), tables_possible, [0] * len(labels) if seeds is None else seeds.tolist(), strict=True)
    return [
        replace(targets_of_photo(semantic, tables, possible), seed=seed)
        for (semantic, tables), possible, seed in photos
    ]


def targets_of_photo(semantic: Tensor, tables: Tensor, partial_ignored: bool) -> TableTargets:
    """Boxes and masks of the tables in int64 (H, W) maps; slivers and crowds of tables join what is ignored."""
    crowd = (semantic == DINING_TABLE.coco_id) & (tables == 0)
    ignored = (semantic == IGNORE) | (semantic == OTHER_TABLE) | crowd
    if partial_ignored:
        ignored = ignored | (semantic == PARTIAL)
    boxes, masks = [], []
    for number in torch.unique(tables[tables > 0]):
        mask = tables == number
        rows, columns = torch.where(mask)
        box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        if len(rows) < SMALLEST_AREA:
            ignored = ignored | mask
            continue
        boxes.append(box.float())
        masks.append(mask.to(torch.uint8))
    if not boxes:
        empty = torch.zeros(0, *semantic.shape, dtype=torch.uint8, device=semantic.device)
        return TableTargets(torch.zeros(0, 4, device=semantic.device), empty, ignored)
    return TableTargets(torch.stack(boxes), torch.stack(masks), ignored)
