from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from surfaces.classes import IGNORE, OTHER_TABLE
from surfaces.datasets import Labels, open_dataset
from surfaces.datasets.coco_writer import write_coco
from surfaces.errors import DatasetError, OutputError
from surfaces.masks.rle import decode_segmentation
from tests.coco_files import SIZE_HW, TABLE, annotation, polygon, runs, write_photo, write_room
from tests.surfaces.datasets.label_strategies import assert_same_labels, labels, sample_of

ROOMS = Path(__file__).parents[2] / "data" / "rooms"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=labels(crowds=True), second=labels(crowds=True))
def test_round_trip(first: Labels, second: Labels) -> None:
    with TemporaryDirectory() as folder:
        samples = [sample_of(first, "a"), sample_of(second, "flat 2/kitchen.v2")]
        assert write_coco(samples, Path(folder) / "set") == 2
        read = open_dataset(Path(folder) / "set")
        assert [sample.name for sample in read] == ["a", "flat 2/kitchen.v2"]
        assert_same_labels(read[0].labels(), first)
        assert_same_labels(read[1].labels(), second)
        assert read[1].encoded_image() == samples[1].encoded_image()
        assert read[1].image().shape == samples[1].image().shape


def test_rooms_agree_with_their_masks(tmp_path: Path) -> None:
    rooms = open_dataset(ROOMS)
    assert len(rooms) == 18
    for room in rooms:
        semantic = cv2.imread(str(ROOMS / "masks" / f"{room.name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(room.labels().semantic, semantic)
        assert room.image().shape[:2] == semantic.shape
    write_coco(rooms, tmp_path / "copy")
    for room, copy in zip(rooms, open_dataset(tmp_path / "copy"), strict=True):
        assert_same_labels(copy.labels(), room.labels())
        assert copy.encoded_image() == room.encoded_image()


def test_perfect_predictions_score_one(tmp_path: Path) -> None:
    semantic = np.zeros((60, 80), np.uint8)
    semantic[:25] = 1
    semantic[5:15, 10:20] = 0  # a window
    semantic[40:, 5:70] = 2
    semantic[28:38, 8:30] = semantic[28:38, 40:60] = 3
    semantic[50:58, 60:68] = OTHER_TABLE
    semantic[30:38, 70:] = IGNORE
    tables = np.zeros_like(semantic)
    tables[28:38, 8:30], tables[28:38, 40:60] = 1, 2
    write_coco([sample_of(Labels(semantic, tables))], tmp_path / "set")
    truth = json.loads((tmp_path / "set" / "annotations.json").read_text())
    regions = [a for a in truth["annotations"] if not a["iscrowd"]]
    assert sorted(a["category_id"] for a in regions) == [1, 2, 3, 3]
    found = [{**_result(a), "score": 0.9} for a in regions]
    found += [{**_result(a), "score": 1.0} for a in truth["annotations"] if a["iscrowd"]]  # not punished
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "set" / "annotations.json"))
        for kind in ("segm", "bbox"):
            evaluation = COCOeval(coco, coco.loadRes(found), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            assert evaluation.stats[0] == pytest.approx(1)


def _result(annotation: dict[str, Any]) -> dict[str, Any]:
    return {key: annotation[key] for key in ("image_id", "category_id", "segmentation", "bbox")}


def test_polygons_and_rle(tmp_path: Path) -> None:
    mask = np.zeros(SIZE_HW, np.uint8, order="F")
    left, top, right, bottom = TABLE
    mask[top:bottom, left:right] = 1
    packed = {"size": list(SIZE_HW), "counts": coco_mask.encode(mask)["counts"].decode()}
    for segmentation in (polygon(TABLE), runs(TABLE), packed):
        (sample,) = open_dataset(write_room(tmp_path, [annotation(1, 1, segmentation)]))
        np.testing.assert_array_equal(sample.labels().semantic, mask)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_packed_rle_equals_pycocotools(data: st.DataObject) -> None:
    mask = data.draw(
        arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.sampled_from([0, 1]))
    )
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    read = decode_segmentation({"size": list(mask.shape), "counts": counts}, *mask.shape)
    np.testing.assert_array_equal(read, mask)


@pytest.mark.parametrize(
    "counts", ["", "3", "d", "z", "é", [2400, 1], [2399], [-1, 2401], [0.5, 2399.5], None], ids=str
)
def test_invalid_rle(tmp_path: Path, counts: object) -> None:
    folder = write_room(tmp_path, [annotation(1, 1, {"size": list(SIZE_HW), "counts": counts})])
    with pytest.raises(DatasetError, match=r"annotation 1 of image 1 .*RLE"):
        open_dataset(folder)


def test_a_photo_of_another_size_is_refused(tmp_path: Path) -> None:
    (sample,) = open_dataset(write_room(tmp_path))
    write_photo(tmp_path / "room1.jpg", (7, 9))
    with pytest.raises(DatasetError, match=r"\(40, 60\).*\(7, 9\)"):
        sample.image()


def test_failed_writes_leave_nothing(tmp_path: Path) -> None:
    empty = Labels(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))
    write_coco([sample_of(empty)], tmp_path / "set")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="exists"):
        write_coco([sample_of(empty)], tmp_path / "set")
    with pytest.raises(DatasetError, match="2 called room"):
        write_coco([sample_of(empty), sample_of(empty)], tmp_path / "other")
    with pytest.raises(DatasetError, match="inside the dataset"):
        write_coco([sample_of(empty, "../room")], tmp_path / "other")
    assert sorted(tmp_path.rglob("*")) == before
