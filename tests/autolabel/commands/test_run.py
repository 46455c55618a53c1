"""`python -m autolabel run` in this process: labels, skipped photos with reasons, and errors that stop it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autolabel.__main__ import main
from surfaces.datasets import open_dataset
from surfaces.detections import Image
from surfaces.store.label_store import STORE_NAME, LabelStore
from surfaces.store.records import ScoredLabels
from tests.autolabel.corpora import (
    ColourTeacher,
    check_error,
    dump,
    failures,
    make_corpus,
    make_photo,
    poisoned,
    teacher_file,
)

Capture = pytest.CaptureFixture[str]
Run = Callable[..., int]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "photos", 5)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "set"


@pytest.fixture
def run(tmp_path: Path, out: Path) -> Run:
    """Runs the command with the colour teacher."""
    teacher = str(teacher_file(tmp_path))
    flags = ("--out", str(out), "--allow-python", "--teacher", teacher)
    return lambda corpus, *more: main(["run", str(corpus), *flags, *more])


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The heights of the photos that the teacher gets."""
    heights: list[int] = []
    predict = ColourTeacher.predict

    def watched(teacher: ColourTeacher, image: Image) -> object:
        heights.append(image.shape[0])
        return predict(teacher, image)

    monkeypatch.setattr(ColourTeacher, "predict", watched)
    return heights


def test_a_corpus_is_labelled(corpus: Path, out: Path, run: Run, capsys: Capture) -> None:
    assert run(corpus) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{out}\n"
    assert re.search(r"5/5", shown.err)
    assert re.search(r"^5 labelled, 0 labelled before, 0 skipped; \d+ s$", shown.err, re.MULTILINE)
    assert [path.name for path in out.iterdir()] == [STORE_NAME]
    samples = open_dataset(out)
    assert [sample.name for sample in samples] == [f"house000/room_{number:05d}" for number in range(5)]
    for sample in samples:
        image, semantic = sample.image(), sample.labels().semantic
        bright, dark = image.mean(axis=2) > 150, image.max(axis=2) < 70
        assert (semantic[bright] == 1).mean() > 0.8  # wall
        assert (semantic[dark] == 2).mean() > 0.6  # floor
        assert (semantic[bright] == 2).mean() < 0.02


def test_labelled_photos_are_not_labelled_again(
    corpus: Path, out: Path, run: Run, predicted: list[int], capsys: Capture
) -> None:
    for flags, count in ((["--limit", "3"], 3), ([], 5)):
        assert run(corpus, *flags) == 0
        assert len(predicted) == count
    before = (out / STORE_NAME).read_bytes()
    assert run(corpus, "--quiet") == 0
    assert len(predicted) == 5
    assert (out / STORE_NAME).read_bytes() == before
    assert capsys.readouterr().err.count("labelled") == 4  # two summaries; --quiet has none


def test_shards_together_are_the_whole(corpus: Path, out: Path, run: Run, predicted: list[int]) -> None:
    for shard in ("1/3", "2/3", "3/3"):
        assert run(corpus, "--shard", shard) == 0
    assert len(predicted) == 5
    parts = dump(out)
    shutil.rmtree(out)
    assert run(corpus) == 0
    assert dump(out) == parts


def test_the_same_photo_is_labelled_once(corpus: Path, out: Path, run: Run, predicted: list[int]) -> None:
    for name in ("copy.jpg", "sub/another.jpg"):
        (corpus / name).parent.mkdir(exist_ok=True)
        shutil.copy(corpus / "house000" / "room_00000.jpg", corpus / name)
    assert run(corpus, "--workers", "4") == 0
    assert len(predicted) == 5
    with LabelStore.open(out) as store:
        assert store.counts().duplicates == 2
        assert sorted(len(store.sources(photo.sha256)) for photo in store.photos()) == [1, 1, 1, 1, 3]


