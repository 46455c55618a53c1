"""Auto-labels compared with people's labels of the same photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from autolabel.__main__ import main
from autolabel.comparison.agreement import compare
from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER_TABLE, WALL
from surfaces.datasets import Labels
from surfaces.detections import Mask
from surfaces.store.records import ScoredLabels
from tests.autolabel.corpora import check_error
from tests.autolabel.label_stores import ROOMS, rooms_store, segment, store_of


def columns(left: int, right: int) -> Mask:
    """Some columns of a photo of 10 rows and 100 columns."""
    mask = np.zeros((10, 100), bool)
    mask[:, left:right] = True
    return mask


def truth(**columns_of: tuple[int, int]) -> Labels:
    values = {"wall": 1, "floor": 2, "table": 3, "other_table": OTHER_TABLE, "ignore": IGNORE}
    semantic = np.zeros((10, 100), np.uint8)
    for name, (left, right) in columns_of.items():
        semantic[:, left:right] = values[name]
    return Labels(semantic, (semantic == 3).astype(np.uint8))


def test_pixels_are_counted_by_hand() -> None:
    auto = ScoredLabels((segment(WALL, columns(0, 50), 0.95), segment(FLOOR, columns(60, 80), 0.65)), columns(50, 60))
    found = compare([(auto, truth(wall=(10, 60), floor=(60, 90), ignore=(90, 100)))])
    wall, floor, table = (found.classes[surface.name] for surface in (WALL, FLOOR, DINING_TABLE))
    assert (wall.precision, wall.recall) == (pytest.approx(40 / 50), pytest.approx(40 / 50))
    assert (wall.iou, wall.iou_sure) == (pytest.approx(40 / 60), pytest.approx(40 / 50))
    assert (floor.precision, floor.recall, floor.iou) == (1, pytest.approx(20 / 30), pytest.approx(20 / 30))
    assert table.iou is None
    assert table.segments == 0
    assert found.sure_share == pytest.approx(80 / 90)
    of_wall = [(group.least, group.segments) for group in found.groups["wall"]]
    assert of_wall == [(0, 0), (0.5, 0), (0.6, 0), (0.7, 0), (0.8, 0), (0.9, 1)]
    assert found.groups["wall"][-1].precision == pytest.approx(0.8)
    assert found.groups["floor"][2].segments == 1
    assert found.belief_groups == {}


def test_photos_are_summed_by_pixels_and_segments_averaged() -> None:
    right = ScoredLabels((segment(FLOOR, columns(0, 30), 1.0),), columns(0, 0))
    wrong = ScoredLabels((segment(FLOOR, columns(0, 10), 1.0),), columns(0, 0))
    found = compare([(right, truth(floor=(0, 30))), (wrong, truth())])
    assert found.photos == 2
    assert found.classes["floor"].precision == pytest.approx(30 / 40)
    assert found.groups["floor"][-1].precision == pytest.approx(0.5)


def test_other_tables_and_unlabelled_pixels_are_neither_right_nor_wrong() -> None:
    auto = ScoredLabels((segment(DINING_TABLE, columns(0, 50)),), columns(0, 0))
    found = compare([(auto, truth(table=(0, 20), other_table=(20, 40), ignore=(40, 45)))]).classes["dining table"]
    assert (found.precision, found.recall) == (pytest.approx(20 / 25), 1)


def test_labelled_pixels_are_grouped_by_the_probability_of_their_class() -> None:
    """A wall of 60 columns: 40 with a probability of .8, of which 30 are wall, and 20 with 1, all of them wall."""
    semantic = np.zeros((4, 10, 100), np.uint8)
    semantic[1, :, :40], semantic[1, :, 40:60], semantic[1, :, 60:] = 204, 255, 100
    auto = ScoredLabels((segment(WALL, columns(0, 60)),), columns(0, 0), soft_labels=semantic)
    found = compare([(auto, truth(wall=(10, 60)))])
    assert "calibration error 0.033" in found.table()
    groups = {group.least: group for group in found.belief_groups["wall"]}
    assert {least: group.pixels for least, group in groups.items() if group.pixels} == {0.8: 400, 0.95: 200}
    assert groups[0.8].belief == pytest.approx(0.8)
    assert groups[0.8].precision == pytest.approx(0.75)
    assert groups[0.95].precision == groups[0.95].belief == 1
    assert groups[0.5].precision is None
    assert found.classes["wall"].calibration_error == pytest.approx((400 * 0.05 + 0) / 600)
    assert found.classes["floor"].calibration_error is None


def test_intervals_are_over_photos() -> None:
    """The interval of identical photos is a point; that of right and wrong ones is not."""
    right = ScoredLabels((segment(FLOOR, columns(0, 30)),), columns(0, 0)), truth(floor=(0, 30))
    wrong = ScoredLabels((segment(FLOOR, columns(0, 30)),), columns(0, 0)), truth()
    alike = compare([right] * 5)
    assert alike.classes["floor"].intervals["precision"] == (1, 1)
    assert alike.groups["floor"][-1].interval == (1, 1)
    assert alike.classes["dining table"].intervals["iou"] == (None, None)
    mixed = compare([right, wrong] * 10)
    low, high = mixed.classes["floor"].intervals["precision"]
    assert 0.2 < low < 0.4 < mixed.classes["floor"].precision < 0.6 < high < 0.8
    assert "0.500 (0." in mixed.table()


def test_perfect_labels_score_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = rooms_store(tmp_path / "set")
    assert main(["compare", str(store), "--truth", str(ROOMS), "--json", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr()
    assert "4 photos, sure of 0.994" in shown.out
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert numbers["photos"] == 4
    for found in numbers["classes"].values():
        assert found["precision"] == found["iou_sure"] == 1
        assert 0.9 < found["recall"] <= 1


def photo_store(folder: Path, *photos: Path, review: bool = False) -> Path:
    """A store of photos of 30x40 pixels whose upper half is wall."""
    wall = np.arange(30)[:, None] < np.full(40, 15)
    labels = ScoredLabels((segment(WALL, wall),), np.zeros_like(wall))
    return store_of(folder, labels, *photos, reviewer="ann" if review else "")


def save_room(path: Path, seed: int = 0, **options: object) -> Path:
    """A photo of 30x40 pixels after the rotation in its EXIF."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    upright = coarse.repeat(10, axis=0).repeat(10, axis=1)
    turned = np.rot90(upright) if "exif" in options else upright
    path.parent.mkdir(exist_ok=True)
    Pillow.fromarray(np.ascontiguousarray(turned)).save(path, **options)
    return path


