"""Tables of one view are copied into others, with all their labels."""

from __future__ import annotations

import pytest
import torch

from distill.training.copy_paste import SHIFT_X, SHIFT_Y, large_tables, moved, paste_tables
from distill.training.data import SOFT_LABEL_STRIDE
from distill.training.views import Views
from models.student.network import PARTIAL
from surfaces.classes import DINING_TABLE, WALL

SIDE = 128
TABLE = DINING_TABLE.coco_id


def views(soft_labelled: bool = False) -> Views:
    """A white view with a table of 40x60 pixels, numbered 5, and two black ones of wall; the last has a small table."""
    images = torch.zeros(3, 3, SIDE, SIDE)
    images[0] = 255
    labels = torch.full((3, 2, SIDE, SIDE), WALL.coco_id)
    labels[:, 1] = 0
    for view, number, rows, columns in ((0, 5, slice(60, 100), slice(30, 90)), (2, 1, slice(0, 5), slice(0, 5))):
        labels[view, 0, rows, columns], labels[view, 1, rows, columns] = TABLE, number
    coarse = torch.zeros(3, 4, SIDE // SOFT_LABEL_STRIDE, SIDE // SOFT_LABEL_STRIDE)
    if soft_labelled:
        labels[1, 0], coarse[1, WALL.coco_id] = PARTIAL, 1.0
    candidates, seeds = torch.ones(3, 4, dtype=torch.bool), torch.arange(3)
    return Views(images, labels, candidates, coarse, labels[:, 0] == PARTIAL, seeds, seeds)


def pasted(batch: Views, chance: float = 1.0, seed: int = 0) -> Views:
    return paste_tables(batch, chance, torch.Generator().manual_seed(seed))


def test_a_pasted_table_has_its_pixels_and_labels() -> None:
    batch = views()
    result = pasted(batch)
    for view in (1, 2):
        new = result.labels[view, 1] > batch.labels[view, 1].max()
        assert 2000 < int(new.sum()) <= 2400  # a part may have moved out of the view
        assert (result.labels[view, 0][new] == TABLE).all()
        assert (result.labels[view][:, ~new] == batch.labels[view][:, ~new]).all()
        rows, columns = torch.nonzero(new).unbind(1)
        assert abs(int(rows.min()) - 60) <= SHIFT_Y * SIDE + 1
        assert abs(int(columns.min()) - 30) <= SHIFT_X * SIDE + 1
        inner = result.images[view, :, rows.min() + 2 : rows.max() - 1, columns.min() + 2 : columns.max() - 1]
        assert (inner == 255).all()
        assert 0 < float(result.images[view, :, new].min()) < 255  # the outline is mixed
    assert torch.equal(result.images[0], batch.images[0])  # no other view has a table that is large enough
    assert not batch.images[1:].any()  # the batch itself is as it was


def test_soft_labels_give_way() -> None:
    result = pasted(views(soft_labelled=True))
    table = result.labels[1, 0] == TABLE
    assert table.any()
    assert not result.soft_labelled[1][table].any()
    assert result.soft_labelled[1][~table].all()
    assert torch.allclose(result.soft_labels[1].sum(0), torch.ones(()))
    rows, columns = torch.nonzero(table).unbind(1)
    middle = int(rows.float().mean()) // SOFT_LABEL_STRIDE, int(columns.float().mean()) // SOFT_LABEL_STRIDE
    assert float(result.soft_labels[1, TABLE][middle]) == 1


def test_chance() -> None:
    batch = views()
    assert torch.equal(pasted(batch, 0.0).images, batch.images)
    changed = [not torch.equal(pasted(batch, 0.5, seed).images[1], batch.images[1]) for seed in range(40)]
    assert 10 < sum(changed) < 30
    assert torch.equal(pasted(batch, 0.5, 7).images, pasted(batch, 0.5, 7).images)


def test_a_batch_without_tables_stays_as_it_is() -> None:
    batch = views()
    batch.labels[:, 1] = 0
    assert torch.equal(pasted(batch).labels, batch.labels)
    assert large_tables(batch.labels[0, 1]) == []


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-4, 5), (8, 0), (0, -9)])
def test_moving(shift: tuple[int, int]) -> None:
    raster = torch.arange(1, 73).reshape(1, 8, 9)
    result = moved(raster, torch.tensor(shift))
    for row in range(8):
        for column in range(9):
            before = row - shift[0], column - shift[1]
            inside = 0 <= before[0] < 8 and 0 <= before[1] < 9
            assert int(result[0, row, column]) == (int(raster[0, before[0], before[1]]) if inside else 0)
