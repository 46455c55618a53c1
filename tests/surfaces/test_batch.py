from __future__ import annotations

from pathlib import Path

import pytest

from surfaces.batch import expand_sources, is_batch, run_batch
from surfaces.errors import DecodeError, FetchError, OutputError
from surfaces.pipeline import Outcome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "c.webp", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "below.jpg").mkdir()
    return tmp_path


def test_a_folder_stands_for_the_photos_in_it(folder: Path) -> None:
    assert expand_sources([str(folder)], []) == [str(folder / name) for name in ("a.png", "b.JPG", "c.webp")]


def test_a_hyphen_stands_for_a_list(folder: Path) -> None:
    lines = ["http://x/1.jpg\n", "\n", "# a comment\n", "  my photo.jpg  \r\n", f"{folder / 'a.png'}"]
    assert expand_sources(["0.jpg", "-"], lines) == ["0.jpg", "http://x/1.jpg", "my photo.jpg", str(folder / "a.png")]


def test_a_list_may_name_folders_but_not_itself(folder: Path) -> None:
    assert len(expand_sources(["-"], [str(folder), "-"])) == 3


def test_a_folder_without_photos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="expected photos in the folder"):
        expand_sources([str(tmp_path)], [])


def test_what_makes_a_batch(folder: Path) -> None:
    assert is_batch(["a.jpg", "b.jpg"])
    assert is_batch(["-"])
    assert is_batch([str(folder)])
    assert not is_batch(["a.jpg"])
    assert not is_batch(["a\0b"])


def test_bad_photos_do_not_stop_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    def segment(source: str) -> Outcome:
        if source == "1":
            raise FetchError("gone")
        if source == "3":
            raise DecodeError("broken")
        return Outcome(Path(f"{source}.jpg"), segments=int(source))

    assert run_batch(["0", "1", "2", "3", "4"], segment, quiet=True) == 2
    out, err = capsys.readouterr()
    assert out == "0.jpg\n2.jpg\n4.jpg\n"
    assert err == "1: gone\n3: broken\n"


def test_an_error_that_all_would_meet_stops_the_batch() -> None:
    def segment(source: str) -> Outcome:
        raise OutputError(f"disk full at {source}")

    with pytest.raises(OutputError, match="disk full at 0"):
        run_batch(["0", "1"], segment, quiet=True)


def test_progress_and_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_batch(["0", "1"], lambda source: Outcome(Path(source), segments=int(source)), quiet=False) == 0
    out, err = capsys.readouterr()
    assert out == "0\n1\n"
    assert "0: nothing found" in err
    assert "1: nothing found" not in err
    assert "2/2" in err
