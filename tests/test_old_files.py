"""Files that version 0.1 made are read, and its unfinished runs resume (`tests/data/version-0.1`)."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segment
from autolabel.__main__ import main as autolabel
from autolabel.labelling.class_config import default_class_config, read_class_config
from distill.__main__ import main as distill
from labelstudio.__main__ import main as labelstudio
from labelstudio.project.labeling_config import label_config
from labelstudio.sync.regions import annotation_to_labels
from models.teachers.student import StudentTeacher
from surfaces.datasets import open_dataset
from surfaces.store.label_store import LabelStore

OLD = Path(__file__).parent / "data" / "version-0.1"
STUDENT_SHA256 = "5cd6577b117c5a10654d8ff5fe4a9982c759ed39ae0fb504937dee6ded98e228"
MADE_AT = "/corpus"  # where the photos were


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the files, with the paths of photos changed to the copy's."""
    folder = tmp_path / "old"
    shutil.copytree(OLD, folder)
    for file in folder.rglob("*.xz"):
        file.with_suffix("").write_bytes(lzma.decompress(file.read_bytes()))
        file.unlink()
    for file in folder.rglob("*.sqlite"):
        with closing(sqlite3.connect(file)) as connection:
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
                    if kind == "TEXT":
                        moved = (MADE_AT, str(folder))
                        connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", moved)
            connection.commit()
    return folder


def _rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


def _semantic(folder: Path) -> dict[str, str]:
    """Hash of the label map (other, wall, floor, dining table, ignored) by the photo's name."""
    maps = {Path(sample.name).name: sample.labels().semantic for sample in open_dataset(folder)}
    return {name: hashlib.sha256(repr(m.shape).encode() + m.tobytes()).hexdigest() for name, m in maps.items()}