@pytest.mark.parametrize("form", ["coco", "png"])
@pytest.mark.parametrize("names", [[], ["--keep-names"]], ids=["by digits", "by names"])
def test_stores_and_exported_copies_are_matched(
    tmp_path: Path, form: str, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Pillow.Exif()
    exif[274] = 6  # rotate clockwise
    photos = [  # every export encodes the first three again
        save_room(tmp_path / "webp.webp", 1, quality=80),
        save_room(tmp_path / "turned.jpg", 2, exif=exif, quality=95),
        save_room(tmp_path / "bmp.bmp", 3),
        save_room(tmp_path / "plain.jpg"),
    ]
    store = photo_store(tmp_path / "labels", *photos)
    truth = photo_store(tmp_path / "reviewed", *photos, review=True)
    assert main(["export", str(truth), "--format", form, "--out", str(tmp_path / "truth"), *names]) == 0
    for dataset, same_file in ((truth, 4), (tmp_path / "truth", 1)):
        capsys.readouterr()
        assert main(["compare", str(store), "--truth", str(dataset)]) == 0
        shown = capsys.readouterr()
        assert "4 photos, sure of 1.000 of the pixels" in shown.out
        assert shown.err.endswith(f"{same_file} photos matched by their files, {4 - same_file} by name and look\n")


def test_photos_of_the_same_name_that_look_different_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = [save_room(tmp_path / "a" / f"{name}.png", seed) for seed, name in enumerate(("same", "other"))]
    theirs = [save_room(tmp_path / "b" / f"{name}.jpg", seed) for seed, name in ((0, "same"), (7, "other"))]
    store, truth = photo_store(tmp_path / "mine", *mine), photo_store(tmp_path / "theirs", *theirs)
    assert main(["compare", str(store), "--truth", str(truth)]) == 0
    shown = capsys.readouterr()
    assert "1 photos, sure of" in shown.out
    assert shown.err.endswith(
        "0 photos matched by their files, 1 by name and look; 1 are not labelled;"
        " 1 have a truth that no person reviewed\n"
    )


def test_photos_that_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = save_room(tmp_path / "a.png")
    reviewed = str(photo_store(tmp_path / "reviewed", photo, review=True))
    message = "1 are left out since their labels are reviewed"
    check_error(capsys, 8, message, "compare", reviewed, "--truth", reviewed)
    empty = str(rooms_store(tmp_path / "empty", count=0))
    check_error(capsys, 8, "autolabel: expected photos of", "compare", empty, "--truth", str(ROOMS))
    small = np.zeros((10, 10), bool)
    store_of(tmp_path / "small", ScoredLabels((segment(WALL, ~small),), small), photo)
    message = "expected labels of (30, 40) rows, columns for a, got (10, 10)"
    check_error(capsys, 8, message, "compare", str(tmp_path / "small"), "--truth", reviewed)
