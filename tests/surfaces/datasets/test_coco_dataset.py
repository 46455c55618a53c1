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
from tests.surfaces.datasets.label_strategies import assert_same_labels, labels, sample_of

ROOMS = Path(__file__).parents[2] / "data" / "rooms"
_TRIANGLE = [[0, 0, 20, 0, 0, 20]]


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
    mask = np.zeros((30, 40), np.uint8, order="F")
    mask[10:20, 5:25] = 1
    packed = coco_mask.encode(mask)
    ways = [
        [[5, 10, 25, 10, 25, 20, 5, 20]],
        {"size": [30, 40], "counts": _runs(mask)},
        {"size": [30, 40], "counts": packed["counts"].decode()},
    ]
    for segmentation in ways:
        path = _coco_file(tmp_path, segmentation)
        np.testing.assert_array_equal(open_dataset(path)[0].labels().semantic, mask)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_packed_rle_equals_pycocotools(data: st.DataObject) -> None:
    mask = data.draw(
        arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.sampled_from([0, 1]))
    )
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    read = decode_segmentation({"size": list(mask.shape), "counts": counts}, *mask.shape)
    np.testing.assert_array_equal(read, mask)


@pytest.mark.parametrize("counts", ["", "3", "d", "z", "é", [12, 1], [11], [-1, 13], [1.5, 10.5], None], ids=str)
def test_invalid_rle(tmp_path: Path, counts: object) -> None:
    path = _coco_file(tmp_path, {"size": [3, 4], "counts": counts}, size_hw=(3, 4))
    with pytest.raises(DatasetError, match=r"annotation 1 of image 7 .*RLE"):
        open_dataset(path)[0].labels()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "COCO file"),
        ("[]", "COCO file"),
        ('{"images": []}', "COCO file"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}', "categories wall, floor"),
        ("[" * 100_000, "COCO file"),
        ("\udcff" * 1000, "COCO file .*invalid start byte"),
    ],
    ids=["empty", "list", "no annotations", "other categories", "deep", "no text"],
)
def test_files_that_are_not_coco(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "annotations.json").write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DatasetError, match=message) as error:
        open_dataset(tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("file_name", ["../room.jpg", "/etc/other.jpg", "images/../../room.jpg", "..%2froom.jpg", ""])
def test_photos_outside_the_dataset_are_refused(tmp_path: Path, file_name: str) -> None:
    path = _coco_file(tmp_path, _TRIANGLE, file_name=file_name)
    with pytest.raises(DatasetError, match="inside the dataset"):
        open_dataset(path)


def test_a_photo_of_another_size_is_refused(tmp_path: Path) -> None:
    path = _coco_file(tmp_path, _TRIANGLE)
    (tmp_path / "room.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((7, 9, 3), np.uint8))[1].tobytes())
    with pytest.raises(DatasetError, match=r"\(30, 40\).*\(7, 9\)"):
        open_dataset(path)[0].image()


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


def _runs(mask: np.ndarray) -> list[int]:
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    return np.diff([0, *ends, flat.size]).tolist()


def _coco_file(
    folder: Path, segmentation: object, size_hw: tuple[int, int] = (30, 40), file_name: str = "room.jpg"
) -> Path:
    content = {
        "images": [{"id": 7, "file_name": file_name, "height": size_hw[0], "width": size_hw[1]}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 50, "segmentation": segmentation}],
        "categories": [
            {"id": 50, "name": "wall"},
            {"id": 2, "name": "floor"},
            {"id": 3, "name": "dining table"},
            {"id": 9, "name": "sofa"},
        ],
    }
    (folder / "room.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((*size_hw, 3), np.uint8))[1].tobytes())
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return path
