"""What labels on this machine at once, and what a run without `--teacher` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from autolabel.__main__ import main
from autolabel.labelling import known_teachers
from autolabel.labelling.known_teachers import KNOWN_TEACHERS, better_teacher_note, default_teacher
from autolabel.labelling.teachers import NAMES
from models.weights.gated import SAM3
from surfaces.store.label_store import LabelStore


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of weights."""
    monkeypatch.setenv("INTERIOR_SURFACES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(cache: Path) -> None:
    cache.mkdir()
    for checkpoint in KNOWN_TEACHERS[0].checkpoints:
        (cache / checkpoint.name).touch()


def test_every_named_teacher_is_known() -> None:
    assert {teacher.name for teacher in KNOWN_TEACHERS} == set(NAMES)


def test_the_default_is_what_labels_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_teacher() == "student"
    assert default_teacher([Path("sam_vit_b_01ec64.pth")]) == "grounded-sam"
    note = better_teacher_note("student")
    assert note.startswith(
        "teacher: student, which works here at once; `--teacher grounded-sam` needs a download of 1.07"
    )
    assert note.endswith(str(cache))
    fill(cache)
    assert default_teacher() == "grounded-sam"
    assert better_teacher_note("grounded-sam") == ""
    monkeypatch.setattr(known_teachers, "find_spec", lambda name: None if name == "transformers" else object())
    assert default_teacher() == "student"
    assert better_teacher_note("student").endswith("pip install 'interior-surfaces[autolabel]' (transformers)")


def test_a_run_without_a_teacher_says_what_it_took(
    cache: Path, room_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(room_path.parent), "--out", str(tmp_path / "set"), "--limit", "1", "--threads", "1"]
    assert main(command) == 0
    assert "teacher: student, which works here at once" in capsys.readouterr().err
    with LabelStore.open(tmp_path / "set") as store:
        assert [photo.teacher for photo in store.photos()] == ["student (surfaces)"]
    fill(cache)
    assert default_teacher() == "grounded-sam"
    assert main([*command, "--quiet"]) == 0  # what was begun goes on
    assert capsys.readouterr().err == ""


def test_the_list(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["teachers"]) == 0
    _, grounded, grounded2, sam3, student, onnx, file = capsys.readouterr().out.splitlines()
    assert grounded.split()[:3] == ["grounded-sam", "no", "Apache-2.0"]
    assert "needs a download of 1.07 GB" in grounded
    assert grounded2.split()[:3] == ["grounded-sam2", "no", "Apache-2.0"]
    assert "needs a download of 0.85 GB" in grounded2
    assert sam3.split()[:5] == ["sam3", "no", "SAM", "License,", "gated"]
    assert "needs a download of 3.44 GB" in sam3
    assert sam3.endswith(", with access from https://huggingface.co/facebook/sam3")
    assert student.split()[:2] == ["student", "yes"]
    assert "(default here)" in student
    assert onnx.split()[:2] == ["onnx", "yes"]
    assert file.startswith("FILE.toml")
    fill(cache)
    main(["teachers"])
    assert "(default here)" in capsys.readouterr().out.splitlines()[1]
    (cache / "sam3").mkdir()
    for name in SAM3.files:
        assert "3.44 GB" in KNOWN_TEACHERS[2].lacks()
        (cache / "sam3" / name).touch()
    assert KNOWN_TEACHERS[2].lacks() == ""


@pytest.mark.parametrize("name", ["grounded-sam", "grounded-sam2", "sam3", "student"])
def test_a_run_goes_on_with_the_teacher_it_began_with(name: str) -> None:
    assert default_teacher(before=f"{name} (of any size)") == name
