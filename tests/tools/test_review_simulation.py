"""The comparison of review queues, on a dataset of small drawn rooms."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.weights.registry import shipped
from surfaces.classes import BY_ID, BY_NAME, IGNORE
from surfaces.datasets.codec import encode_jpeg
from surfaces.detections import Detection, box_of_mask
from surfaces.images.encode import encode_png
from surfaces.store.label_store import LabelSettings, LabelStore, Source
from surfaces.store.records import ScoredLabels, ScoredSegment
from tools.review_simulation import simulation
from tools.review_simulation.__main__ import main
from tools.review_simulation.results import Curve, Trial, as_table, compare_with_baseline, queue_curves, reviews_needed

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
    found = classes.copy()
    if rng.random() < 0.3:
        left = int(rng.integers(0, 40))
        classes[36:44, left : left + 20] = 3
    path = folder / "images" / f"{name}.jpg"
    path.write_bytes(encode_jpeg(SHADES[classes] + rng.integers(0, 20, (48, 64, 1), np.uint8)))
    (folder / "masks" / f"{name}.png").write_bytes(encode_png(classes))
    score = float(rng.uniform(0.5, 1))
    segments = tuple(ScoredSegment(Detection(BY_ID[i], score, box_of_mask(found == i), found == i)) for i in (1, 2))
    labels = ScoredLabels(segments, found == IGNORE, {"score": score, "flips": score})
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    store.add(Source(str(path), name, str(folder)), sha256, labels, SETTINGS.fingerprint)


def simulate(drawn: Path, run: Path, *more: str) -> int:
    small = ("--size", "128", "128", "--steps", "2", "--threads", "1", "--seeds", "0", "--reviews", "3", "6")
    data = ("--truth", str(drawn / "truth"), "--init", str(drawn / "start.npz"), "--run", str(run))
    return main([str(drawn / "labels"), *data, *small, *more])


@pytest.fixture(scope="module")
def finished(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished")
    assert simulate(drawn, run, "--queues", "random", "expected-gain") == 0
    return run


def trials_in(run: Path) -> dict[tuple[str, int], dict[str, Any]]:
    return {(one["queue"], one["reviews"]): one for one in json.loads((run / "reviews.json").read_text())["cells"]}


def test_every_queue_is_tried_with_every_number_of_reviews(finished: Path) -> None:
    tried = trials_in(finished)
    pairs = [(queue, reviews) for reviews in (3, 6) for queue in ("random", "expected-gain")]
    assert list(tried) == [("none", 0), *pairs, ("all", 60)]
    for trial in tried.values():
        assert set(trial["iou"]) == {"wall", "floor", "dining table"}
        assert 0 <= trial["mean_iou"] <= 1


def test_a_run_resumes(
    drawn: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = (finished / "cells.jsonl").read_text().splitlines()
    (tmp_path / "cells.jsonl").write_text("\n".join(log[:4]) + "\n")
    assert simulate(drawn, tmp_path, "--queues", "random", "expected-gain") == 0
    assert (tmp_path / "cells.jsonl").read_text().splitlines() == log
    assert trials_in(tmp_path) == trials_in(finished)

    monkeypatch.setattr(simulation, "setup", None)  # not needed where no trial is missing
    capsys.readouterr()
    assert simulate(drawn, tmp_path, "--queues", "random") == 0
    table = capsys.readouterr().out
    assert "| random | 3 |" in table
    assert "expected-gain" not in table


def test_the_share_of_tables_is_a_setting(drawn: Path, finished: Path, tmp_path: Path) -> None:
    assert simulate(drawn, tmp_path, "--queues", "expected-gain", "--table-share", "1") == 0
    plain, found = trials_in(finished), trials_in(tmp_path)
    assert found["none", 0] == plain["none", 0]
    assert found["expected-gain", 6]["table_photos"] == plain["expected-gain", 6]["table_photos"]
    assert found["all", 60]["iou"] != plain["all", 60]["iou"]


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--steps", "3"), 11, "got others; give another --run"),
        (("--size", "100", "128"), 11, "expected --size in multiples of 128, got [100, 128]"),
        (("--table-share", "1.5"), 11, "expected --table-share from 0 to 1, got 1.5"),
        (("--reviews", "55", "--queues", "random"), 8, "expected 55 photos to review, got 48 of 60"),
    ],
)
def test_bad_options_are_one_line(
    drawn: Path, finished: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], code: int, words: str
) -> None:
    assert simulate(drawn, finished, *more) == code
    assert words in capsys.readouterr().err


def test_damaged_input_is_one_line(
    drawn: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = (finished / "cells.jsonl").read_text().splitlines()[0]
    (tmp_path / "cells.jsonl").write_text(f'{first}\n[["random", 3,\n')
    assert simulate(drawn, tmp_path) == 8
    assert "expected a finished trial in each line of" in capsys.readouterr().err

    with LabelStore.create(tmp_path / "labels") as store:
        store.use_settings(SETTINGS)
    for name in ("truth", "start.npz"):
        (tmp_path / name).symlink_to(drawn / name)
    assert simulate(tmp_path, tmp_path / "run") == 8
    assert "expected labels of the photo" in capsys.readouterr().err


def test_reviews_needed_are_interpolated() -> None:
    curve = Curve((0, 10, 30), ((0.5,), (0.6, 0.6), (0.7, 0.8)))
    assert curve.means == pytest.approx([0.5, 0.6, 0.75])
    assert [reviews_needed(curve, score) for score in (0.4, 0.6, 0.675)] == pytest.approx([0, 10, 20])
    assert reviews_needed(curve, 0.76) is None


def trials(**scores: list[float]) -> list[Trial]:
    """Trials of queues with 10, 20, … reviews, and one without."""
    points = [(queue, *point) for queue, values in scores.items() for point in enumerate(values, 1)]
    return [Trial(q, 10 * n, 0, dict.fromkeys(BY_NAME, value), n) for q, n, value in [("none", 0, 0.5), *points]]


def test_queues_are_compared_with_the_random_one() -> None:
    known = trials(random=[0.6, 0.7], better=[0.7, 0.8], worse=[0.5, 0.55])
    needed = compare_with_baseline(queue_curves(known))
    assert needed["10"] == {"random": pytest.approx(10), "better": pytest.approx(5), "worse": None}
    assert needed["20"] == {"random": pytest.approx(20), "better": pytest.approx(10), "worse": None}
    assert compare_with_baseline(queue_curves(trials(better=[0.7]))) == {}
    assert "| better | 10 | 0.700 | 0.000 |" in as_table(known)
    assert "Reviews to reach the score of random with 20: random 20, better 10, worse never" in as_table(known)
