"""Teachers that predict for several photos at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from autolabel.__main__ import main
from tests.autolabel.corpora import dump, failures, make_corpus, poisoned, teacher_file
from tests.autolabel.engines.clusters import teacher_file_of


def _run(corpus: Path, out: Path, teacher: Path, *flags: str) -> int:
    return main(["run", str(corpus), "--out", str(out), "--allow-python", "--teacher", str(teacher), *flags])


@pytest.mark.parametrize(("size", "calls"), [(1, []), (4, [4, 4, 2])])
def test_a_batch_is_one_call(tmp_path: Path, size: int, calls: list[int]) -> None:
    corpus, sizes = make_corpus(tmp_path / "photos", 10), tmp_path / "sizes"
    sizes.touch()
    batched = teacher_file_of(tmp_path, "BatchColourTeacher", sizes=str(sizes))
    assert _run(corpus, tmp_path / "batched", batched, "--batch-size", str(size)) == 0
    assert list(map(int, sizes.read_text().split())) == calls
    assert _run(corpus, tmp_path / "single", teacher_file(tmp_path)) == 0
    assert dump(tmp_path / "batched") == dump(tmp_path / "single")


def test_one_photo_of_a_batch_fails_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, sizes = make_corpus(tmp_path / "photos", 6), tmp_path / "sizes"
    poison = poisoned(corpus / "poison.png")
    (corpus / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    batched = teacher_file_of(tmp_path, "BatchColourTeacher", sizes=str(sizes))
    assert _run(corpus, tmp_path / "set", batched, "--batch-size", "8") == 10
    assert sizes.read_text().split() == ["7"]
    note = "the teacher failed on 7 photos at once (ArithmeticError: too red); where it does, each is tried"
    assert f"{note} alone\n" in capsys.readouterr().err
    assert {source: kind for source, (kind, _) in failures(tmp_path / "set").items()} == {
        str(poison): "teacher failed",
        str(corpus / "cut.jpg"): "not a usable photo",
    }
    assert len(dump(tmp_path / "set")[0]) == 6  # type: ignore[arg-type]


def test_a_batch_without_a_photo_is_no_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("cut", "empty"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(b"\xff\xd8\xff" if name == "cut" else b"")
    sizes = tmp_path / "sizes"
    sizes.touch()
    batched = teacher_file_of(tmp_path, "BatchColourTeacher", sizes=str(sizes))
    assert _run(tmp_path / "photos", tmp_path / "set", batched, "--batch-size", "2", "--quiet") == 10
    assert (sizes.read_text(), capsys.readouterr().err) == ("", "")
