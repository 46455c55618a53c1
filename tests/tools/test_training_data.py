"""The recipe of a student from reviewed photos, from the folders of photos to an exported network, on tiny data."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from surfaces.datasets import open_dataset
from tools.training_data import main

ROOT = Path(__file__).parents[2]
ROOMS = ROOT / "tests" / "data" / "rooms"
NAMES = sorted(path.stem for path in (ROOMS / "images").iterdir())


def run(*arguments: str) -> str:
    finished = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `tables`, `scenes`, `houses` and `ikea` made of the rendered rooms."""
    folder = tmp_path_factory.mktemp("reviewed")
    tables, scenes, houses = NAMES[:10], NAMES[8:12], NAMES[12:]
    rows = [{"name": name, "how": ("accepted", "drawn", "none")[index % 3]} for index, name in enumerate(tables)]
    for part, suffix in (("images", ".jpg"), ("masks", ".png")):
        (folder / "tables" / part).mkdir(parents=True)
        for name in tables:
            shutil.copy(ROOMS / part / f"{name}{suffix}", folder / "tables" / part)
    (folder / "scenes" / "masks").mkdir(parents=True)
    (folder / "houses").mkdir()
    (folder / "ikea").mkdir()
    for name in scenes:
        shutil.copy(ROOMS / "masks" / f"{name}.png", folder / "scenes" / "masks")
    for name in NAMES[10:12]:
        shutil.copy(ROOMS / "images" / f"{name}.jpg", folder / "houses" / f"{name}.jpg")
    for index, name in enumerate(houses):
        room = ("bathroom", "bedroom", "frontal")[index % 3]
        shutil.copy(ROOMS / "images" / f"{name}.jpg", folder / "houses" / f"{name}_{room}.jpg")
    places = {name: "tables/images" if name in tables else "houses" for name in scenes}
    write_rows(folder / "tables" / "index.csv", rows)
    write_rows(
        folder / "scenes" / "index.csv", [{"name": name, "photo": f"{places[name]}/{name}.jpg"} for name in scenes]
    )
    return folder


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_from_reviewed_photos_to_a_network(reviewed: Path, tmp_path: Path) -> None:
    sets, packed, folder = tmp_path / "sets", tmp_path / "packed", tmp_path / "run"
    run("tools.training_data", str(reviewed), str(sets), "--val-share", "0.55")
    assert {path.name for path in sets.iterdir()} == {
        "negatives",
        "rooms",
        "scenes",
        "scenes-val",
        "tables",
        "tables-val",
        "unlabelled",
    }
    negatives, tables = ({path.stem for path in (sets / name / "images").iterdir()} for name in ("negatives", "tables"))
    assert negatives == tables & set(NAMES[2:8:3])
    for name in ("tables", "scenes", "unlabelled"):
        run(
            "distill",
            "pack",
            str(sets / name),
            "--out",
            str(packed / name),
            "--follow-links",
            "--soft-labels",
            "shipped",
        )
    for name in ("tables", "unlabelled"):
        assert all(sample.labels().soft_labels is not None for sample in open_dataset(packed / name))
    assert all(sample.labels().soft_labels is None for sample in open_dataset(packed / "scenes"))
    best = run(
        "distill", "train", "--config", "distill/configs/reviewed.toml",
        "--data", str(packed / "tables"), str(packed / "scenes"), "--weights", "1", "1",
        "--val", str(sets / "tables-val"), "--val-photos", "2", "--follow-links",
        "--run", str(folder), "--steps", "2", "--batch", "2", "--crop", "128", "--threads", "1", "--budget", "",
    )  # fmt: skip
    network = run("distill", "export", best, "--out", str(tmp_path / "mine.onnx"), "--check", str(packed / "scenes"))
    run(
        "distill", "evaluate", str(sets / "tables-val"), "--split", "all", "--follow-links", "--weights", network,
        "--out", str(tmp_path / "evaluation"), "--limit", "2",
    )  # fmt: skip
    classes = json.loads((tmp_path / "evaluation" / "report.json").read_text())["classes"]
    assert classes["wall"]["iou"] is None
    assert classes["dining table"]["iou"] is not None
    assert [entry["step"] for entry in json.loads((folder / "history.json").read_text())] == [0, 2]


def test_photos_that_nearly_look_the_same_are_on_one_side(reviewed: Path, tmp_path: Path) -> None:
    twins = tmp_path / "twins"
    shutil.copytree(reviewed, twins)
    rows = [{"name": name, "how": "drawn"} for name in NAMES[:8]]
    for name in NAMES[:8]:
        copy = f"copy_of_{name}"
        with Image.open(ROOMS / "images" / f"{name}.jpg") as photo:
            photo.save(twins / "tables" / "images" / f"{copy}.jpg", quality=40)
        shutil.copy(ROOMS / "masks" / f"{name}.png", twins / "tables" / "masks" / f"{copy}.png")
        rows.append({"name": copy, "how": "drawn"})
    write_rows(twins / "tables" / "index.csv", rows)
    run("tools.training_data", str(twins), str(tmp_path / "sets"), "--val-share", "0.5")
    train, val = (
        {path.stem for path in (tmp_path / "sets" / name / "images").iterdir()} for name in ("tables", "tables-val")
    )
    assert train
    assert val
    for side in (train, val):
        assert {name.removeprefix("copy_of_") for name in side} <= side


def test_photos_that_cannot_validate_are_trained_on(reviewed: Path, tmp_path: Path) -> None:
    run("tools.training_data", str(reviewed), str(tmp_path / "sets"), "--val-share", "1")
    counts = {folder.name: len(list((folder / "images").iterdir())) for folder in (tmp_path / "sets").iterdir()}
    assert counts == {"tables": 3, "rooms": 4, "unlabelled": 2, "tables-val": 5, "scenes-val": 4}


def test_folders_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), str(tmp_path / "sets")]) == 8
    assert "training_data: expected a CSV file at" in capsys.readouterr().err
    assert not (tmp_path / "sets").exists()
