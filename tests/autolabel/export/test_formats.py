"""Exported labels in every format, and as readers of the format see them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from faster_coco_eval import COCO as FasterCOCO
from faster_coco_eval import COCOeval_faster
from PIL import Image as Pillow
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from autolabel.commands.export import export
from autolabel.export.formats import Format, coco_export, png_export, yolo_export
from autolabel.export.selection import ExportSettings
from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, IGNORE, WALL
from surfaces.datasets import open_dataset
from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.masks.components import mask_iou
from surfaces.masks.polygons import polygon_of_mask
from surfaces.masks.rle import decode
from surfaces.store.label_store import LabelStore
from surfaces.store.records import ScoredLabels
from tests.autolabel import label_stores
from tests.autolabel.corpora import write_photo
from tests.autolabel.label_stores import ROOMS, random_mask, rooms_store, segment

FORMATS: dict[str, Format] = {"coco": coco_export, "yolo": yolo_export, "png": png_export}


def exported(store: Path, out: Path, form: Format, **settings: Any) -> Path:
    with LabelStore.open(store) as opened:
        export(opened, out, form, ExportSettings(**settings))
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def annotations(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "annotations.json").read_text())
    return document


def store_of(folder: Path, labels: ScoredLabels, photo: Path | None = None) -> Path:
    """A store of one photo, by default of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (*labels.ignore_mask.shape, 3), np.uint8)
    return label_stores.store_of(folder, labels, photo or write_photo(folder / "noise.png", noise))


def hard_labels() -> ScoredLabels:
    """Walls of many parts with holes, a floor, two tables one of which has two parts, ignored pixels."""
    wall = random_mask(parts=4)
    wall[50:] = False
    table, other_table = np.zeros_like(wall), np.zeros_like(wall)
    table[52:58, 2:10] = table[52:58, 14:30] = True
    other_table[51:59, 40:60] = True
    floor = ~(wall | table | other_table)
    ignore_mask = np.zeros_like(wall)
    ignore_mask[:50, 70:] = True
    segments = (
        segment(WALL, wall & ~ignore_mask, 0.95, agreement=0.5),
        segment(FLOOR, floor & ~ignore_mask, 0.75),
        segment(DINING_TABLE, other_table, 0.6),
        segment(DINING_TABLE, table, 0.3, stability=1.0),
    )
    return ScoredLabels(segments, ignore_mask, {"score": 0.3})


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_same_labels_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    forwards = exported(rooms_store(tmp_path / "a"), tmp_path / "out a", FORMATS[name])
    backwards = exported(rooms_store(tmp_path / "b", reverse=True), tmp_path / "out b", FORMATS[name])
    assert contents(forwards) == contents(backwards)
    photos = {path.read_bytes() for path in (forwards / "images").iterdir()}
    assert len(photos) == 4
    assert photos <= {path.read_bytes() for path in (ROOMS / "images").iterdir()}


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("link", [False, True], ids=["copy", "link"])
@pytest.mark.parametrize("by_symlink", [False, True], ids=["file", "symlink"])
def test_photos_are_copied_or_linked_on_demand(tmp_path: Path, name: str, link: bool, by_symlink: bool) -> None:
    store = store_of(tmp_path / "store", hard_labels())
    original = store / "noise.png"
    if by_symlink:
        (tmp_path / "link.png").symlink_to(original)
        store = store_of(tmp_path / "other", hard_labels(), tmp_path / "link.png")
    (written,) = (exported(store, tmp_path / "out", FORMATS[name], link=link) / "images").iterdir()
    assert written.name == f"{hashlib.sha256(original.read_bytes()).hexdigest()[:16]}.png"
    assert not written.is_symlink()
    assert written.samefile(original) is link
    before = original.read_bytes()
    assert written.read_bytes() == before
    with written.open("r+b") as file:  # in place, as Ultralytics repairs JPEG files
        file.write(b"other")
    assert (original.read_bytes() == before) is not link


