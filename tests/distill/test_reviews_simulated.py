"""The comparison of review queues, on a dataset of small drawn rooms."""

from __future__ import annotations

import hashlib
import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from distill.__main__ import main
from distill.reviews_curves import Curve, curves_svg, reviews_needed
from distill.reviews_report import Cell, as_json, as_table, curves_of, needed_reviews
from models.weights.registry import shipped
from surfaces.classes import BY_ID, IGNORE
from surfaces.datasets.codec import encode_jpeg, encode_map
from surfaces.detections import Detection, box_of_mask
from surfaces.store.label_store import LabelSettings, LabelStore, Source
from surfaces.store.records import ScoredLabels, ScoredSegment

PHOTOS = 75  # five blocks, of which one is for validation
SHADES = np.array([[40, 40, 60], [220, 210, 200], [150, 100, 60], [60, 140, 60]], np.uint8)
SETTINGS = LabelSettings("f" * 64, "a careless teacher")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`truth` (a mask folder), `labels` (auto-labels which take every table for floor) and `start.npz`."""
    folder = tmp_path_factory.mktemp("drawn")
    for name in ("images", "masks"):
        (folder / "truth" / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    with LabelStore.create(folder / "labels") as store:
        store.use_settings(SETTINGS)
        for number in range(PHOTOS):
            draw_room(folder / "truth", f"room_{2 * number:04d}", rng, store)
    shutil.copy(shipped("npz").path, folder / "start.npz")
    return folder


def draw_room(folder: Path, name: str, rng: np.random.Generator, store: LabelStore) -> None:
    classes = np.zeros((48, 64), np.uint8)
    horizon = int(rng.integers(20, 34))
    classes[4:horizon] = 1
    classes[horizon:] = 2
    believed = classes.copy()
    if rng.random() < 0.3:
        left = int(rng.integers(0, 40))
        classes[36:44, left : left + 20] = 3
    noisy = SHADES[classes] + rng.integers(0, 20, (48, 64, 1), np.uint8)
    path = folder / "images" / f"{name}.jpg"
    path.write_bytes(encode_jpeg(noisy))
    (folder / "masks" / f"{name}.png").write_bytes(encode_map(classes))
    score = float(rng.uniform(0.5, 1))
    segments = [
        ScoredSegment(Detection(BY_ID[of], score, box_of_mask(believed == of), believed == of)) for of in (1, 2)
    ]
    labels = ScoredLabels(tuple(segments), believed == IGNORE, {"score": score, "flips": score})
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    store.add(Source(str(path), name, str(folder)), sha256, labels, SETTINGS.fingerprint)


def reviews(drawn: Path, run: Path, *more: str) -> int:
    small = ("--size", "128", "128", "--steps", "2", "--threads", "1", "--seeds", "0", "--reviews", "3", "6")
    data = ("--truth", str(drawn / "truth"), "--init", str(drawn / "start.npz"), "--run", str(run))
    return main(["reviews", str(drawn / "labels"), *data, *small, *more])


@pytest.fixture(scope="module")
def finished(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished")
    assert reviews(drawn, run, "--queues", "random", "expected-gain") == 0
    return run


def cells_of(run: Path) -> list[dict[str, object]]:
    cells: list[dict[str, object]] = json.loads((run / "reviews.json").read_text())["cells"]
    return cells


def test_every_queue_is_tried_with_every_number_of_reviews(finished: Path) -> None:
    tried = [(cell["queue"], cell["reviews"]) for cell in cells_of(finished)]
    assert tried == [
        ("none", 0),
        ("random", 3),
        ("expected-gain", 3),
        ("random", 6),
        ("expected-gain", 6),
        ("all", 60),
    ]
    for cell in cells_of(finished):
        assert set(cell["iou"]) == {"wall", "floor", "dining table"}  # type: ignore[call-overload]
        assert 0 <= cell["mean_iou"] <= 1  # type: ignore[operator]


def test_the_picture_shows_the_queues(finished: Path) -> None:
    words = [element.text for element in ET.parse(finished / "reviews.svg").iter() if element.text]
    assert {"random", "expected-gain", "all photos", "0", "3", "6"} <= set(words)


def test_a_run_goes_on_where_it_stopped(
    drawn: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run with less wanted trains nothing; what is killed half-way ends as what was not."""
    log = (finished / "cells.jsonl").read_text().splitlines()
    (tmp_path / "features").symlink_to(finished / "features")
    (tmp_path / "cells.jsonl").write_text("\n".join(log[:4]) + "\n")
    assert reviews(drawn, tmp_path, "--queues", "random", "expected-gain") == 0
    assert (tmp_path / "cells.jsonl").read_text().splitlines() == log
    assert cells_of(tmp_path) == cells_of(finished)

    monkeypatch.setattr("distill.reviews.set_stage", None)  # not called where nothing is missing
    capsys.readouterr()
    assert reviews(drawn, tmp_path, "--queues", "random") == 0
    table = capsys.readouterr().out
    assert "| random | 3 |" in table
    assert "expected-gain" not in table


