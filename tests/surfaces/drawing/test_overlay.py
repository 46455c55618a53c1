from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, WALL, SurfaceClass
from surfaces.detections import Detection, Image, Mask, box_of_mask
from surfaces.drawing.overlay import draw_overlay, label_text
from surfaces.images.load import load_image

GREY = 100


def blank(height: int, width: int) -> Image:
    return np.full((height, width, 3), GREY, np.uint8)


def rectangle(height: int, width: int, top: int, bottom: int, left: int, right: int) -> Mask:
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def found(surface: SurfaceClass, mask: Mask, score: float = 0.97) -> Detection:
    return Detection(surface, score, box_of_mask(mask), mask)


def tinted(surface: SurfaceClass, alpha: float) -> np.ndarray:
    return np.round(alpha * np.array(surface.colour_rgb) + (1 - alpha) * GREY)


def near(colour: np.ndarray, expected: np.ndarray | tuple[int, ...], tolerance: int = 2) -> bool:
    return bool(np.abs(colour.astype(int) - np.asarray(expected)).max() <= tolerance)


def shade(surface: SurfaceClass) -> np.ndarray:
    """The colour of a label's ground."""
    return np.round(0.55 * np.array(surface.colour_rgb))


def label_box(picture: Image, surface: SurfaceClass) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a label, told from its ground."""
    ground = (np.abs(picture.astype(int) - shade(surface)) <= 2).all(axis=2)
    left, top, right, bottom = box_of_mask(ground).astype(int)
    return int(left), int(top), int(right), int(bottom)


@pytest.mark.parametrize("surface", CLASSES)
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_tint_of_each_class(surface: SurfaceClass, alpha: float) -> None:
    mask = rectangle(240, 320, 40, 200, 60, 260)
    picture = draw_overlay(blank(240, 320), [found(surface, mask)], alpha)
    assert near(picture[50, 70], tinted(surface, alpha))
    assert near(picture[190, 250], tinted(surface, alpha))
    assert (picture[:30] == GREY).all()
    assert (picture[210:] == GREY).all()


@pytest.mark.parametrize("surface", CLASSES)
def test_outlines_follow_the_edge(surface: SurfaceClass) -> None:
    mask = rectangle(240, 320, 40, 200, 60, 260)
    picture = draw_overlay(blank(240, 320), [found(surface, mask)])
    for row, column in [(40, 160), (199, 160), (120, 60), (120, 259)]:
        assert near(picture[row, column], surface.colour_rgb, tolerance=8)


def test_no_outline_along_the_photos_border() -> None:
    mask = rectangle(240, 320, 0, 120, 0, 320)
    picture = draw_overlay(blank(240, 320), [found(WALL, mask)])
    border = np.concatenate([picture[0], picture[:110, 0], picture[:110, -1]])
    assert near(border, tinted(WALL, 0.4))
    assert near(picture[119, 100], WALL.colour_rgb, tolerance=8)


def test_holes_are_outlined_and_not_tinted() -> None:
    mask = rectangle(240, 320, 0, 240, 0, 320)
    mask[60:120, 200:280] = False
    picture = draw_overlay(blank(240, 320), [found(WALL, mask)])
    assert (picture[65:115, 205:275] == GREY).all()
    for row, column in [(59, 240), (120, 240), (90, 199), (90, 280)]:
        assert near(picture[row, column], WALL.colour_rgb, tolerance=8)


def test_separate_parts_are_all_drawn() -> None:
    mask = rectangle(240, 320, 10, 110, 10, 110) | rectangle(240, 320, 150, 230, 200, 310)
    picture = draw_overlay(blank(240, 320), [found(FLOOR, mask)])
    assert near(picture[15, 15], tinted(FLOOR, 0.4))
    assert near(picture[220, 300], tinted(FLOOR, 0.4))


def test_input_is_not_modified() -> None:
    image = blank(64, 64)
    picture = draw_overlay(image, [found(WALL, np.ones((64, 64), bool))])
    assert (image == GREY).all()
    assert picture is not image
    assert picture.shape == image.shape
    assert picture.dtype == np.uint8


def test_no_detections(room_path: Path) -> None:
    image = load_image(str(room_path))
    empty = found(WALL, np.zeros(image.shape[:2], bool))
    assert np.array_equal(draw_overlay(image, []), image)
    assert np.array_equal(draw_overlay(image, [empty]), image)


def test_label_text() -> None:
    mask = np.ones((2, 2), bool)
    assert label_text(found(DINING_TABLE, mask, 0.966)) == "dining table 97%"
    assert label_text(found(WALL, mask, 1.0)) == "wall 100%"


def test_labels_are_in_the_widest_part() -> None:
    mask = rectangle(480, 640, 0, 60, 0, 640) | rectangle(480, 640, 100, 480, 340, 640)
    left, top, right, bottom = label_box(draw_overlay(blank(480, 640), [found(WALL, mask)]), WALL)
    assert (left + right) / 2 == pytest.approx(490, abs=10)
    assert (top + bottom) / 2 == pytest.approx(290, abs=10)


def test_labels_avoid_holes() -> None:
    mask = np.ones((480, 640), bool)
    mask[180:300, 220:420] = False
    left, top, right, bottom = label_box(draw_overlay(blank(480, 640), [found(WALL, mask)]), WALL)
    assert mask[top:bottom, left:right].all()


def test_labels_of_small_tables_are_above_them() -> None:
    mask = rectangle(480, 640, 300, 316, 300, 340)
    picture = draw_overlay(blank(480, 640), [found(DINING_TABLE, mask)])
    left, _, right, bottom = label_box(picture, DINING_TABLE)
    assert bottom <= 301
    assert left < 320 < right


def test_labels_do_not_overlap() -> None:
    tables = [found(DINING_TABLE, rectangle(480, 640, 300, 320, 40 * n, 40 * n + 30), 0.9) for n in range(1, 15, 2)]
    each_alone = [draw_overlay(blank(480, 640), [table], 0) for table in tables]
    widths = [label_box(picture, DINING_TABLE)[2] - label_box(picture, DINING_TABLE)[0] for picture in each_alone]
    assert min(widths) > 80  # wider than the distance from table to table
    ground = sum((np.abs(p.astype(int) - shade(DINING_TABLE)) <= 2).all(axis=2).sum() for p in each_alone)
    together = draw_overlay(blank(480, 640), tables, 0)
    assert (np.abs(together.astype(int) - shade(DINING_TABLE)) <= 2).all(axis=2).sum() == pytest.approx(
        ground, rel=0.02
    )


def test_lines_and_text_scale_with_the_photo() -> None:
    heights = []
    for side in (480, 2160):
        _, top, _, bottom = label_box(draw_overlay(blank(side, side), [found(WALL, np.ones((side, side), bool))]), WALL)
        heights.append(bottom - top)
    assert 14 <= heights[0] <= 24
    assert 2 * heights[0] < heights[1] < 5 * heights[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 90), st.integers(16, 90), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_any_masks(height: int, width: int, seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    masks = [generator.random((height, width)) > generator.random() for _ in range(count)]
    detections = [found(CLASSES[n % 3], np.asfortranarray(m) if n % 2 else m) for n, m in enumerate(masks)]
    assert draw_overlay(blank(height, width), detections).shape == (height, width, 3)


def test_panorama() -> None:
    mask = rectangle(200, 2000, 100, 200, 0, 2000)
    assert near(draw_overlay(blank(200, 2000), [found(FLOOR, mask)])[190, 1990], tinted(FLOOR, 0.4))


def test_golden_picture(room_path: Path, room_detections: list[Detection]) -> None:
    """The mean colour of each cell of a 6x8 grid, to within what fonts and JPEG decoders differ by."""
    picture = draw_overlay(load_image(str(room_path)), room_detections)
    cells = picture.reshape(6, 64, 8, 64, 3).mean(axis=(1, 3))
    golden = np.load(Path(__file__).parents[2] / "data" / "overlay_room_01.npy")
    assert np.abs(cells - golden).max() < 1.5
    photo_alone = np.abs(load_image(str(room_path)).reshape(6, 64, 8, 64, 3).mean(axis=(1, 3)) - golden)
    assert photo_alone.max() > 20
