from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pycocotools import mask as coco

from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Detection
from surfaces.errors import OutputError
from surfaces.images.load import load_image
from surfaces.segmenting.results import Model, Parts, encode_jpeg, encode_mask, save_result, segment_names

MODEL = Model("tiny", "ab" * 32)


def test_the_keys_of_the_json_are_an_interface(
    tmp_path: Path, room_path: Path, room_detections: list[Detection]
) -> None:
    picture = load_image(str(room_path))
    path = save_result(tmp_path, ["a.5"], "http://x/é.jpg", picture, room_detections, MODEL, Parts(json=True))
    document = json.loads((tmp_path / "a.5.json").read_text("utf-8"))
    assert document.keys() == {"image", "model", "segments"}
    assert document["image"] == {"source": "http://x/é.jpg", "width": 512, "height": 384, "output": str(path)}
    assert document["model"] == {"name": "tiny", "sha256": "ab" * 32}
    assert len(document["segments"]) == len(room_detections)
    for segment, detection in zip(document["segments"], room_detections, strict=True):
        assert segment.keys() == {"class", "score", "box_xyxy", "area_share", "segmentation"}
        assert segment["class"] == detection.surface.name
        assert segment["score"] == 0.9
        assert segment["box_xyxy"] == detection.box_xyxy.tolist()
        assert segment["area_share"] == pytest.approx(detection.mask.mean(), abs=1e-6)
        assert segment["segmentation"].keys() == {"size", "counts"}
        assert segment["segmentation"]["size"] == [384, 512]
        assert np.array_equal(coco.decode(segment["segmentation"]), detection.mask)


def test_masks_are_exact(tmp_path: Path, room_path: Path, room_detections: list[Detection]) -> None:
    save_result(tmp_path, ["a"], "x", load_image(str(room_path)), room_detections, MODEL, Parts(masks=True))
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg"} | {
        f"a_{name}.png" for name in segment_names(room_detections)
    }
    for name, detection in zip(segment_names(room_detections), room_detections, strict=True):
        stored = np.asarray(Pillow.open(tmp_path / f"a_{name}.png"))
        assert np.array_equal(stored, np.where(detection.mask, 255, 0))


def test_things_are_numbered() -> None:
    mask = np.ones((2, 2), bool)
    found = [Detection(s, 0.5, np.zeros(4, np.float32), mask) for s in (WALL, FLOOR, DINING_TABLE, DINING_TABLE)]
    assert segment_names(found) == ["wall", "floor", "dining-table-1", "dining-table-2"]


def test_a_taken_name_is_not_told_in_the_json(tmp_path: Path, room_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    picture = load_image(str(room_path))
    assert save_result(tmp_path, ["a", "b"], "x", picture, [], MODEL, Parts(json=True)) == tmp_path / "b.jpg"
    assert json.loads((tmp_path / "b.json").read_text())["image"]["output"] == str(tmp_path / "b.jpg")


def test_no_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        save_result(tmp_path / "absent", ["a"], "x", np.zeros((20, 20, 3), np.uint8), [], MODEL, Parts())


def test_the_jpeg_is_close_to_the_picture(room_path: Path) -> None:
    image = load_image(str(room_path))
    stored = Pillow.open(io.BytesIO(encode_jpeg(image)))
    assert (stored.format, stored.mode, stored.size) == ("JPEG", "RGB", (512, 384))
    assert np.abs(np.asarray(stored).astype(int) - image).mean() < 2


def test_an_empty_mask_is_a_black_png() -> None:
    assert np.asarray(Pillow.open(io.BytesIO(encode_mask(np.zeros((3, 5), bool))))).tolist() == [[0] * 5] * 3
