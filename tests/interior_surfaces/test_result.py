from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pycocotools import mask as coco

from interior_surfaces import Result
from surfaces.classes import DINING_TABLE, WALL, SurfaceClass
from surfaces.detections import Detection, box_of_mask
from surfaces.errors import OutputError, SurfacesError


def found(surface: SurfaceClass, score: float, left: int) -> Detection:
    mask = np.zeros((40, 60), bool)
    mask[10:30, left : left + 10] = True
    return Detection(surface, score, box_of_mask(mask), mask)


@pytest.fixture
def result() -> Result:
    image = np.full((40, 60, 3), 200, np.uint8)
    return Result(image, (found(WALL, 0.9, 0), found(DINING_TABLE, 0.8, 20), found(DINING_TABLE, 0.625, 40)))


def test_arrays(result: Result) -> None:
    assert result.class_names == ["wall", "dining table", "dining table"]
    assert result.scores.tolist() == pytest.approx([0.9, 0.8, 0.625])
    assert result.boxes_xyxy.tolist() == [[0, 10, 10, 30], [20, 10, 30, 30], [40, 10, 50, 30]]
    assert (result.masks.shape, result.masks.dtype) == ((3, 40, 60), bool)
    assert len(result) == 3
    assert [detection.score for detection in result] == [0.9, 0.8, 0.625]
    assert repr(result) == "Result(60x40: wall 90%, dining table 80%, dining table 62%)"


def test_the_mask_of_a_class_is_the_union(result: Result) -> None:
    np.testing.assert_array_equal(result.mask("dining table"), result.masks[1] | result.masks[2])
    assert not result.mask("floor").any()
    with pytest.raises(SurfacesError, match="expected one of wall, floor, dining table, got 'Floor'"):
        result.mask("Floor")


def test_supervision(result: Result) -> None:
    detections = result.to_supervision()
    assert detections.class_id.tolist() == [0, 2, 2]
    assert detections["class_name"].tolist() == result.class_names
    np.testing.assert_array_equal(detections.mask, result.masks)
    assert len(detections[detections.class_id == 2]) == 2


def test_coco(result: Result) -> None:
    annotations = result.to_coco(image_id=7, first_id=11)
    assert [(a["id"], a["image_id"], a["category_id"]) for a in annotations] == [(11, 7, 1), (12, 7, 3), (13, 7, 3)]
    assert annotations[1]["bbox"] == [20, 10, 10, 20]
    assert annotations[1]["area"] == 200
    np.testing.assert_array_equal(coco.decode(annotations[1]["segmentation"]), result.masks[1])


def test_nothing_found() -> None:
    empty = Result(np.zeros((40, 60, 3), np.uint8), ())
    assert (empty.masks.shape, empty.boxes_xyxy.shape, empty.to_coco()) == ((0, 40, 60), (0, 4), [])
    assert len(empty.to_supervision()) == 0
    np.testing.assert_array_equal(empty.plot(), empty.image)
    assert repr(empty) == "Result(60x40: nothing found)"


def test_pictures(result: Result, tmp_path: Path) -> None:
    drawn = result.plot()
    assert (result.image == 200).all()
    assert (drawn != result.image).any()
    result.save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(Pillow.open(tmp_path / "a.png")), drawn)
    np.testing.assert_array_equal(np.asarray(Pillow.open(io.BytesIO(result._repr_png_()))), drawn)
    with pytest.raises(OutputError, match=r"end in \.jpg or \.png, got a\.gif"):
        result.save(tmp_path / "a.gif")
