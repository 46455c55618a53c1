"""`python -m distill worst`: what is counted, how photos are ordered, causes, pictures, and the command."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.__main__ import main
from distill.commands.worst import JSON_NAME, find_worst, write_worst
from distill.evaluation.error_analysis import PhotoErrors, count_errors, lost_iou, mean_iou, said_map
from distill.evaluation.error_categories import (
    CAUSES,
    UNNAMED,
    Causes,
    CausesError,
    PhotoCauses,
    cost_of_causes,
    read_causes,
)
from distill.evaluation.error_drawing import KEY, error_kinds, error_map
from models import Segmenter
from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, IGNORE, OTHER_TABLE, WALL, SurfaceClass
from surfaces.datasets import Labels, MemorySample, open_dataset
from surfaces.datasets.coco import write_coco
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import DatasetError
from surfaces.metrics import iou_of_counts, region_counts

ROOT = Path(__file__).parents[2]
ROOMS = ROOT / "tests" / "data" / "rooms"

# One row a truth, ten pixels each: other, wall, floor, dining table, other table, unlabelled.
TRUE = np.repeat(np.array([[0], [1], [2], [3], [OTHER_TABLE], [IGNORE]], np.uint8), 10, axis=1)
SAID = np.array(
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


def detections_of(said: np.ndarray) -> list[Detection]:
    masks = [(surface, said == surface.coco_id) for surface in CLASSES]
    return [Detection(surface, 0.9, box_of_mask(mask), mask) for surface, mask in masks if mask.any()]


def sample_of(name: str, true: np.ndarray) -> MemorySample:
    # The photo's red tells the model below which labels it has.
    return MemorySample(name, np.dstack([true, true, true]), labels_of(true))


class Model:
    """Says SAID of TRUE, and the truth of every other photo."""

    def __call__(self, image: Image) -> list[Detection]:
        true = image[:, :, 0]
        return detections_of(SAID if np.array_equal(true, TRUE) else np.where(true > 3, 0, true))


def only(surface: SurfaceClass, amount: float) -> tuple[float, ...]:
    return tuple(amount if one is surface else 0.0 for one in CLASSES)


def test_what_is_taken_for_what() -> None:
    photo = count_errors("a", detections_of(SAID), labels_of(TRUE))
    assert photo.pixels == 60
    assert photo.confusion.sum() == 50
    assert photo.missed(WALL) == {"other": 2, "floor": 1, "dining table": 1}
    assert photo.false(WALL) == {"other": 3, "floor": 2, "other table": 1}
    assert photo.missed(DINING_TABLE) == {"other": 3, "floor": 2}
    assert photo.false(DINING_TABLE) == {"other": 2, "wall": 1}, "another kind of table is no wrong dining table"
    assert photo.false(FLOOR) == {"other": 1, "wall": 1, "dining table": 2, "other table": 1}
    assert [photo.lost(surface) for surface in CLASSES] == [10, 8, 8]
    assert [photo.union(surface) for surface in CLASSES] == [16, 15, 13]
    assert mean_iou(photo) == pytest.approx((6 / 16 + 7 / 15 + 5 / 13) / 3)


def test_the_numbers_are_those_of_evaluate() -> None:
    rng = np.random.default_rng(0)
    true = rng.choice(np.array([0, 1, 2, 3, OTHER_TABLE, IGNORE], np.uint8), (40, 50))
    said = rng.integers(0, 4, (40, 50)).astype(np.uint8)
    counts = region_counts(detections_of(said), labels_of(true))
    photo = count_errors("a", detections_of(said), labels_of(true))
    assert [[photo.union(s) - photo.lost(s), photo.union(s)] for s in CLASSES] == counts.tolist()
    assert [photo.iou(s) for s in CLASSES] == pytest.approx(iou_of_counts(counts[np.newaxis]))
    assert np.array_equal(said_map(detections_of(said), said.shape), said)


def test_all_photos_together_lose_what_the_iou_lacks() -> None:
    rooms = open_dataset(ROOMS)[:3]
    model = Segmenter(threads=1)
    predictions = [(model.predict(room.image()), room.labels()) for room in rooms]
    photos = [count_errors(str(n), found, labels) for n, (found, labels) in enumerate(predictions)]
    iou = iou_of_counts(np.stack([region_counts(found, labels) for found, labels in predictions]))
    lost = np.array([one.by_class for one in lost_iou(photos)])
    assert 1 - lost.sum(axis=0) == pytest.approx(iou)
    assert sum(one.mean for one in lost_iou(photos)) == pytest.approx(1 - iou.mean())


def test_kinds_of_errors() -> None:
    kinds = error_kinds(SAID, labels_of(TRUE))
    assert "".join(map(str, kinds[0])) == "0000222222"
    assert "".join(map(str, kinds[1])) == "0000001133"
    assert "".join(map(str, kinds[4])) == "0000000022"
    assert not kinds[5].any(), "unlabelled pixels are not wrong"
    photo = np.full((6, 10, 3), 128, np.uint8)
    drawn = error_map(photo, detections_of(SAID), labels_of(TRUE)).astype(int)
    assert (drawn[5] == 60).all()
    assert len(np.unique(drawn[0, :4].reshape(-1, 3), axis=0)) == 1
    for kind, colour in enumerate(KEY.values(), 1):
        place = np.argwhere(kinds == kind)[0]
        assert np.abs(drawn[tuple(place)] - np.array(colour)).max() < 60
    assert (photo == 128).all()


def test_the_order_of_the_worst() -> None:
    right = np.full((6, 10), 1, np.uint8)
    large = np.full((60, 10), 2, np.uint8)
    large[:30] = 1
    samples = [sample_of("right", right), sample_of("wrong", TRUE), sample_of("large", large)]

    def model(image: Image) -> list[Detection]:
        if image.shape[0] == 60:  # a fifth of the floor is missed: more pixels than the small photo loses
            return detections_of(np.where(np.arange(60)[:, None] >= 54, 0, image[:, :, 0]))
        return Model()(image)

    assert [find_worst(model, samples, 9, by).worst for by in ("lost", "iou")] == [[1, 2], [1, 2]]
    assert find_worst(model, samples, 9, "floor").worst == [2, 1]
    assert find_worst(model, samples, 9, "wall").worst == [1]
    assert find_worst(model, samples, 1, "lost").worst == [1]
    assert find_worst(Model(), samples[:1], 9).worst == []


def test_costs_of_causes() -> None:
    photos = [
        PhotoErrors("a", 100, np.array([[0, 4, 0, 0], [0, 6, 0, 0], [2, 0, 8, 0], [0] * 4, [0] * 4])),
        PhotoErrors("b", 100, np.array([[0] * 4, [10, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4])),
    ]
    lost = dict(zip("ab", lost_iou(photos), strict=True))
    assert lost["a"].by_class == pytest.approx((0.2, 0.2, 0))
    said = {"a": PhotoCauses({"wall": "rug", "floor": "rug"}), "other": PhotoCauses({"wall": "thin"})}
    first, second = cost_of_causes(["a", "b"], lost, said)
    assert (first.cause, first.photos, first.main) == (UNNAMED, 1, 1)
    assert first.lost.by_class == pytest.approx(only(WALL, 0.5))
    assert (second.cause, second.photos, second.main) == ("rug", 1, 1)
    assert second.lost.by_class == pytest.approx((0.2, 0.2, 0))
    split = cost_of_causes(["a"], lost, {"a": PhotoCauses({"wall": "thin"})})
    assert {(cost.cause, cost.photos) for cost in split} == {("thin", 1), (UNNAMED, 1)}
    assert sum(cost.main for cost in split) == 1


def test_reading_causes(tmp_path: Path) -> None:
    path = tmp_path / "causes.toml"
    path.write_text('model = "ab"\n[photos.x]\nwall = "rug"\n"dining table" = "label"\nnote = "n"\n[photos."d/y"]\n')
    causes = read_causes(path)
    assert causes.model == "ab"
    assert causes.photos == {"x": PhotoCauses({"wall": "rug", "dining table": "label"}, "n"), "d/y": PhotoCauses()}


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_causes_that_are_not_as_expected(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "causes.toml"
    path.write_text(text)
    with pytest.raises(CausesError, match=told):
        read_causes(path)


@pytest.mark.parametrize("name", ["nyuv2", "rooms", "examples"])
def test_the_causes_of_the_documents(name: str) -> None:
    causes = read_causes(ROOT / "docs" / "results" / f"causes-{name}.toml")
    assert re.fullmatch("[0-9a-f]{64}", causes.model)
    assert all(said.by_class and said.note for said in causes.photos.values())
    assert {cause for said in causes.photos.values() for cause in said.by_class.values()} <= CAUSES.keys()


def test_page_and_pictures(tmp_path: Path) -> None:
    samples = [sample_of("right", np.full((6, 10), 1, np.uint8)), sample_of("<wrong>", TRUE)]
    causes = Causes(photos={"<wrong>": PhotoCauses({"wall": "rug"}, "a & b")})
    findings = find_worst(Model(), samples, 5, "lost", causes)
    sheet = tmp_path / "sheet.png"
    page = write_worst(tmp_path / "page", "worst", findings, samples, Model(), sheet)
    text = page.read_text(encoding="utf-8")
    assert re.findall(r'<img src="([^"]+)"', text) == ["images/01.jpg"]
    caption = html.unescape(re.findall(r"<figcaption>(.*?)</figcaption>", text)[0])
    assert caption.startswith("1. <wrong>: takes ")
    assert "wall IoU 0.38, missed 6.7% (other 3.3%, floor 1.7%, dining table 1.7%), false 10.0%" in caption
    assert "(rug)" in caption
    assert caption.endswith("a & b")
    case = cv2.imread(str(page.parent / "images" / "01.jpg"))
    assert cv2.imread(str(sheet)).shape == case.shape
    assert case.shape[1] == 4 * 366


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(open_dataset(ROOMS)[:3], tmp_path / "rooms")
    causes = tmp_path / "causes.toml"
    causes.write_text('model = "another"\n[photos.room_02]\nfloor = "light"\nnote = "glare"\n')
    arguments = ["worst", str(tmp_path / "rooms"), "--split", "all", "--threads", "1", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--causes", str(causes), "--count", "2"]) == 0
    out, err = capsys.readouterr()
    assert "given for another network's errors" in err
    assert "all 3 photos" in out
    assert out.splitlines()[0].split()[0] == "cause"
    content = json.loads((tmp_path / "out" / JSON_NAME).read_text())
    assert content["data"]["photos"] == len(content["photos"]) == 3
    assert len(content["worst"]) == 2
    worst, second = content["worst"]
    assert worst["lost_iou"]["mean"] >= second["lost_iou"]["mean"] > 0
    assert content["lost_iou_of_worst"]["mean"] == pytest.approx(
        worst["lost_iou"]["mean"] + second["lost_iou"]["mean"], abs=2e-5
    )
    assert sum(cause["main"] for cause in content["causes"]) == 2
    lost = {name: sum(photo.get("wall", 0) for photo in [content["photos"][name]]) for name in content["photos"]}
    missed = sum(worst["missed"]["wall"].values()) + sum(worst["false"]["wall"].values())
    assert lost[worst["name"]] == missed
    assert (tmp_path / "out" / "index.html").is_file()
    causes.write_text('[photos.room_02]\nfloor = "weather"\n')
    assert main([*arguments, "--causes", str(causes)]) == DatasetError.exit_code
    assert capsys.readouterr().err.startswith("distill: expected a cause out of label")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data", "shown"), [("rooms", ROOMS, 6), ("examples", ROOT / "examples", 2)])
def test_the_numbers_and_pictures_of_the_documents(name: str, data: Path, shown: int, tmp_path: Path) -> None:
    causes, sheet = ROOT / "docs" / "results" / f"causes-{name}.toml", tmp_path / "sheet.jpg"
    arguments = ["worst", str(data), "--split", "all", "--threads", "1", "--causes", str(causes)]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    kept = json.loads((ROOT / "docs" / "results" / f"errors-{name}.json").read_text())
    now = json.loads((tmp_path / JSON_NAME).read_text())
    assert now["model"]["sha256"] == kept["model"]["sha256"] == read_causes(causes).model
    assert [case["name"] for case in now["worst"]] == [case["name"] for case in kept["worst"]]
    assert now["lost_iou"] == pytest.approx(kept["lost_iou"], abs=1e-3)
    for before, after in zip(kept["causes"], now["causes"], strict=True):
        assert {key: before[key] for key in ("cause", "photos", "main")} == {
            key: after[key] for key in ("cause", "photos", "main")
        }
        assert after["lost_iou"] == pytest.approx(before["lost_iou"], abs=1e-3)
    assert main([*arguments, "--out", str(tmp_path), "--count", str(shown), "--sheet", str(sheet)]) == 0
    pictures = [cv2.imread(str(path)) for path in (sheet, ROOT / "docs" / "images" / f"errors-{name}.jpg")]
    assert pictures[0].shape == pictures[1].shape
    assert cv2.absdiff(*pictures).mean() < 1