@pytest.fixture
def student_of_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher `student` has the fingerprint of the network of version 0.1, whose file no longer ships."""
    init = StudentTeacher.__init__

    def with_old_fingerprint(teacher: StudentTeacher, weights: Path | None = None, threads: int | None = None) -> None:
        init(teacher, weights, threads)
        teacher.fingerprint = hashlib.sha256(f"student {STUDENT_SHA256}".encode()).hexdigest()

    monkeypatch.setattr(StudentTeacher, "__init__", with_old_fingerprint)


def test_a_photo_gives_json_and_masks_of_the_same_form(tmp_path: Path) -> None:
    photo, out = OLD / "photos" / "room_01.jpg", tmp_path / "out"
    assert segment.main(["--url", str(photo), "--output", str(out), "--json", "--masks", "--quiet"]) == 0
    (new,) = out.glob("*.json")
    expected, found = (json.loads(file.read_text()) for file in (OLD / "segmented" / "room_01.json", new))
    assert found["model"].keys() == expected["model"].keys()
    assert found.keys() == expected.keys()
    for one, other in zip(found["segments"], expected["segments"], strict=True):
        assert (one["class"], one.keys()) == (other["class"], other.keys())
        assert one["area_share"] == pytest.approx(other["area_share"], abs=0.1)  # the network has changed
    assert sorted(path.name.rpartition("_")[2] for path in out.glob("*.png")) == sorted(
        path.name.rpartition("_")[2] for path in (OLD / "segmented").glob("*.png")
    )


@pytest.mark.parametrize("form", ["coco", "masks", "packed"])
def test_datasets_hold_what_the_store_holds(old: Path, form: str) -> None:
    # A COCO file and an exported mask are named by the photo's hash.
    by_name, exported = _semantic(old / "labels"), _semantic(old / form)
    assert len(by_name) == 2
    assert sorted(exported.values()) == sorted(by_name.values())


@pytest.mark.usefixtures("student_of_then")
def test_a_run_resumes(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = old / "labels" / "labels.sqlite"
    before = _rows(store, "SELECT * FROM photos ORDER BY sha256")
    assert len(before) == 2
    code = autolabel(["run", str(old / "photos"), "--out", str(old / "labels"), "--teacher", "student"])
    assert code == 10, capsys.readouterr().err  # one file is no photo
    assert "2 labelled, 2 labelled before, 1 skipped" in capsys.readouterr().err
    assert [row for row in _rows(store, "SELECT * FROM photos ORDER BY sha256") if row in before] == before
    assert len(_rows(store, "SELECT * FROM photos")) == 4


def test_a_store_is_shown_exported_and_merged(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = str(old / "labels")
    assert autolabel(["status", labels, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["photos"], status["segments"]["wall"], len(status["failures"])) == (2, 2, 1)
    assert autolabel(["report", labels, "--out", str(tmp_path / "report")]) == 0
    assert autolabel(["export", labels, "--format", "coco", "--out", str(tmp_path / "coco")]) == 0
    assert _semantic(tmp_path / "coco") == _semantic(old / "coco")
    assert autolabel(["merge", labels, "--out", str(tmp_path / "merged")]) == 0
    with LabelStore.open(tmp_path / "merged") as merged, LabelStore.open(old / "review" / "pulled") as reviewed:
        assert (merged.counts().photos, reviewed.counts().reviewed) == (2, 2)


def test_a_crawl_resumes(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = old / "crawl"
    assert autolabel(["crawl", "--out", str(corpus), "--status"]) == 0
    assert "2 todo, 3 done" in capsys.readouterr().out
    code = autolabel(["crawl", "--out", str(corpus), "--any-picture", "--min-side", "16", "--quiet"])
    assert code == 0, capsys.readouterr().err
    states = _rows(corpus / "crawl.sqlite", "SELECT state, count(*) FROM leads GROUP BY state")
    assert states == [("done", 5)]
    assert len(list((corpus / "photos").rglob("*.jpg"))) == 4


def test_a_manifest_is_a_corpus(old: Path, tmp_path: Path) -> None:
    code = autolabel(["run", str(old / "crawl"), "--out", str(tmp_path / "set"), "--teacher", "student", "--quiet"])
    assert code == 0
    with LabelStore.open(tmp_path / "set") as store:
        assert store.counts().photos == 2


def test_reviews_are_undone_exactly(old: Path) -> None:
    pulled, pushed = old / "review" / "pulled", old / "review" / "pushed"
    assert labelstudio(["undo", str(pulled)]) == 0
    with LabelStore.open(pulled) as restored, LabelStore.open(pushed) as automatic:
        photos = list(automatic.photos())
        assert [(photo.sha256, photo.origin) for photo in restored.photos()] == [(p.sha256, "auto") for p in photos]
        for photo in photos:
            one, other = (store.labels(photo.sha256).labels() for store in (restored, automatic))
            assert np.array_equal(one.semantic, other.semantic)
            assert np.array_equal(one.tables, other.tables)


def test_tasks_of_a_project_are_labels(old: Path) -> None:
    assert label_config() == (OLD / "review" / "labeling_config.xml").read_text("utf-8")
    with LabelStore.open(old / "review" / "pushed") as pushed, LabelStore.open(old / "review" / "pulled") as pulled:
        sizes = {photo.sha256: (photo.height, photo.width) for photo in pushed.photos()}
        for task in json.loads((OLD / "review" / "tasks.json").read_text("utf-8")):
            sha256 = task["data"]["sha256"]
            for store, part in ((pushed, "predictions"), (pulled, "annotations")):
                read = annotation_to_labels(task[part][0]["result"], *sizes[sha256]).labels
                assert np.array_equal(read.labels().semantic, store.labels(sha256).labels().semantic)


def test_a_class_configuration_is_read() -> None:
    read = read_class_config(OLD / "ontology.toml")
    assert read.fingerprint == default_class_config().fingerprint
    assert read.fingerprint == "7118fec7a20de5f2a1a2173b08826191ce5b8ba37177ddea965f8ea075c9cea1"


def test_datasets_are_inspected_and_packed(old: Path, tmp_path: Path) -> None:
    assert distill(["inspect", str(old / "packed"), "--out", str(tmp_path / "sheet.jpg")]) == 0
    assert distill(["pack", str(old / "coco"), "--out", str(tmp_path / "again"), "--split", "all"]) == 0
    assert sorted(_semantic(tmp_path / "again").values()) == sorted(_semantic(old / "coco").values())


def test_a_training_run_resumes(old: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(old)
    run = old / "training" / "run"
    shutil.move(run, old / "run")
    settings = ["--config", str(old / "settings" / "train.toml"), "--data", "masks", "--run", "run"]
    assert distill(["train", *settings]) == 11  # the run is there
    assert "--resume" in capsys.readouterr().err
    assert distill(["train", *settings, "--resume"]) == 0
    assert "resumed after step 2" in capsys.readouterr().err
    config = json.loads((old / "run" / "config.json").read_text("utf-8"))
    assert config.items() >= json.loads((OLD / "training" / "run" / "config.json").read_text("utf-8")).items()
    assert (old / "run" / "student.npz").exists()


@pytest.mark.usefixtures("student_of_then")
def test_settings_files_have_the_same_fingerprint(old: Path, tmp_path: Path) -> None:
    settings = old / "settings"
    options = ["--teacher", str(settings / "teacher.toml"), "--ontology", str(settings / "classes.toml")]
    photo = tmp_path / "photos" / "room_01.jpg"
    photo.parent.mkdir()
    shutil.copy(OLD / "photos" / photo.name, photo)
    out = tmp_path / "labels"
    assert autolabel(["run", str(photo.parent), "--out", str(out), *options, "--without", "specks", "--quiet"]) == 0
    expected = json.loads((settings / "settings.json").read_text("utf-8"))
    (row,) = _rows(out / "labels.sqlite", "SELECT fingerprint, teacher, details FROM settings")
    assert row == tuple(expected.values())