def test_skipped_photos_are_tried_again(corpus: Path, out: Path, run: Run, capsys: Capture) -> None:
    whole = (corpus / "house000" / "room_00000.jpg").read_bytes()
    (corpus / "cut.jpg").write_bytes(whole[:300])
    (corpus / "empty.jpg").write_bytes(b"")
    (corpus / "page.jpg").write_text("<!doctype html>")
    (corpus / "gone.jpg").symlink_to("nowhere")
    (corpus / "folder.jpg").mkdir()
    make_photo(corpus / "tiny.png", 0, (9, 9))
    poisoned(corpus / "poison.png")
    os.mkfifo(corpus / "pipe.jpg")
    assert run(corpus) == 10
    shown = capsys.readouterr().err
    assert "5 labelled, 0 labelled before, 7 skipped (4 not a usable photo, 1 teacher failed, 2 unreadable)" in shown
    assert "failed=7" in shown
    found = {Path(source).name: failure for source, failure in failures(out).items()}
    assert {name: kind for name, (kind, _) in found.items()} == {
        **dict.fromkeys(("cut.jpg", "empty.jpg", "page.jpg", "tiny.png"), "not a usable photo"),
        **dict.fromkeys(("gone.jpg", "pipe.jpg"), "unreadable"),
        "poison.png": "teacher failed",
    }
    assert re.fullmatch(r"ArithmeticError: too red \(corpora\.py:\d+\)", found["poison.png"][1])
    assert found["gone.jpg"][1] == "the file could not be read: No such file or directory"
    assert "HTML page" in found["page.jpg"][1]

    for name in found:
        (corpus / name).unlink()
    (corpus / "cut.jpg").write_bytes(whole)
    assert run(corpus) == 0
    assert failures(out) == {}


@pytest.mark.parametrize(
    ("option", "reason"),
    [("--max-megapixels", "expected at most 0.001 megapixels"), ("--max-megabytes", "expected at most 1000 bytes")],
)
def test_limits_of_size(out: Path, tmp_path: Path, run: Run, option: str, reason: str) -> None:
    photo = make_photo(tmp_path / "photos" / "a.jpg", 0, (200, 200))
    assert run(photo.parent, option, "0.001") == 10
    assert failures(out)[str(photo)][1].startswith(reason)
    assert run(photo.parent, option, "1") == 0


def test_other_files_of_a_folder_are_counted(corpus: Path, run: Run, capsys: Capture) -> None:
    for name in ("a.mov", "b.MOV", "notes"):
        (corpus / name).touch()
    assert run(corpus) == 0
    assert capsys.readouterr().err.splitlines()[0] == "3 files passed over: 2 .mov, 1 without suffix"
    assert run(corpus, "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_a_teacher_that_always_fails_ends_the_run(
    corpus: Path, out: Path, run: Run, capsys: Capture, predicted: list[int]
) -> None:
    for number in range(30):
        photo = poisoned(corpus / "later" / f"{number}.png")
        photo.write_bytes(photo.read_bytes() + b"%d" % number)
    assert run(corpus, "--quiet") == 14
    shown = capsys.readouterr()
    assert shown.out == ""
    line = r"autolabel: the teacher failed on 10 photos in a row, at last with ArithmeticError: too red \(.*\)\n"
    assert re.fullmatch(line, shown.err)
    assert len(predicted) <= 18  # the next ones were in work
    assert len(open_dataset(out)) == 5


def test_changed_settings_need_relabel(corpus: Path, out: Path, tmp_path: Path, run: Run, capsys: Capture) -> None:
    assert run(corpus, "--quiet") == 0
    first = dump(out)
    capsys.readouterr()
    (tmp_path / "classes.toml").write_text("[wall]\nbelief_accept = 0.7\n")
    for flags in (["--without", "specks"], ["--classes", str(tmp_path / "classes.toml")], []):
        if not flags:
            teacher_file(tmp_path, bias=0.05)
        assert run(corpus, "--quiet", *flags) == 12
        shown = capsys.readouterr()
        assert shown.out == ""
        assert re.fullmatch(r"autolabel: expected the settings of .*, got others .*--relabel.*\n", shown.err)
    assert dump(out) == first

    with LabelStore.open(out) as store:
        reviewed = next(store.photos()).sha256
        store.add_review(reviewed, ScoredLabels((), np.zeros((48, 64), bool), {"score": 1.0}), "ann")
    assert run(corpus, "--quiet", "--relabel", "--limit", "3") == 0
    assert run(corpus, "--quiet") == 0  # resumes relabelling
    with LabelStore.open(out) as store:
        assert store.labels(reviewed).segments == ()
        auto = {photo.settings for photo in store.photos() if photo.origin == "auto"}
        assert auto == {store.settings_in_use().fingerprint}  # type: ignore[union-attr]
    assert run(corpus, "--quiet", "--relabel") == 0


