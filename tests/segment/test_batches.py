"""`segment.py`: several photos."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image as Pillow

from tests.segment.runs import (
    stdin,
)


def test_batch_prints_paths_in_order(stub, room_path: Path) -> None:
    rooms = [room_path.with_name(f"room_0{n}.jpg") for n in (3, 2, 8)]
    run = stub("--url", *rooms[:2], "--url", rooms[2])
    assert run.code == 0
    assert [Pillow.open(path).size for path in run.paths] == [(512, 384), (440, 440), (384, 512)]
    assert "3/3" in run.err


def test_one_bad_photo_does_not_stop_the_batch(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"<html>")
    run = stub("--url", room_path, "bad.jpg", "absent.jpg", room_path, "--quiet")
    assert run.code == 10
    assert len(run.paths) == len(run.files) == 2
    assert [line.split(": ")[0] for line in run.err.splitlines()] == ["bad.jpg", "absent.jpg"]


def test_folder_and_list_on_stdin(stub, room_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(room_path.read_bytes())
    assert len(stub("--url", "photos").paths) == 2
    monkeypatch.setattr(sys, "stdin", stdin(f"photos/a.jpg\n\n# none\n{room_path}\nphotos\n"))
    assert len(stub("--url", "-").paths) == 4
    monkeypatch.setattr(sys, "stdin", stdin("absent.jpg\n"))
    assert stub("--url", "-").code == 10


def test_other_files_in_a_folder_are_counted(stub, room_path: Path, tmp_path: Path) -> None:
    for name in ("photos/a.jfif", "photos/below/b.jpg", "photos/notes.txt", "photos/below/more.TXT", "photos/c.mov"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(room_path.read_bytes())
    run = stub("--url", "photos")
    assert (run.code, len(run.paths)) == (0, 2)
    assert run.err.splitlines()[0] == "3 files passed over: 2 .txt, 1 .mov"
    assert stub("--url", "photos", "--quiet").err == ""


def test_heic_without_pillow_heif(stub, room_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(room_path.read_bytes())
    (tmp_path / "photos" / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    run = stub("--url", "photos", "--quiet")
    assert (run.code, len(run.paths)) == (10, 1)
    assert run.err == "photos/b.HEIC: expected pillow-heif for a HEIC photo, install interior-surfaces[heic]\n"


def test_lines_that_are_not_text(stub, room_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", stdin(f"K\xfcche.jpg\n{room_path}\n", "latin-1"))
    run = stub("--url", "-", "--quiet")
    assert (run.code, len(run.paths)) == (10, 1)
    assert run.err == "stdin:1: expected a name in UTF-8 or UTF-16, got 'K\\udcfcche.jpg'\n"


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse such names")
def test_name_that_is_not_utf8(stub, room_path: Path, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).write_bytes(room_path.read_bytes())
    run = stub("--url", os.fsdecode(b"caf\xe9.jpg"), "--json")
    assert run.code == 0
    assert run.json["image"]["source"] == "caf\\udce9.jpg"
    assert stub("--url", os.fsdecode(b"caf\xe8.jpg")).err.startswith("segment.py: caf\\udce8.jpg: expected a photo")


def test_errors_name_the_photo(stub, tmp_path: Path) -> None:
    (tmp_path / "room.jpg").write_bytes(b"<html>")
    assert stub("--url", "room.jpg").err.startswith("segment.py: room.jpg: expected a photo (JPEG, ")
    assert stub("--url", "a\nb.jpg").err.startswith("segment.py: a\\nb.jpg: expected a photo's address or file")
