from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from surfaces.errors import DecodeError, FetchError, OutputError
from surfaces.segmenting.batch import Sources, expand_sources, is_batch, run_batch
from surfaces.segmenting.pipeline import Outcome

OUTPUT = Path("output")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = ["b.JPG", "a.png", "c.webp", "d.heic", "e.jfif", "below.jpg/f.MPO"]
    for name in [*photos, "notes.txt", ".hidden.jpg", ".git/g.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def expanded(*sources: object, stdin: str = "", output: Path = OUTPUT) -> Sources:
    return expand_sources(map(str, sources), io.BytesIO(stdin.encode()), output)


def test_folders_are_expanded(folder: Path) -> None:
    found = expanded(folder)
    names = ("a.png", "b.JPG", "c.webp", "d.heic", "e.jfif", "below.jpg/f.MPO")
    assert found.photos == tuple(str(folder / name) for name in names)
    assert found.notes == ("1 file passed over: 1 .txt",)
    assert expanded(folder.as_uri()) == found


def test_output_folder_is_skipped(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "picture.jpg").touch()
    found = expanded(folder, output=folder / "out")
    assert len(found.photos) == 6
    assert f"1 folder of results passed over: {folder / 'out'}" in found.notes


def test_list_on_stdin(folder: Path) -> None:
    stdin = f"http://x/1.jpg\n\n# a comment\n  my photo.jpg  \r\n{folder / 'a.png'}"
    assert expanded("0.jpg", "-", stdin=stdin).photos == ("0.jpg", "http://x/1.jpg", "my photo.jpg", f"{folder}/a.png")
    assert expanded("-", stdin=f"{folder}\n-").photos[-2:] == (str(folder / "below.jpg" / "f.MPO"), "-")


def test_folder_without_photos(tmp_path: Path) -> None:
    (tmp_path / "a.mov").touch()
    with pytest.raises(FetchError, match=r"expected photos in the folder, there are none; 1 file passed over: 1 \.mov"):
        expanded(tmp_path)
    found = expanded(tmp_path, "a.jpg")
    assert (found.photos, len(found.problems)) == (("a.jpg",), 1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_of_lists(encoding: str) -> None:
    found = expand_sources(["-"], io.BytesIO("Küche.jpg\r\nb.jpg\r\n".encode(encoding)), OUTPUT)
    assert found == Sources(("Küche.jpg", "b.jpg"))


def test_lines_that_are_not_text(folder: Path) -> None:
    list_in_latin_1 = "a.jpg\n# \xe9\nK\xfcche.jpg\nb.jpg\n".encode("latin-1")
    found = expand_sources(["-"], io.BytesIO(list_in_latin_1), OUTPUT)
    assert found.photos == ("a.jpg", "b.jpg")
    assert found.problems == ("stdin:3: expected a name in UTF-8 or UTF-16, got 'K\\udcfcche.jpg'",)
    name = os.fsencode(folder) + b"/K\xfcche.jpg"
    Path(os.fsdecode(name)).touch()
    assert expand_sources(["-"], io.BytesIO(name), OUTPUT).photos == (os.fsdecode(name),)


@pytest.mark.parametrize(
    ("stdin", "came"),
    [
        (io.BytesIO(b"\xff\xd8\xff\xe0\0\x10JFIF"), "got: a photo (JPEG), no text"),
        (io.BytesIO(b"PK\3\4\0\0"), "got: binary data, no text"),
        (io.BytesIO(b"# nothing\n"), "got none"),
        (None, "it is closed"),
    ],
    ids=["photo", "archive", "empty", "closed"],
)
def test_invalid_lists(stdin: io.BytesIO | None, came: str) -> None:
    with pytest.raises(FetchError, match="expected a list of photos on stdin, ") as caught:
        expand_sources(["-"], stdin, OUTPUT)
    assert str(caught.value).endswith(came)


def test_is_batch(folder: Path) -> None:
    assert is_batch(["a.jpg", "b.jpg"])
    assert is_batch(["-"])
    assert is_batch([str(folder)])
    assert not is_batch(["a.jpg"])
    assert not is_batch(["a\0b"])


def test_bad_photos_do_not_stop_the_batch(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_output_errors_stop_the_batch() -> None:
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