@pytest.mark.parametrize("turned", [True, False], ids=["turned.jpg", "photo.webp"])
def test_rotated_photos_and_other_formats_are_written_upright(tmp_path: Path, turned: bool) -> None:
    upright = np.zeros((40, 64, 3), np.uint8)
    upright[:20], upright[20:] = (200, 30, 30), (30, 30, 200)
    wall = np.zeros((40, 64), bool)
    wall[:20] = True
    exif = Pillow.Exif()
    exif[274] = 6  # rotate clockwise
    if turned:
        Pillow.fromarray(np.rot90(upright).copy()).save(photo := tmp_path / "turned.jpg", exif=exif, quality=95)
    else:
        Pillow.fromarray(upright).save(photo := tmp_path / "photo.webp", lossless=True)
    store = store_of(tmp_path / "store", ScoredLabels((segment(WALL, wall),), np.zeros_like(wall)), photo)
    out = exported(store, tmp_path / "out", coco_export)
    (written,) = (out / "images").iterdir()
    assert written.suffix == ".jpg"
    with Pillow.open(written) as plain:
        assert plain.getexif().get(274, 1) == 1
        pixels = np.asarray(plain).astype(int)
    assert pixels.shape == upright.shape
    assert (np.abs(pixels - upright)[wall | np.roll(~wall, 2, axis=0)].mean()) < 10
    (sample,) = open_dataset(out)
    assert sample.labels().semantic.shape == sample.image().shape[:2]


@pytest.mark.parametrize("ignore_mask", [True, False])
def test_perfect_predictions_score_one(tmp_path: Path, ignore_mask: bool) -> None:
    out = exported(rooms_store(tmp_path / "store"), tmp_path / "out", partial(coco_export, with_ignored=ignore_mask))
    document = annotations(out)
    assert [image["id"] for image in document["images"]] == [1, 2, 3, 4]
    for ordered in ([i["sha256"] for i in document["images"]], [a["image_id"] for a in document["annotations"]]):
        assert ordered == sorted(ordered)
    segments = [a for a in document["annotations"] if not a["iscrowd"]]
    crowds = [a for a in document["annotations"] if a["iscrowd"]]
    assert len(crowds) == (6 if ignore_mask else 0)
    keys = ("image_id", "category_id", "segmentation", "bbox", "score")
    found = [{key: a[key] for key in keys} for a in segments]
    # Predictions on ignored pixels are not wrong.
    found += [{key: a[key] for key in keys[:-1]} | {"score": 1.0} for a in crowds]
    for coco_class, evaluator in ((COCO, COCOeval), (FasterCOCO, COCOeval_faster)):
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco_class(str(out / "annotations.json"))
            for kind in ("segm", "bbox"):
                evaluation = evaluator(truth, truth.loadRes([dict(one) for one in found]), kind)
                evaluation.evaluate()
                evaluation.accumulate()
                evaluation.summarize()
                assert evaluation.stats[0] == pytest.approx(1)


def test_coco_keeps_masks_scores_and_provenance(tmp_path: Path) -> None:
    labels = hard_labels()
    store = store_of(tmp_path / "store", labels)
    document = annotations(exported(store, tmp_path / "out", partial(coco_export, info={"teacher": "t"})))
    assert document["info"] == {"teacher": "t"}
    assert [(c["id"], c["name"]) for c in document["categories"]] == [(1, "wall"), (2, "floor"), (3, "dining table")]
    (image,) = document["images"]
    sha256 = hashlib.sha256((store / "noise.png").read_bytes()).hexdigest()
    assert image == {
        "id": 1,
        "file_name": f"images/{sha256[:16]}.png",
        "width": 80,
        "height": 60,
        "name": "noise",
        "source": str(store / "noise.png"),
        "sha256": sha256,
        "origin": "auto",
        "teacher": "ensemble (a, b)",
        "settings": "f" * 64,
        "qualities": {"score": 0.3},
    }
    assert [a["id"] for a in document["annotations"]] == list(range(1, 8))
    for expected, annotation in zip(labels.segments, document["annotations"], strict=False):
        np.testing.assert_array_equal(decode(annotation["segmentation"]), expected.detection.mask)
        assert annotation["iscrowd"] == 0
        assert annotation["area"] == expected.detection.mask.sum()
        assert annotation["category_id"] == expected.detection.surface.coco_id
        assert annotation["score"] == expected.detection.score
        assert annotation["qualities"] == expected.quality_scores
    for surface, annotation in zip(CLASSES, document["annotations"][4:], strict=True):
        np.testing.assert_array_equal(decode(annotation["segmentation"]), labels.ignore_mask)
        assert (annotation["iscrowd"], annotation["category_id"]) == (1, surface.coco_id)


@pytest.mark.parametrize("name", ["coco", "png"])
def test_our_readers_read_it_back(tmp_path: Path, name: str) -> None:
    labels = hard_labels()
    out = exported(store_of(tmp_path / "store", labels), tmp_path / "out", FORMATS[name])
    (sample,) = open_dataset(out)
    expected = labels.labels()
    np.testing.assert_array_equal(sample.labels().semantic, expected.semantic)
    np.testing.assert_array_equal(sample.labels().tables, expected.tables)
    assert (expected.semantic == IGNORE).any()


