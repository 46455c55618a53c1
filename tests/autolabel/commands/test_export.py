"""`python -m autolabel export`."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from autolabel.__main__ import main
from autolabel.commands.export import export
from autolabel.export.formats import coco_export
from autolabel.export.selection import Selection
from surfaces.classes import WALL
from surfaces.datasets import open_dataset
from surfaces.store.label_store import LabelStore
from surfaces.store.records import ScoredLabels
from tests.autolabel.label_stores import SETTINGS, add_photo, rooms_store, segment


@pytest.mark.parametrize("name", ["coco", "yolo", "png"])
def test_the_command(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    store, out = rooms_store(tmp_path / "store", 2), tmp_path / "new" / "out"
    assert main(["export", str(store), "--format", name, "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert told.err.endswith(f"2 photos as {name}\n")
    assert len(list((out / "images").iterdir())) == 2
    if name != "yolo":
        assert len(open_dataset(out)) == 2


@pytest.mark.parametrize("no_ignored", ["--no-ignored", "--no-unsure"])  # the latter in version 0.1
def test_its_options(tmp_path: Path, no_ignored: str) -> None:
    store, out = rooms_store(tmp_path / "store", 2), tmp_path / "out"
    arguments = ["--format", "coco", "--out", str(out), "--min-score", "0.85", "--only", "auto", no_ignored]
    assert main(["export", str(store), *arguments]) == 0
    document = json.loads((out / "annotations.json").read_text())
    assert document["info"] == {"teacher": SETTINGS.teacher, "settings": SETTINGS.fingerprint}
    assert {annotation["category_id"] for annotation in document["annotations"]} == {1}
    assert not any(annotation["iscrowd"] for annotation in document["annotations"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 8, "expected labels at"),
        (["store", "--only", "reviewed"], 8, "expected labelled photos"),
        (["store", "--out", "taken"], 6, "exists"),
        (["store", "--out", "taken/file/out"], 6, "expected to write to"),
    ],
)
def test_what_goes_wrong_is_one_line(
    tmp_path: Path,
    arguments: list[str],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rooms_store(tmp_path / "store", 1)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--format", "coco", "--out", "out", *arguments]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert words in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("score", ["2", "-1", "nan", "sure"])
def test_scores_are_shares(tmp_path: Path, score: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path), "--format", "coco", "--out", "out", "--min-score", score])
    assert "--min-score" in capsys.readouterr().err


@pytest.mark.slow
def test_memory_does_not_grow_with_the_photos(tmp_path: Path) -> None:
    """What is written weighs far more than what is held at a time."""
    mask = np.random.default_rng(0).random((160, 160)) < 0.5  # 25,000 runs, some 25 kB
    labels = ScoredLabels((segment(WALL, mask),), ~mask)
    with LabelStore.create(tmp_path / "store") as store:
        for index in range(80):
            path = tmp_path / f"{index}.png"
            Pillow.fromarray(np.full((160, 160, 3), index, np.uint8)).save(path)
            add_photo(store, path, labels)
        export(store, tmp_path / "first", coco_export, Selection())  # imports, caches
        tracemalloc.start()
        export(store, tmp_path / "second", coco_export, Selection())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (tmp_path / "second" / "annotations.json").stat().st_size > 4_000_000
    assert peak < 2_000_000
