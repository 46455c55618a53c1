"""Photos on the device, and views cut out of them."""

from __future__ import annotations

import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from distill.training.augment import view_maps
from distill.training.config import ConfigError
from distill.training.data import (
    MEMORY_SHARE,
    PIXEL_BYTES,
    SOFT_LABEL_STRIDE,
    load_on_device,
    require_memory,
    training_samples,
)
from distill.training.views import crop_batch
from models.student.network import PARTIAL
from surfaces.classes import DINING_TABLE, IGNORE, OTHER, WALL
from surfaces.datasets import Labels, LabelScope, MemorySample, open_dataset, split_blocks
from surfaces.detections import Image
from surfaces.errors import DatasetError

ROOMS = Path(__file__).parents[1] / "data" / "rooms"
CPU = torch.device("cpu")
CROP = 128
TILE = 8
UNIFORM = np.full((4, 1, 1), 64, np.uint8)


def sample_that_tells_places(name: str, height: int, width: int) -> MemorySample:
    """A photo whose red is x and whose green is y, with labels in tiles: a view tells where it was cut."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)
    semantic = tile_labels(torch.from_numpy(x), torch.from_numpy(y)).numpy().astype(np.uint8)
    return MemorySample(name, pixels, Labels(semantic, (semantic == DINING_TABLE.coco_id).astype(np.uint8)))


def tile_labels(x: Tensor, y: Tensor) -> Tensor:
    return (x // TILE + 2 * (y // TILE)) % 4


def plain_sample(name: str, size: tuple[int, int] = (4, 6), table: bool = False) -> MemorySample:
    semantic = np.full(size, DINING_TABLE.coco_id if table else WALL.coco_id, np.uint8)
    tables = np.full(size, int(table), np.uint8)
    return MemorySample(name, np.zeros((*size, 3), np.uint8), Labels(semantic, tables))


def test_each_photo_lies_in_the_corner_of_a_canvas_of_its_own() -> None:
    data = load_on_device([[sample_that_tells_places("a", 40, 70)], [sample_that_tells_places("b", 90, 30)]], (), CPU)
    assert [image.shape for image in data.images] == [(3, 40, 72), (3, 92, 32)]  # whole steps of beliefs
    assert data.sizes.tolist() == [[40, 70], [90, 30]]
    assert data.has_table.tolist() == [True, True]
    assert data.images[0][:, 39, 69].tolist() == [69, 39, 0]
    assert (data.labels[0][0, :, 70:] == IGNORE).all()
    assert (data.labels[1][0, 90:] == IGNORE).all()
    assert not data.labels[0][1, :, 70:].any()
    truth = sample_that_tells_places("b", 90, 30).labels()
    assert torch.equal(data.labels[1][:, :90, :30], torch.from_numpy(np.stack([truth.semantic, truth.tables])))


def test_large_photos_are_reduced_and_others_are_kept() -> None:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 5, (12, 20)).astype(np.uint8)
    semantic = np.kron(blocks, np.ones((40, 40), np.uint8))
    labels = Labels(semantic, (semantic == DINING_TABLE.coco_id).astype(np.uint8))
    large = MemorySample("large", np.repeat(semantic[..., None] * 50, 3, axis=2), labels)
    small = sample_that_tells_places("small", 40, 200)
    data = load_on_device([[large, small]], (), CPU, max_side=200)
    assert data.sizes.tolist() == [[120, 200], [40, 200]]
    expected = np.kron(blocks, np.ones((10, 10), np.uint8))
    np.testing.assert_array_equal(data.labels[0][0].numpy(), expected)
    np.testing.assert_array_equal(data.labels[0][1].numpy(), expected == DINING_TABLE.coco_id)
    np.testing.assert_array_equal(data.images[0].numpy(), np.stack([expected * 50] * 3))
    assert torch.equal(data.images[1], load_on_device([[small]], (), CPU).images[0])


def test_photos_that_do_not_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [plain_sample("small", (200, 300)), plain_sample("large", (900, 1200))] * 20
    needed = 20 * PIXEL_BYTES * (200 * 300 + 450 * 600)

    def available(share: float) -> SimpleNamespace:
        return SimpleNamespace(available=int(share * needed / MEMORY_SHARE))

    monkeypatch.setattr(psutil, "virtual_memory", lambda: available(1.01))
    require_memory(samples, 600, CPU)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available(0.99))
    words = r"80% of the 0\.043 GB free on cpu, got 40 of about 0\.035 GB: lower `max_side` \(600\), train on fewer"
    with pytest.raises(ConfigError, match=words):
        require_memory(samples, 600, CPU)


def test_one_photo_is_decoded_at_a_time() -> None:
    alive = 0

    class Counted(MemorySample):
        def image(self) -> Image:
            nonlocal alive
            alive += 1
            assert alive == 1
            pixels = np.zeros(self.pixels.shape, np.uint8)
            weakref.finalize(pixels, released)
            return pixels

    def released() -> None:
        nonlocal alive
        alive -= 1

    known = plain_sample("a").known
    load_on_device([[Counted(str(n), np.zeros((4, 6, 3), np.uint8), known) for n in range(3)]], (), CPU)
    assert alive == 0


def test_datasets_are_drawn_by_their_weights() -> None:
    small, large = [plain_sample("a")], [plain_sample(str(n)) for n in range(4)]
    even = load_on_device([small, large], (), CPU)
    torch.testing.assert_close(even.chance, torch.full((5,), 0.2, dtype=torch.float64))
    weighted = load_on_device([small, large], (3, 1), CPU)
    expected = torch.tensor([0.75, *[0.0625] * 4], dtype=torch.float64)
    torch.testing.assert_close(weighted.chance, expected)
    drawn = torch.bincount(weighted.draw(4000, 0, torch.Generator().manual_seed(0)), minlength=5) / 4000
    torch.testing.assert_close(drawn.double(), expected, atol=0.03, rtol=0)


@pytest.mark.parametrize(("share", "least"), [(0.0, 0), (0.25, 2), (0.5, 4), (1.0, 8)])
def test_the_first_have_a_table(share: float, least: int) -> None:
    data = load_on_device([[plain_sample(str(n), table=n == 5) for n in range(6)]], (), CPU)
    for seed in range(20):
        drawn = data.draw(8, share, torch.Generator().manual_seed(seed))
        assert drawn.shape == (8,)
        assert (drawn[:least] == 5).all()
    assert (data.draw(4000, 0.5, torch.Generator().manual_seed(0))[2000:] != 5).any()


def test_without_tables_any_photo_is_drawn() -> None:
    data = load_on_device([[plain_sample("a"), plain_sample("b")]], (), CPU)
    assert set(data.draw(50, 1.0, torch.Generator().manual_seed(0)).tolist()) == {0, 1}


def test_a_dataset_of_no_weight_is_not_drawn() -> None:
    data = load_on_device([[plain_sample("a", table=True)], [plain_sample("b")]], (0, 1), CPU)
    assert data.draw(6, 0.5, torch.Generator().manual_seed(0)).tolist() == [1] * 6


def test_labels_of_another_size_are_told() -> None:
    sample = MemorySample("a", np.zeros((5, 5, 3), np.uint8), plain_sample("b").labels())
    with pytest.raises(DatasetError, match=r"expected labels of the photo's size \(5, 5\) for a, got \(4, 6\)"):
        load_on_device([[sample]], (), CPU)


def test_nothing_is_drawn_where_nothing_is_asked() -> None:
    data = load_on_device([[plain_sample("a", table=True)]], (), CPU)
    drawn = data.draw(0, 0.5, torch.Generator().manual_seed(0))
    assert (drawn.shape, drawn.dtype) == ((0,), torch.int64)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_photo_and_labels_stay_together(seed: int) -> None:
    sizes = [(150, 250), (200, 120)]
    data = load_on_device([[sample_that_tells_places(str(size), *size) for size in sizes]], (), CPU)
    maps = view_maps(data.sizes, CROP, torch.Generator().manual_seed(seed))
    views = crop_batch(data, torch.arange(2), maps, CROP)
    images, labels = views.images, views.labels
    columns, rows = torch.meshgrid(torch.arange(CROP) + 0.5, torch.arange(CROP) + 0.5, indexing="xy")
    where = torch.einsum("bik,khw->bihw", maps, torch.stack([columns, rows, torch.ones_like(rows)]))
    # The ramps end half a pixel before the photo's edge; between two pixels either may be the nearest.
    limits = data.sizes.flip(1)[:, :, None, None]
    sure = ((where > 0.51) & (where < limits - 0.51) & ((where % 1 - 0.5).abs() < 0.48)).all(dim=1)
    assert sure.float().mean() > 0.1
    torch.testing.assert_close(
        images[:, :2].permute(0, 2, 3, 1)[sure], where.permute(0, 2, 3, 1)[sure] - 0.5, atol=0.02, rtol=0
    )
    x, y = where.floor().long().unbind(1)
    assert torch.equal(labels[:, 0][sure], tile_labels(x, y)[sure])
    assert torch.equal(labels[:, 1] > 0, labels[:, 0] == DINING_TABLE.coco_id)


def test_nobody_said_what_is_outside_the_photo() -> None:
    data = load_on_device([[plain_sample("small", (40, 60), table=True), plain_sample("large", (300, 300))]], (), CPU)
    whole = torch.tensor([[[1.0, 0, -20], [0, 1, -30]]])
    views = crop_batch(data, torch.tensor([0]), whole, CROP)
    inside = torch.zeros(1, CROP, CROP, dtype=torch.bool)
    inside[:, 30:70, 20:80] = True
    images, labels = views.images, views.labels
    assert (labels[:, 0][~inside] == IGNORE).all()
    assert (labels[:, 0][inside] == DINING_TABLE.coco_id).all()
    assert torch.equal(labels[:, 1] == 1, inside)
    assert (images.permute(0, 2, 3, 1)[~inside] == 127).all()


@pytest.mark.parametrize(
    ("linear", "turned"),
    [
        ([[1.0, 0, 0], [0, 1, 0]], lambda pixels: pixels),
        ([[-1.0, 0, 128], [0, 1, 0]], lambda pixels: pixels[..., ::-1]),
        ([[0.0, 1, 0], [-1, 0, 128]], lambda pixels: pixels[..., ::-1, :].swapaxes(-2, -1)),
    ],
    ids=["as it is", "mirrored", "turned"],
)
def test_exact_views(linear: list[list[float]], turned: object) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (128, 128, 3)).astype(np.uint8)
    semantic = rng.integers(0, 5, (128, 128)).astype(np.uint8)
    sample = MemorySample("a", pixels, Labels(semantic, (semantic == 3).astype(np.uint8)))
    data = load_on_device([[sample]], (), CPU)
    views = crop_batch(data, torch.tensor([0]), torch.tensor([linear]), CROP)
    images, labels = views.images, views.labels
    assert callable(turned)
    np.testing.assert_allclose(images[0].numpy(), turned(pixels.transpose(2, 0, 1)), atol=0.01)
    np.testing.assert_array_equal(labels[0, 0].numpy(), turned(semantic))


def test_the_training_side_of_the_split() -> None:
    train, held_back = split_blocks(open_dataset(ROOMS))
    ((chosen,), (everything,)) = (training_samples([str(ROOMS)], split) for split in ("train", "all"))
    assert [sample.name for sample in chosen] == [sample.name for sample in train]
    assert len(everything) == len(train) + len(held_back) == 18


def test_datasets_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected a dataset at"):
        training_samples([str(tmp_path / "none")], "train")


def believing_sample(size: tuple[int, int]) -> MemorySample:
    """A photo whose belief in walls falls from left to right, in floors from top to bottom, the rest is other."""
    height, width = size
    y, x = (np.mgrid[: height // 2, : width // 2] + 0.5) * 2
    wall, floor = 100 * x / width, 100 * y / height
    soft_labels = np.stack([255 - wall - floor, wall, floor, np.zeros_like(wall)]).round().astype(np.uint8)
    sample = plain_sample("believed", size)
    return MemorySample(sample.name, sample.pixels, Labels(sample.known.semantic, sample.known.tables, soft_labels))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_photo_and_belief_stay_together(seed: int) -> None:
    data = load_on_device([[plain_sample("labelled", (300, 300)), believing_sample((120, 200))]], (), CPU)
    maps = view_maps(data.sizes, CROP, torch.Generator().manual_seed(seed))
    views = crop_batch(data, torch.arange(2), maps, CROP)
    assert views.soft_labels.shape == (2, 4, CROP // SOFT_LABEL_STRIDE, CROP // SOFT_LABEL_STRIDE)
    assert not views.soft_labelled[0].any()
    assert not views.soft_labels[0].any()
    places = (torch.arange(CROP // SOFT_LABEL_STRIDE) + 0.5) * SOFT_LABEL_STRIDE
    columns, rows = torch.meshgrid(places, places, indexing="xy")
    x, y = torch.einsum("ik,khw->ihw", maps[1], torch.stack([columns, rows, torch.ones_like(rows)]))
    well_inside = (x > 4) & (x < 196) & (y > 4) & (y < 116)
    _, wall, floor, table = views.soft_labels[1]
    torch.testing.assert_close(wall[well_inside], 100 / 255 * x[well_inside] / 200, atol=0.006, rtol=0)
    torch.testing.assert_close(floor[well_inside], 100 / 255 * y[well_inside] / 120, atol=0.006, rtol=0)
    assert not table.any()
    # Pixels within half a block of the edge may be on either side of it.
    centres = slice(SOFT_LABEL_STRIDE // 2, None, SOFT_LABEL_STRIDE)
    assert views.soft_labelled[1][centres, centres][well_inside].all()


def test_photos_with_a_belief_teach_no_boxes() -> None:
    known = plain_sample("a", table=True).known
    soft_labelled = MemorySample("b", np.zeros((4, 6, 3), np.uint8), Labels(known.semantic, known.tables, UNIFORM))
    data = load_on_device([[plain_sample("a", table=True), soft_labelled]], (), CPU)
    assert data.has_table.tolist() == [True, False]
    assert [soft_labels is not None for soft_labels in data.soft_labels] == [False, True]
    assert (data.labels[1][0, :4, :6] == PARTIAL).all()
    assert (data.labels[1][0, :, 6:] == IGNORE).all()
    assert not data.labels[1][1].any()
    assert data.candidates.all()


def scoped_sample(scope: LabelScope, semantic: np.ndarray, soft: tuple[int, ...] | None = None) -> MemorySample:
    soft_labels = None if soft is None else np.array(soft, np.uint8)[:, None, None]
    tables = (semantic == DINING_TABLE.coco_id).astype(np.uint8)
    return MemorySample("a", np.zeros((*semantic.shape, 3), np.uint8), Labels(semantic, tables, soft_labels, scope))


WALLS, TABLES = frozenset({1, 2}), frozenset({3})


@pytest.mark.parametrize(
    ("scope", "value", "becomes", "candidates"),
    [
        (LabelScope(unlabelled=WALLS), OTHER, PARTIAL, {0, 1, 2}),
        (LabelScope(unlabelled=WALLS), DINING_TABLE.coco_id, DINING_TABLE.coco_id, {0, 1, 2}),
        (LabelScope(unlabelled=WALLS), IGNORE, IGNORE, {0, 1, 2}),
        (LabelScope(unlabelled=TABLES), OTHER, PARTIAL, {0, 3}),
        (LabelScope(absent=TABLES), IGNORE, PARTIAL, {0, 1, 2}),
        (LabelScope(absent=TABLES), OTHER, OTHER, {0, 1, 2}),
        (LabelScope(), OTHER, OTHER, {0, 1, 2, 3}),
    ],
)
def test_labels_that_leave_a_choice(scope: LabelScope, value: int, becomes: int, candidates: set[int]) -> None:
    data = load_on_device([[scoped_sample(scope, np.full((8, 8), value, np.uint8))]], (), CPU)
    assert (data.labels[0][0] == becomes).all()
    assert set(torch.where(data.candidates[0])[0].tolist()) == candidates


def test_one_photo_brings_soft_labels_of_walls_and_hard_labels_of_tables() -> None:
    semantic = np.zeros((CROP, CROP), np.uint8)
    semantic[:, : CROP // 2] = DINING_TABLE.coco_id
    semantic[: CROP // 4] = IGNORE
    sample = scoped_sample(LabelScope(unlabelled=WALLS), semantic, (55, 100, 40, 60))
    data = load_on_device([[sample]], (), CPU)
    assert data.soft_labels[0][:, 0, 0].tolist() == [115, 100, 40, 0]
    assert data.has_table.tolist() == [True]
    whole = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    views = crop_batch(data, torch.tensor([0]), whole, CROP)
    assert torch.equal(views.soft_labelled[0], torch.from_numpy(semantic == OTHER))
    assert (views.labels[0, 0][:, : CROP // 2][CROP // 4 :] == DINING_TABLE.coco_id).all()