@pytest.mark.parametrize("change", ["rewritten", "removed", "cut"])
def test_a_photo_that_changes_meanwhile(
    corpus: Path, out: Path, run: Run, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    photo = corpus / "house000" / "room_00002.jpg"
    predict, predicted = ColourTeacher.predict, []

    def change_meanwhile(teacher: ColourTeacher, image: Image) -> object:
        predicted.append(image)
        if len(predicted) == 3:
            if change == "removed":
                photo.unlink()
            elif change == "cut":
                photo.write_bytes(photo.read_bytes()[:400])
            else:
                make_photo(photo, 77)
        return predict(teacher, image)

    with monkeypatch.context() as patched:
        patched.setattr(ColourTeacher, "predict", change_meanwhile)
        assert run(corpus, "--quiet", "--workers", "1") == 10
    reason = "the file changed while it was read or labelled; run again"
    assert failures(out) == {str(photo): ("changed meanwhile", reason)}
    assert len(open_dataset(out)) == 4
    assert run(corpus, "--quiet") == (10 if change == "cut" else 0)
    assert len(open_dataset(out)) == (5 if change == "rewritten" else 4)
    for sample in open_dataset(out):
        sample.encoded_image()  # the bytes of all labels are there


def test_photos_that_left_the_corpus(corpus: Path, out: Path, run: Run, capsys: Capture, predicted: list[int]) -> None:
    assert run(corpus) == 0
    (corpus / "house000" / "room_00003.jpg").unlink()
    (corpus / "house000" / "room_00001.jpg").rename(corpus / "moved.jpg")
    assert run(corpus, "--limit", "2") == 0
    assert "gone" not in capsys.readouterr().err
    assert run(corpus) == 0
    assert "2 gone from the corpus" in capsys.readouterr().err
    assert len(predicted) == 5
    names = {sample.name.split("/")[-1] for sample in open_dataset(out)}
    assert names == {"room_00000", "room_00002", "room_00004", "moved"}


def test_labels_of_another_size_are_a_failure_of_the_teacher(
    corpus: Path, out: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ScoredLabels((), np.zeros((3, 3), bool), {"score": 1.0})
    monkeypatch.setattr("autolabel.labelling.pipeline.label_prediction", lambda *_, **__: labels)
    assert run(corpus, "--quiet") == 10
    reason = r"ValueError: labels of \(3, 3\) for a photo of \(48, 64\) rows, columns \(.*\)"
    assert len(failures(out)) == 5
    assert all(kind == "teacher failed" and re.fullmatch(reason, text) for kind, text in failures(out).values())


def test_the_student_labels_rooms(room_path: Path, out: Path, capsys: Capture) -> None:
    assert main(["run", str(room_path), "--out", str(out), "--teacher", "student", "--threads", "1"]) == 0
    (sample,) = open_dataset(out)
    assert {1, 2, 3} <= set(np.unique(sample.labels().semantic))
    assert capsys.readouterr().out == f"{out}\n"


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--teacher", "studnet"], 11, "unknown teacher 'studnet'; did you mean 'student'?"),
        (["--without", "spekcs"], 11, "unknown rule 'spekcs'; did you mean 'specks'?"),
        (["--classes", "none.toml"], 11, "none.toml"),
        (["--ontology", "none.toml"], 11, "none.toml"),  # its name in version 0.1
        (["--teacher", "none.toml"], 11, "expected a TOML file at none.toml"),
        (["--teacher", "student", "--weights", "none.onnx"], 7, "none.onnx"),
        (["--out", "{corpus}/house000/room_00000.jpg"], 6, "could not write"),
        ([], 8, "no such file or folder"),
    ],
)
def test_an_error_is_one_line(
    tmp_path: Path, corpus: Path, out: Path, capsys: Capture, flags: list[str], code: int, message: str
) -> None:
    photos = corpus if flags else corpus / "nowhere"
    arguments = ["run", str(photos), "--out", str(out), "--allow-python", "--teacher", str(teacher_file(tmp_path))]
    check_error(capsys, code, message, *arguments, *(flag.format(corpus=corpus) for flag in flags))
    assert not out.exists()
