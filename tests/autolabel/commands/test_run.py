"""`python -m autolabel run` in this process: what is labelled, what is skipped and why, and what stops it."""

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
from tests.autolabel.corpora import ColourTeacher, dump, make_corpus, make_photo, poisoned, teacher_file

Look = Callable[[ColourTeacher, Image], object]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "photos", 5)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "set"


@pytest.fixture
def label(tmp_path: Path, out: Path) -> Callable[..., int]:
    """Runs the command with the colour teacher."""
    teacher = str(teacher_file(tmp_path))

    def run(corpus: Path, *flags: str) -> int:
        return main(["run", str(corpus), "--out", str(out), "--allow-python", "--teacher", teacher, *flags])

    return run


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The shapes of photos that the teacher looked at, as they come."""
    seen: list[int] = []
    predict = ColourTeacher.predict

    def watched(teacher: ColourTeacher, image: Image) -> object:
        seen.append(image.shape[0])
        return predict(teacher, image)

    monkeypatch.setattr(ColourTeacher, "predict", watched)
    return seen


def _failures(out: Path) -> dict[str, tuple[str, str]]:
    with LabelStore.open(out) as store:
        return {Path(failure.source).name: (failure.kind, failure.reason) for failure in store.failures()}


def test_a_corpus_is_labelled(
    corpus: Path, out: Path, label: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert label(corpus) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert re.search(r"5/5", told.err)
    assert re.search(r"^5 labelled, 0 labelled before, 0 skipped; \d+ s$", told.err, re.MULTILINE)
    assert [path.name for path in out.iterdir()] == [STORE_NAME]
    samples = open_dataset(out)
    assert [sample.name for sample in samples] == [f"house000/room_{number:05d}" for number in range(5)]
    for sample in samples:
        image, semantic = sample.image(), sample.labels().semantic
        bright, dark = image.mean(axis=2) > 150, image.max(axis=2) < 70
        assert (semantic[bright] == 1).mean() > 0.8  # wall
        assert (semantic[dark] == 2).mean() > 0.6  # floor
        assert (semantic[bright] == 2).mean() < 0.02


def test_what_is_labelled_is_not_labelled_again(
    corpus: Path, out: Path, label: Callable[..., int], looks: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert label(corpus, "--limit", "3") == 0
    assert len(looks) == 3
    assert label(corpus) == 0
    assert len(looks) == 5
    before = (out / STORE_NAME).read_bytes()
    assert label(corpus, "--quiet") == 0
    assert len(looks) == 5
    assert (out / STORE_NAME).read_bytes() == before
    assert capsys.readouterr().err.count("labelled") == 4  # two summaries; --quiet has none


def test_shards_together_are_the_whole(
    corpus: Path, out: Path, tmp_path: Path, label: Callable[..., int], looks: list[int]
) -> None:
    for shard in ("1/3", "2/3", "3/3"):
        assert label(corpus, "--shard", shard) == 0
    assert len(looks) == 5
    parts = dump(out)
    shutil.rmtree(out)
    assert label(corpus) == 0
    assert dump(out) == parts
    assert (tmp_path / "photos").is_dir()


def test_the_same_photo_is_labelled_once(corpus: Path, out: Path, label: Callable[..., int], looks: list[int]) -> None:
    for name in ("copy.jpg", "sub/another.jpg"):
        (corpus / name).parent.mkdir(exist_ok=True)
        shutil.copy(corpus / "house000" / "room_00000.jpg", corpus / name)
    assert label(corpus, "--workers", "4") == 0
    assert len(looks) == 5
    with LabelStore.open(out) as store:
        assert store.counts().duplicates == 2
        assert sorted(len(store.sources(photo.sha256)) for photo in store.photos()) == [1, 1, 1, 1, 3]


def test_what_cannot_be_labelled_is_skipped_and_tried_again(
    corpus: Path, out: Path, label: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (corpus / "house000" / "room_00000.jpg").read_bytes()
    (corpus / "cut.jpg").write_bytes(whole[:300])
    (corpus / "empty.jpg").write_bytes(b"")
    (corpus / "page.jpg").write_text("<!doctype html>")
    (corpus / "gone.jpg").symlink_to("nowhere")
    (corpus / "folder.jpg").mkdir()
    make_photo(corpus / "tiny.png", 0, (9, 9))
    poisoned(corpus / "poison.png")
    os.mkfifo(corpus / "pipe.jpg")
    assert label(corpus) == 10
    told = capsys.readouterr()
    assert "5 labelled, 0 labelled before, 7 skipped (4 not a usable photo, 1 teacher failed, 2 unreadable)" in told.err
    assert "failed=7" in told.err
    failures = _failures(out)
    assert {name: kind for name, (kind, _) in failures.items()} == {
        "cut.jpg": "not a usable photo",
        "empty.jpg": "not a usable photo",
        "page.jpg": "not a usable photo",
        "tiny.png": "not a usable photo",
        "gone.jpg": "unreadable",
        "pipe.jpg": "unreadable",
        "poison.png": "teacher failed",
    }
    assert re.fullmatch(r"ArithmeticError: too red \(corpora\.py:\d+\)", failures["poison.png"][1])
    assert failures["gone.jpg"][1] == "the file could not be read: No such file or directory"
    assert "HTML page" in failures["page.jpg"][1]

    (corpus / "cut.jpg").write_bytes(whole)
    for name in ("empty.jpg", "page.jpg", "gone.jpg", "pipe.jpg", "poison.png", "tiny.png"):
        (corpus / name).unlink()
    assert label(corpus) == 0
    assert _failures(out) == {}


@pytest.mark.parametrize(
    ("option", "reason"),
    [("--max-megapixels", "expected at most 0.001 megapixels"), ("--max-megabytes", "expected at most 1000 bytes")],
)
def test_limits_of_size(out: Path, tmp_path: Path, label: Callable[..., int], option: str, reason: str) -> None:
    make_photo(tmp_path / "photos" / "a.jpg", 0, (200, 200))
    assert label(tmp_path / "photos", option, "0.001") == 10
    assert _failures(out)["a.jpg"][1].startswith(reason)
    assert label(tmp_path / "photos", option, "1") == 0


def test_what_a_folder_holds_besides_photos_is_counted(
    corpus: Path, label: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.mov", "b.MOV", "notes"):
        (corpus / name).touch()
    assert label(corpus) == 0
    assert capsys.readouterr().err.splitlines()[0] == "3 files passed over: 2 .mov, 1 without suffix"
    assert label(corpus, "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_one_bad_teacher_is_not_asked_for_ever(
    corpus: Path, out: Path, label: Callable[..., int], capsys: pytest.CaptureFixture[str], looks: list[int]
) -> None:
    for number in range(30):
        poisoned(corpus / "later" / f"{number}.png").write_bytes(
            (corpus / "later" / f"{number}.png").read_bytes() + b"%d" % number
        )
    assert label(corpus, "--quiet") == 14
    told = capsys.readouterr()
    assert told.out == ""
    line = r"autolabel: the teacher failed on 10 photos in a row, at last with ArithmeticError: too red \(.*\)\n"
    assert re.fullmatch(line, told.err)
    assert len(looks) <= 18  # the next ones were in work
    assert len(open_dataset(out)) == 5


def test_changed_settings_need_relabel(
    corpus: Path, out: Path, tmp_path: Path, label: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert label(corpus, "--quiet") == 0
    first = dump(out)
    capsys.readouterr()
    for flags in (["--without", "specks"], ["--classes", str(_class_config(tmp_path))]):
        assert label(corpus, "--quiet", *flags) == 12
        told = capsys.readouterr()
        assert told.out == ""
        assert re.fullmatch(r"autolabel: expected the settings of .*, got others .*--relabel.*\n", told.err)
    teacher_file(tmp_path, bias=0.05)
    assert label(corpus, "--quiet") == 12
    assert dump(out) == first

    with LabelStore.open(out) as store:
        reviewed = next(store.photos()).sha256
        store.add_review(reviewed, ScoredLabels((), np.zeros((48, 64), bool), {"score": 1.0}), "ann")
    assert label(corpus, "--quiet", "--relabel", "--limit", "3") == 0
    assert label(corpus, "--quiet") == 0  # resumes relabelling
    with LabelStore.open(out) as store:
        assert store.labels(reviewed).segments == ()
        auto = {photo.settings for photo in store.photos() if photo.origin == "auto"}
        assert auto == {store.settings_in_use().fingerprint}  # type: ignore[union-attr]
    assert label(corpus, "--quiet", "--relabel") == 0


def _class_config(folder: Path) -> Path:
    path = folder / "classes.toml"
    path.write_text("[wall]\nbelief_accept = 0.7\n")
    return path


@pytest.mark.parametrize("change", ["rewritten", "removed", "cut"])
def test_a_photo_that_changes_while_it_is_looked_at(
    corpus: Path, out: Path, label: Callable[..., int], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    photo = corpus / "house000" / "room_00002.jpg"
    predict, looked = ColourTeacher.predict, []

    def change_meanwhile(teacher: ColourTeacher, image: Image) -> object:
        looked.append(image)
        if len(looked) == 3:
            if change == "removed":
                photo.unlink()
            elif change == "cut":
                photo.write_bytes(photo.read_bytes()[:400])
            else:
                make_photo(photo, 77)
        return predict(teacher, image)

    with monkeypatch.context() as patched:
        patched.setattr(ColourTeacher, "predict", change_meanwhile)
        assert label(corpus, "--quiet", "--workers", "1") == 10
    assert _failures(out) == {
        photo.name: ("changed meanwhile", "the file changed while it was read or labelled; run again")
    }
    assert len(open_dataset(out)) == 4
    assert label(corpus, "--quiet") == (10 if change == "cut" else 0)
    assert len(open_dataset(out)) == (5 if change == "rewritten" else 4)
    for sample in open_dataset(out):
        sample.encoded_image()  # every label belongs to bytes that are there


def test_photos_that_left_the_corpus(
    corpus: Path, out: Path, label: Callable[..., int], capsys: pytest.CaptureFixture[str], looks: list[int]
) -> None:
    assert label(corpus) == 0
    moved = corpus / "house000" / "room_00001.jpg"
    (corpus / "house000" / "room_00003.jpg").unlink()
    moved.rename(corpus / "moved.jpg")
    assert label(corpus, "--limit", "2") == 0
    assert "gone" not in capsys.readouterr().err
    assert label(corpus) == 0
    assert "2 gone from the corpus" in capsys.readouterr().err
    assert len(looks) == 5
    assert {sample.name.split("/")[-1] for sample in open_dataset(out)} == {
        "room_00000",
        "room_00002",
        "room_00004",
        "moved",
    }


def test_labels_of_another_size_are_a_failure_of_the_teacher(
    corpus: Path, out: Path, label: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "autolabel.labelling.pipeline.label_prediction",
        lambda *_, **__: ScoredLabels((), np.zeros((3, 3), bool), {"score": 1.0}),
    )
    assert label(corpus, "--quiet") == 10
    assert {kind for kind, _ in _failures(out).values()} == {"teacher failed"}
    assert "labels of (3, 3) for a photo of (48, 64) rows, columns" in _failures(out)["room_00000.jpg"][1]


def test_the_student_labels_rooms(room_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(room_path), "--out", str(out), "--teacher", "student", "--threads", "1"]) == 0
    (sample,) = open_dataset(out)
    assert {1, 2, 3} <= set(np.unique(sample.labels().semantic))
    assert capsys.readouterr().out == f"{out}\n"


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (["--teacher", "studnet"], 11, "unknown teacher 'studnet'; did you mean 'student'?"),
        (["--without", "spekcs"], 11, "unknown rule 'spekcs'; did you mean 'specks'?"),
        (["--classes", "none.toml"], 11, "none.toml"),
        (["--ontology", "none.toml"], 11, "none.toml"),  # its name in version 0.1
        (["--teacher", "none.toml"], 11, "expected a TOML file at none.toml"),
        (["--teacher", "student", "--weights", "none.onnx"], 7, "none.onnx"),
        (["--out", "{corpus}/house000/room_00000.jpg"], 6, "could not write"),
    ],
)
def test_what_stops_it_is_one_line(
    corpus: Path, out: Path, label: Callable[..., int], capsys: pytest.CaptureFixture[str],
    flags: list[str], code: int, told: str,
) -> None:  # fmt: skip
    assert label(corpus, *(flag.format(corpus=corpus) for flag in flags)) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("autolabel: ")
    assert told in captured.err
    assert not out.exists()


def test_a_corpus_without_photos(tmp_path: Path, out: Path, label: Callable[..., int]) -> None:
    (tmp_path / "photos").mkdir()
    assert label(tmp_path / "photos") == 8
    assert not out.exists()


@pytest.mark.parametrize("flags", [["--shard", "0/3"], ["--shard", "4/3"], ["--shard", "3"], ["--limit", "0"]])
def test_numbers_out_of_range(
    corpus: Path, label: Callable[..., int], capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        label(corpus, *flags)
    assert stopped.value.code == 2
    assert flags[0] in capsys.readouterr().err
