from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from pycocotools import mask as coco

from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Detection, Image
from surfaces.errors import OutputError
from surfaces.images.load import load_image
from surfaces.segmenting.pipeline import Segmented, Settings, save_results, segment_names


@dataclass(frozen=True)
class Network:
    name: str = "tiny"
    sha256: str = "ab" * 32

    def predict(self, image: Image) -> list[Detection]:
        raise NotImplementedError


def save(folder: Path, picture: Image, found: list[Detection], *names: str, source: str = "x", **options: Any) -> Path:
    segmented = Segmented(picture, found, 1.0)
    return save_results(source, segmented, Network(), Settings(folder, **options), names)[0]


def test_json_schema(tmp_path: Path, room_path: Path, room_detections: list[Detection]) -> None:
    path = save(tmp_path, load_image(str(room_path)), room_detections, "a.5", source="http://x/é.jpg", json=True)
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
    height, width = room_detections[0].mask.shape
    empty = Detection(DINING_TABLE, 0.5, np.zeros(4, np.float32), np.zeros((height, width), bool))
    found = [*room_detections, empty]
    save(tmp_path, load_image(str(room_path)), found, "a", masks=True)
    names = segment_names(found)
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg"} | {f"a_{name}.png" for name in names}
    for name, detection in zip(names, found, strict=True):
        stored = np.asarray(Pillow.open(tmp_path / f"a_{name}.png"))
        assert np.array_equal(stored, np.where(detection.mask, 255, 0))


def test_things_are_numbered() -> None:
    mask = np.ones((2, 2), bool)
    found = [Detection(s, 0.5, np.zeros(4, np.float32), mask) for s in (WALL, FLOOR, DINING_TABLE, DINING_TABLE)]
    assert segment_names(found) == ["wall", "floor", "dining-table-1", "dining-table-2"]


def test_taken_names_are_skipped(tmp_path: Path, room_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert save(tmp_path, load_image(str(room_path)), [], "a", "b", json=True) == tmp_path / "b.jpg"
    assert json.loads((tmp_path / "b.json").read_text())["image"]["output"] == str(tmp_path / "b.jpg")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        save(tmp_path / "absent", np.zeros((20, 20, 3), np.uint8), [], "a")


def test_jpeg_is_close_to_the_picture(tmp_path: Path, room_path: Path) -> None:
    image = load_image(str(room_path))
    stored = Pillow.open(save(tmp_path, image, [], "a"))
    assert (stored.format, stored.mode, stored.size) == ("JPEG", "RGB", (512, 384))
    assert np.abs(np.asarray(stored).astype(int) - image).mean() < 2
