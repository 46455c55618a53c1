"""`python -m distill errors`: confusions, the order of photos, error categories, pictures, and the command."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.__main__ import main
from distill.commands.errors import JSON_NAME
from distill.evaluation.error_analysis import (
    CATEGORIES,
    UNCATEGORIZED,
    PhotoCategories,
    PhotoErrors,
    analyze_errors,
    category_contributions,
    count_errors,
    iou_contributions,
    read_categories,
)
from distill.evaluation.error_page import LEGEND, error_kinds, error_map, write_error_page
from models import Segmenter
from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, IGNORE, OTHER_TABLE, WALL
from surfaces.datasets import Labels, MemorySample, open_dataset
from surfaces.datasets.coco import write_coco
from surfaces.datasets.sample import LabelScope
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import DatasetError
from surfaces.metrics import iou_of_counts, region_counts
from tests.distill.training import ROOMS, ROOT

# One row a label, ten pixels each: other, wall, floor, dining table, other table, unlabelled.
TRUE = np.repeat(np.array([[0], [1], [2], [3], [OTHER_TABLE], [IGNORE]], np.uint8), 10, axis=1)
PREDICTED = np.array(
    [
        [0, 0, 0, 0, 1, 1, 1, 2, 3, 3],
        [1, 1, 1, 1, 1, 1, 0, 0, 2, 3],
        [2, 2, 2, 2, 2, 2, 2, 0, 1, 1],
        [3, 3, 3, 3, 3, 0, 0, 0, 2, 2],
        [3, 3, 3, 3, 0, 0, 0, 0, 1, 2],
        [3, 3, 2, 2, 1, 1, 0, 0, 0, 0],
    ],
    np.uint8,
)


def labels_of(semantic: np.ndarray) -> Labels:
    return Labels(semantic, (semantic == DINING_TABLE.coco_id).astype(np.uint8))


def detections_of(predicted: np.ndarray) -> list[Detection]:
    masks = [(surface, predicted == surface.coco_id) for surface in CLASSES]
    return [Detection(surface, 0.9, box_of_mask(mask), mask) for surface, mask in masks if mask.any()]


def sample_of(name: str, true: np.ndarray) -> MemorySample:
    # The photo's red tells the model below which labels it has.
    return MemorySample(name, np.dstack([true, true, true]), labels_of(true))


def predict(image: Image) -> list[Detection]:
    """PREDICTED of TRUE, and the truth of every other photo."""
    true = image[:, :, 0]
    return detections_of(PREDICTED if np.array_equal(true, TRUE) else np.where(true > 3, 0, true))


def test_unlabelled_classes_have_no_errors() -> None:
    labels = replace(
        labels_of(np.where(DINING_TABLE.coco_id == TRUE, TRUE, 0)), scope=LabelScope(unlabelled=frozenset({1, 2}))
    )
    photo = count_errors("a", detections_of(PREDICTED), labels)
    assert [photo.lost(surface) for surface in CLASSES] == [0, 0, 5 + 9]
    assert [photo.union(surface) for surface in CLASSES] == [0, 0, 19]
    assert photo.present() == [DINING_TABLE]
    kinds = error_kinds(detections_of(PREDICTED), labels)
    assert np.unique(kinds[WALL.coco_id == PREDICTED]).tolist() == [0]
    assert (kinds[3] == 1).sum() == 5  # the table's row: missed, also where a wall or floor is predicted


def test_confusions() -> None:
    photo = count_errors("a", detections_of(PREDICTED), labels_of(TRUE))
    assert photo.pixels == 60
    assert photo.confusion.sum() == 50
    assert photo.missed(WALL) == {"other": 2, "floor": 1, "dining table": 1}
    assert photo.false(WALL) == {"other": 3, "floor": 2, "other table": 1}
    assert photo.missed(DINING_TABLE) == {"other": 3, "floor": 2}
    assert photo.false(DINING_TABLE) == {"other": 2, "wall": 1}, "another kind of table is no wrong dining table"
    assert photo.false(FLOOR) == {"other": 1, "wall": 1, "dining table": 2, "other table": 1}
    assert [photo.lost(surface) for surface in CLASSES] == [10, 8, 8]
    assert [photo.union(surface) for surface in CLASSES] == [16, 15, 13]
    assert photo.mean_iou() == pytest.approx((6 / 16 + 7 / 15 + 5 / 13) / 3)


def test_iou_is_that_of_evaluate() -> None:
    rng = np.random.default_rng(0)
    true = rng.choice(np.array([0, 1, 2, 3, OTHER_TABLE, IGNORE], np.uint8), (40, 50))
    detections = detections_of(rng.integers(0, 4, (40, 50)).astype(np.uint8))
    counts = region_counts(detections, labels_of(true))
    photo = count_errors("a", detections, labels_of(true))
    assert [[photo.union(s) - photo.lost(s), photo.union(s)] for s in CLASSES] == counts.tolist()
    assert [photo.iou(s) for s in CLASSES] == pytest.approx(iou_of_counts(counts[np.newaxis]))


def test_contributions_of_all_photos_add_up_to_the_missing_iou() -> None:
    rooms = open_dataset(ROOMS)[:3]
    model = Segmenter(threads=1)
    predictions = [(model.predict(room.image()), room.labels()) for room in rooms]
    photos = [count_errors(str(n), found, labels) for n, (found, labels) in enumerate(predictions)]
    iou = iou_of_counts(np.stack([region_counts(found, labels) for found, labels in predictions]))
    assert 1 - iou_contributions(photos).sum(axis=0) == pytest.approx(iou)


def test_error_map() -> None:
    kinds = error_kinds(detections_of(PREDICTED), labels_of(TRUE))
    rows = ["".join(map(str, row)) for row in kinds]
    assert (rows[0], rows[1], rows[4]) == ("0000222222", "0000001133", "0000000022")
    assert not kinds[5].any(), "unlabelled pixels are not wrong"
    photo = np.full((6, 10, 3), 128, np.uint8)
    drawn = error_map(photo, detections_of(PREDICTED), labels_of(TRUE)).astype(int)
    assert (drawn[5] == 60).all()
    assert len(np.unique(drawn[0, :4].reshape(-1, 3), axis=0)) == 1
    for kind, colour in enumerate(LEGEND.values(), 1):
        assert np.abs(drawn[kinds == kind] - np.array(colour)).max() < 60
    assert (photo == 128).all()


@pytest.mark.parametrize(
    ("by", "count", "worst"),
    [("lost", 9, [1, 2]), ("iou", 9, [1, 2]), ("floor", 9, [2, 1]), ("wall", 9, [1]), ("lost", 1, [1])],
)
def test_order_of_photos(by: str, count: int, worst: list[int]) -> None:
    right, large = np.full((6, 10), 1, np.uint8), np.full((60, 10), 2, np.uint8)
    large[:30] = 1
    samples = [sample_of("right", right), sample_of("wrong", TRUE), sample_of("large", large)]

    def model(image: Image) -> list[Detection]:
        if image.shape[0] == 60:  # a fifth of the floor is missed: more pixels than the small photo loses
            return detections_of(np.where(np.arange(60)[:, None] >= 54, 0, image[:, :, 0]))
        return predict(image)

    assert analyze_errors(model, samples, count, by).worst == worst
    assert analyze_errors(model, samples[:1], count, by).worst == []


def test_contributions_of_categories() -> None:
    photos = [
        PhotoErrors("a", 100, np.array([[0, 4, 0, 0], [0, 6, 0, 0], [2, 0, 8, 0], [0] * 4, [0] * 4])),
        PhotoErrors("b", 100, np.array([[0] * 4, [10, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4])),
    ]
    lost = iou_contributions(photos)
    assert lost[0] == pytest.approx([0.2, 0.2, 0])
    assigned = {"a": PhotoCategories({"wall": "rug", "floor": "rug"}), "other": PhotoCategories({"wall": "thin"})}
    first, second = category_contributions(zip("ab", lost, strict=True), assigned)
    assert (first.category, first.photos, first.main) == (UNCATEGORIZED, 1, 1)
    assert first.lost == pytest.approx([0.5, 0, 0])
    assert (second.category, second.photos, second.main) == ("rug", 1, 1)
    assert second.lost == pytest.approx([0.2, 0.2, 0])
    split = category_contributions([("a", lost[0])], {"a": PhotoCategories({"wall": "thin"})})
    assert {(one.category, one.photos) for one in split} == {("thin", 1), (UNCATEGORIZED, 1)}
    assert sum(one.main for one in split) == 1


def test_categories_are_read(tmp_path: Path) -> None:
    path = tmp_path / "causes.toml"
    path.write_text('model = "ab"\n[photos.x]\nwall = "rug"\n"dining table" = "label"\nnote = "n"\n[photos."d/y"]\n')
    first = PhotoCategories({"wall": "rug", "dining table": "label"}, "n")
    assert read_categories(path) == ("ab", {"x": first, "d/y": PhotoCategories()})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photos = 3", "expected a text `model` and tables"),
        ("model = 3", "expected a text `model` and tables"),
        ("[photos]\nx = 3", "expected texts in"),
        ("[photos.x]\nwall = 3", "expected texts in"),
        ('[photos.x]\nceiling = "rug"', "expected a class out of wall, floor, dining table"),
        ('[photos.x]\nwall = "weather"', "expected a cause out of label, definition"),
        ("[photos", "expected a TOML file of causes"),
    ],
)
def test_invalid_categories(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "causes.toml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_categories(path)


@pytest.mark.parametrize("name", ["nyuv2", "rooms", "examples"])
def test_categories_of_the_documents(name: str) -> None:
    model, photos = read_categories(ROOT / "docs" / "results" / f"causes-{name}.toml")
    assert re.fullmatch("[0-9a-f]{64}", model)
    assert all(photo.by_class and photo.note for photo in photos.values())
    assert {category for photo in photos.values() for category in photo.by_class.values()} <= set(CATEGORIES)


def test_page_and_pictures(tmp_path: Path) -> None:
    samples = [sample_of("right", np.full((6, 10), 1, np.uint8)), sample_of("<wrong>", TRUE)]
    categories = {"<wrong>": PhotoCategories({"wall": "rug"}, "a & b")}
    analysis = analyze_errors(predict, samples, 5, "lost", categories)
    sheet = tmp_path / "sheet.png"
    page = write_error_page(tmp_path / "page", "errors", analysis, samples, predict, sheet)
    text = page.read_text(encoding="utf-8")
    assert re.findall(r'<img src="([^"]+)"', text) == ["images/01.jpg"]
    caption = html.unescape(re.findall(r"<figcaption>(.*?)</figcaption>", text)[0])
    assert caption.startswith("1. <wrong>: takes ")
    assert "wall IoU 0.38, missed 6.7% (other 3.3%, floor 1.7%, dining table 1.7%), false 10.0%" in caption
    assert "(rug)" in caption
    assert caption.endswith("a & b")
    row = cv2.imread(str(page.parent / "images" / "01.jpg"))
    assert cv2.imread(str(sheet)).shape == row.shape
    assert row.shape[1] == 4 * 366


def test_the_command_also_by_its_former_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(open_dataset(ROOMS)[:3], tmp_path / "rooms")
    causes = tmp_path / "causes.toml"
    causes.write_text('model = "another"\n[photos.room_02]\nfloor = "light"\nnote = "glare"\n')
    arguments = [str(tmp_path / "rooms"), "--split", "all", "--threads", "1", "--out", str(tmp_path / "out")]
    assert main(["errors", *arguments, "--causes", str(causes), "--count", "2"]) == 0
    out, err = capsys.readouterr()
    assert "given for another network's errors" in err
    assert "all 3 photos" in out
    assert out.splitlines()[0].split()[0] == "cause"
    content = json.loads((tmp_path / "out" / JSON_NAME).read_text())
    assert content["data"]["photos"] == len(content["photos"]) == 3
    worst, second = content["worst"]
    assert worst["lost_iou"]["mean"] >= second["lost_iou"]["mean"] > 0
    both = worst["lost_iou"]["mean"] + second["lost_iou"]["mean"]
    assert content["lost_iou_of_worst"]["mean"] == pytest.approx(both, abs=2e-5)
    assert sum(cause["main"] for cause in content["causes"]) == 2
    wrong = sum(worst["missed"]["wall"].values()) + sum(worst["false"]["wall"].values())
    assert content["photos"][worst["name"]].get("wall", 0) == wrong
    assert (tmp_path / "out" / "index.html").is_file()
    causes.write_text('[photos.room_02]\nfloor = "weather"\n')
    assert main(["worst", *arguments, "--causes", str(causes)]) == DatasetError.exit_code
    assert capsys.readouterr().err.startswith("distill: expected a cause out of label")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data", "shown"), [("rooms", ROOMS, 6), ("examples", ROOT / "examples", 2)])
def test_the_numbers_and_pictures_of_the_documents(name: str, data: Path, shown: int, tmp_path: Path) -> None:
    causes, sheet = ROOT / "docs" / "results" / f"causes-{name}.toml", tmp_path / "sheet.jpg"
    arguments = ["errors", str(data), "--split", "all", "--threads", "1", "--causes", str(causes)]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    now = json.loads((tmp_path / JSON_NAME).read_text())
    assert now["model"]["sha256"] == read_categories(causes)[0]
    if name == "rooms":  # the numbers of the examples are not recorded
        before = json.loads((ROOT / "docs" / "results" / "errors-rooms.json").read_text())
        assert now["model"]["sha256"] == before["model"]["sha256"]
        assert [photo["name"] for photo in now["worst"]] == [photo["name"] for photo in before["worst"]]
        assert now["lost_iou"] == pytest.approx(before["lost_iou"], abs=1e-3)
        for one, other in zip(before["causes"], now["causes"], strict=True):
            assert other.pop("lost_iou") == pytest.approx(one.pop("lost_iou"), abs=1e-3)
            assert one == other
    assert main([*arguments, "--out", str(tmp_path), "--count", str(shown), "--sheet", str(sheet)]) == 0
    pictures = [cv2.imread(str(path)) for path in (sheet, ROOT / "docs" / "images" / f"errors-{name}.jpg")]
    assert pictures[0].shape == pictures[1].shape
    assert cv2.absdiff(*pictures).mean() < 1
