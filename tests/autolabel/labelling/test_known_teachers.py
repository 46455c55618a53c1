"""What labels on this machine at once, and what a run without `--teacher` takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autolabel.__main__ import main
from autolabel.labelling import known_teachers
from autolabel.labelling.known_teachers import KNOWN_TEACHERS, better_teacher_note, default_teacher
from autolabel.labelling.teachers import HUB, NAMES
from models.teachers.huggingface.hub import split_revision
from models.weights.gated import SAM3
from surfaces.store.label_store import LabelStore
from tests.models.teachers.huggingface.checkpoints import save_checkpoint


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
    named = [teacher.name for teacher in KNOWN_TEACHERS if not teacher.name.startswith(HUB)]
    assert sorted(named) == sorted(NAMES)


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


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """The lines that the command prints, by their first word."""
    assert main(["teachers", *arguments]) == 0
    return {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}


def test_the_list(cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    listed = rows(capsys)
    assert list(listed) == ["teacher", *(teacher.name for teacher in KNOWN_TEACHERS), "FILE.toml", "downloads"]
    assert re.match(r"grounded-sam +after a download +1069 MB +Apache-2\.0 ", listed["grounded-sam"])
    assert re.match(r"student +yes +research, .*\(default here\)$", listed["student"])
    assert re.match(r"onnx +yes ", listed["onnx"])
    segformer = "hf:nvidia/segformer-b0-finetuned-ade-512-512"
    assert re.match(rf"{segformer} +after a download +15 MB +other +SegFormer", listed[segformer])
    assert listed["downloads"] == f"downloads go to {cache}"
    fill(cache)
    assert re.match(r"grounded-sam +yes .*\(default here\)$", rows(capsys)["grounded-sam"])
    monkeypatch.setattr(known_teachers, "find_spec", lambda name: None if name == "torch" else object())
    assert re.match(
        r"grounded-sam +no .*; needs pip install 'interior-surfaces\[autolabel\]' \(torch\)$",
        rows(capsys)["grounded-sam"],
    )


def test_checkpoints_of_the_hub_are_named_as_a_run_takes_them() -> None:
    of_hub = [teacher for teacher in KNOWN_TEACHERS if teacher.name.startswith(HUB)]
    assert len(of_hub) > 5
    for teacher in of_hub:
        assert split_revision(teacher.name.removeprefix(HUB)) == (teacher.repository, teacher.revision or None)
        assert teacher.size > 10**7
        assert teacher.licence


def test_seconds_and_memory_here(tmp_path: Path, room_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "net", "segformer")
    chosen = ["--teacher", f"hf:{tmp_path / 'net'}", "student", "--device", "cpu", "--threads", "1"]
    measured = rows(capsys, "--measure", str(room_path), *chosen)
    assert list(measured) == ["teacher", f"hf:{tmp_path / 'net'}", "student"]
    for line in list(measured.values())[1:]:
        memory, seconds = re.search(r" yes +(\d+) MiB +(\d+\.\d\d) s", line).groups()  # type: ignore[union-attr]
        assert 50 < int(memory) < 5000
        assert float(seconds) < 60


def test_what_cannot_be_measured_is_one_line(
    tmp_path: Path, room_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (["--teacher", "student"], "expected --measure PHOTO with --teacher"),
        (["--measure", str(tmp_path / "none.jpg")], "there is no such file"),
        (["--measure", str(room_path), "--teacher", f"hf:{tmp_path / 'none'}"], "expected a folder with config.json"),
    ):
        assert main(["teachers", *arguments]) != 0
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.count("\n") == 1
        assert message in shown.err


def test_sam3_is_there_when_all_its_files_are(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sam3 = next(teacher for teacher in KNOWN_TEACHERS if teacher.name == "sam3")
    assert re.match(r"sam3 +after a download +344\d MB +SAM License, gated", rows(capsys)["sam3"])
    assert sam3.lacks().endswith(", with access from https://huggingface.co/facebook/sam3")
    (cache / "sam3").mkdir(parents=True)
    for name in SAM3.files:
        assert "3.44 GB" in sam3.lacks()
        (cache / "sam3" / name).touch()
    assert sam3.lacks() == ""


@pytest.mark.parametrize("name", ["grounded-sam", "grounded-sam2", "sam3", "student"])
def test_a_run_goes_on_with_the_teacher_it_began_with(name: str) -> None:
    assert default_teacher(before=f"{name} (of any size)") == name