def test_the_share_of_tables_is_a_setting_of_its_own(drawn: Path, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "features").symlink_to(finished / "features")
    assert reviews(drawn, tmp_path, "--queues", "expected-gain", "--table-share", "1") == 0
    plain = {(cell["queue"], cell["reviews"]): cell for cell in cells_of(finished)}
    found = {(cell["queue"], cell["reviews"]): cell for cell in cells_of(tmp_path)}
    assert found["none", 0] == plain["none", 0]
    assert found["expected-gain", 6]["table_photos"] == plain["expected-gain", 6]["table_photos"]
    assert found["all", 60]["iou"] != plain["all", 60]["iou"]


def test_a_run_of_other_settings_is_refused(drawn: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reviews(drawn, finished, "--steps", "3") == 11
    assert "of these settings, got others" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--size", "100", "128"), 11, "expected --size in multiples of 128, got [100, 128]"),
        (("--table-share", "1.5"), 11, "expected --table-share from 0 to 1, got 1.5"),
        (("--reviews", "0"), 11, "expected --reviews and --steps from 1, got [0] and 2"),
        (("--reviews", "55", "--queues", "random"), 8, "expected 55 photos to review, got 48 of 60"),
    ],
)
def test_bad_flags_are_one_line(
    drawn: Path, finished: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], code: int, words: str
) -> None:
    assert reviews(drawn, finished, *more) == code
    assert words in capsys.readouterr().err


def test_a_damaged_log_is_one_line(
    drawn: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = (finished / "cells.jsonl").read_text().splitlines()[0]
    (tmp_path / "cells.jsonl").write_text(f'{first}\n[["random", 3,\n')
    assert reviews(drawn, tmp_path) == 8
    assert "expected a finished training in each line of" in capsys.readouterr().err


def test_a_photo_without_auto_labels_is_one_line(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LabelStore.create(tmp_path / "labels") as store:
        store.use_settings(SETTINGS)
    for name in ("truth", "start.npz"):
        (tmp_path / name).symlink_to(drawn / name)
    assert reviews(tmp_path, tmp_path / "run") == 8
    assert "expected labels of the photo" in capsys.readouterr().err


def test_reviews_needed_are_read_off_between_the_points() -> None:
    curve = Curve((0, 10, 30), ((0.5,), (0.6, 0.6), (0.7, 0.8)))
    assert curve.means == pytest.approx([0.5, 0.6, 0.75])
    assert reviews_needed(curve, 0.4) == 0
    assert reviews_needed(curve, 0.6) == pytest.approx(10)
    assert reviews_needed(curve, 0.675) == pytest.approx(20)
    assert reviews_needed(curve, 0.76) is None


def cells(**scores: list[float]) -> list[Cell]:
    """Cells of queues with 10, 20, … reviews, and one without."""
    found = [Cell("none", 0, 0, {"wall": 0.5, "floor": 0.5, "dining table": 0.5}, 0)]
    for queue, values in scores.items():
        for index, value in enumerate(values, start=1):
            iou = {"wall": value, "floor": value, "dining table": value}
            found.append(Cell(queue, 10 * index, 0, iou, index))
    return found


def test_queues_are_measured_by_the_random_one() -> None:
    needed = needed_reviews(curves_of(cells(random=[0.6, 0.7], better=[0.7, 0.8], worse=[0.5, 0.55])))
    assert needed["10"] == {"random": pytest.approx(10), "better": pytest.approx(5), "worse": None}
    assert needed["20"] == {"random": pytest.approx(20), "better": pytest.approx(10), "worse": None}
    assert needed_reviews(curves_of(cells(better=[0.7]))) == {}


def test_what_is_told_is_what_is_written() -> None:
    known = cells(random=[0.6, 0.7], better=[0.7, 0.8])
    assert "| better | 10 | 1 | 0.700 | 0.700 | 0.700 | 0.700 | 0.000 |" in as_table(known)
    assert "Reviews to reach what random reaches with 20: random 20, better 10" in as_table(known)
    document = json.loads(json.dumps(as_json(known, {"steps": 2})))
    assert document["settings"] == {"steps": 2}
    assert document["reviews_needed"]["20"]["better"] == 10
    assert [cell["mean_iou"] for cell in document["cells"]] == [0.5, 0.6, 0.7, 0.7, 0.8]


def test_curves_are_drawn_where_their_scores_are() -> None:
    picture = curves_svg("A < B", {"one": Curve((0, 25, 100), ((0.5,), (0.55,), (0.6,)))})
    root = ET.fromstring(picture)
    (line,) = (element for element in root.iter() if element.tag.endswith("polyline"))
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert points == [(56, 380), (336, 210), (616, 40)]  # the x axis is of square roots
    assert root.attrib["aria-label"] == "A < B"