def test_png_maps_of_segments(tmp_path: Path) -> None:
    labels = hard_labels()
    out = exported(store_of(tmp_path / "store", labels), tmp_path / "out", png_export)
    (path,) = (out / "segments").iterdir()
    numbers = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    entry = json.loads((out / "photos.jsonl").read_text())
    assert entry["file_name"] == f"images/{path.name}"
    assert entry["unsure_share"] == pytest.approx(labels.ignore_mask.mean())
    for number, (found, expected) in enumerate(zip(entry["segments"], labels.segments, strict=True), 1):
        np.testing.assert_array_equal(numbers == number, expected.detection.mask)
        assert (found["class"], found["score"]) == (expected.detection.surface.name, expected.detection.score)


def test_more_tables_than_label_maps_have_numbers(tmp_path: Path) -> None:
    masks = [np.zeros((40, 40), bool) for _ in range(246)]
    for index, mask in enumerate(masks):
        mask.flat[2 * index] = True
    labels = ScoredLabels(tuple(segment(DINING_TABLE, mask) for mask in masks), np.zeros((40, 40), bool))
    store = store_of(tmp_path / "store", labels)
    with pytest.raises(DatasetError, match="at most 245 dining tables"):
        exported(store, tmp_path / "out", png_export)
    assert not (tmp_path / "out").exists()


def test_yolo_polygons_give_the_masks_back(tmp_path: Path) -> None:
    labels = hard_labels()
    out = exported(store_of(tmp_path / "store", labels), tmp_path / "out", yolo_export)
    (photo,) = (out / "images").iterdir()
    lines = (out / "labels" / f"{photo.stem}.txt").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == [0, 1, 2, 2]
    for line, expected in zip(lines, labels.segments, strict=True):
        mask = expected.detection.mask
        found = yolo_mask(line, mask.shape)
        assert not (mask & ~found).any()
        assert mask.sum() / found.sum() > 0.9
        # Holes and parts are kept but for bridges of one pixel.
        opened = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        assert not (opened.astype(bool) & ~mask).any()
    assert (out / "data.yaml").read_text().splitlines()[1:] == [
        *("train: images", "val: images", "names:"),
        *("  0: wall", "  1: floor", "  2: dining table"),
    ]


def test_yolo_is_read_back(tmp_path: Path) -> None:
    labels = hard_labels()
    out = exported(store_of(tmp_path / "store", labels), tmp_path / "out", yolo_export)
    (photo,) = (out / "images").iterdir()
    (sample,) = open_dataset(out)
    assert sample.name == photo.stem
    found, expected = sample.labels(), np.zeros(labels.ignore_mask.shape, np.uint8)
    lines = (out / "labels" / f"{photo.stem}.txt").read_text().splitlines()
    for line in lines:
        expected[yolo_mask(line, expected.shape)] = int(line.split()[0]) + 1
    np.testing.assert_array_equal(found.semantic, expected)
    assert found.tables.max() == sum(line.startswith("2 ") for line in lines)


def yolo_mask(line: str, shape: tuple[int, ...], resample: Resample | None = None) -> Mask:
    """A line's polygon as Ultralytics draws it (`polygon2mask`), after resampling."""
    height, width = shape
    points = np.array(line.split()[1:], np.float32).reshape(-1, 2) * (width, height)
    assert points.min() >= 0
    assert (points < (width, height)).all()
    points = resample(points) if resample else points
    return cv2.fillPoly(np.zeros(shape, np.uint8), [points.astype(np.int32)], 1).astype(bool)


Resample = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]


def resample_in_older_trainers(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """`resample_segments` of Ultralytics before 8.3.50, YOLOv5 and YOLOv7."""
    closed = np.concatenate([points, points[:1]])
    at = np.linspace(0, len(closed) - 1, 1000)
    return np.stack([np.interp(at, np.arange(len(closed)), closed[:, axis]) for axis in (0, 1)], axis=1)


def resample_in_newer_trainers(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """`resample_segments` of Ultralytics from 8.3.50: fewer than 1,000 points are all kept."""
    closed = np.concatenate([points, points[:1]])
    count, known = len(closed), np.arange(len(closed))
    at = np.linspace(0, count - 1, 1000 - count if count < 1000 else 1000)
    at = np.insert(at, np.searchsorted(at, known), known) if count < 1000 else at
    return np.stack([np.interp(at, known, closed[:, axis]) for axis in (0, 1)], axis=1)


@pytest.mark.parametrize("resample", [resample_in_older_trainers, resample_in_newer_trainers], ids=["older", "newer"])
def test_trainers_keep_detailed_walls(tmp_path: Path, resample: Resample) -> None:
    """A wall with dozens of elliptic holes: more than 2,000 points, and long bridges."""
    drawn = np.ones((900, 1200), np.uint8)
    for number in range(24):
        place = (100 + 200 * (number % 6), 130 + 210 * (number // 6))
        cv2.ellipse(drawn, place, (20 + number, 60 - number), 15 * number, 0, 360, 0, -1)
    wall, small = drawn.astype(bool), np.zeros((900, 1200), bool)
    small[130:140, 95:110] = True
    assert len(polygon_of_mask(wall)) > 2000
    labels = ScoredLabels((segment(WALL, wall), segment(DINING_TABLE, small)), np.zeros_like(wall))
    out = exported(store_of(tmp_path / "store", labels), tmp_path / "out", yolo_export)
    (text,) = (out / "labels").iterdir()
    index = json.loads((out / "photos.jsonl").read_text())["segments"]
    for line, expected, entry in zip(text.read_text().splitlines(), (wall, small), index, strict=True):
        assert len(line.split()) <= 1 + 2 * 999
        for found in (yolo_mask(line, wall.shape), yolo_mask(line, wall.shape, resample)):
            iou = mask_iou(found, expected)
            assert iou >= 0.99
            assert iou == pytest.approx(entry["qualities"]["polygon_iou"], abs=1e-3)


def test_yolo_rooms(tmp_path: Path) -> None:
    out = exported(rooms_store(tmp_path / "store"), tmp_path / "out", yolo_export)
    with LabelStore.open(tmp_path / "store") as store:
        for photo in store.photos():
            lines = (out / "labels" / f"{photo.sha256[:16]}.txt").read_text().splitlines()
            for line, expected in zip(lines, store.labels(photo.sha256).segments, strict=True):
                assert len(line.split()) <= 1 + 2 * 999
                assert mask_iou(yolo_mask(line, expected.detection.mask.shape), expected.detection.mask) > 0.97


def test_photos_without_segments(tmp_path: Path) -> None:
    nothing = ScoredLabels((), np.zeros((40, 64), bool))
    store = store_of(tmp_path / "store", nothing)
    assert annotations(exported(store, tmp_path / "coco", coco_export))["annotations"] == []
    (text,) = (exported(store, tmp_path / "yolo", yolo_export) / "labels").iterdir()
    assert text.read_text() == ""
    (sample,) = open_dataset(exported(store, tmp_path / "png", png_export))
    assert not sample.labels().semantic.any()


def test_segments_of_low_scores_are_ignored(tmp_path: Path) -> None:
    labels = hard_labels()
    store = store_of(tmp_path / "store", labels)
    (sample,) = open_dataset(exported(store, tmp_path / "out", png_export, min_score=0.6))
    semantic = labels.labels().semantic
    semantic[labels.segments[3].detection.mask] = IGNORE
    np.testing.assert_array_equal(sample.labels().semantic, semantic)
    assert sample.labels().tables.max() == 1


def test_reviewed_labels_are_exported_as_they_are(tmp_path: Path) -> None:
    labels = hard_labels()
    store_of(tmp_path / "store", labels)
    rooms_store(tmp_path / "store", 2)
    with LabelStore.open(tmp_path / "store") as store:
        sha256 = next(photo.sha256 for photo in store.photos() if photo.name == "noise")
        store.add_review(sha256, labels, "ann")
    document = annotations(exported(tmp_path / "store", tmp_path / "out", coco_export, min_score=0.99, only="reviewed"))
    (image,) = document["images"]
    assert (image["origin"], image["reviewer"], image["sha256"]) == ("reviewed", "ann", sha256)
    assert len([a for a in document["annotations"] if not a["iscrowd"]]) == 4
    others = annotations(exported(tmp_path / "store", tmp_path / "auto", coco_export, only="auto"))
    assert [image["origin"] for image in others["images"]] == ["auto", "auto"]


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", hard_labels())
    (store / "noise.png").write_bytes(b"another photo")
    with pytest.raises(DatasetError, match="gone or has changed"):
        exported(store, tmp_path / "out", coco_export)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("link", [False, True], ids=["copied", "linked"])
def test_other_files_than_photos_are_not_exported(tmp_path: Path, name: str, link: bool) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    store = store_of(tmp_path / "store", hard_labels(), tmp_path / "secret.jpg")
    with pytest.raises(DatasetError, match=r"secret\.jpg: expected a photo \(JPEG, "):
        exported(store, tmp_path / "out", FORMATS[name], link=link)
    assert not (tmp_path / "out").exists()
