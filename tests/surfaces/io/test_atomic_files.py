from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import pytest

from surfaces.errors import OutputError
from surfaces.io.atomic_files import make_folder, refuse_overwrite, write_together

SET = {".jpg": b"picture", ".json": b"{}", "_wall.png": b"mask"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_files_of_one_stem(tmp_path: Path) -> None:
    paths = write_together(tmp_path, ["a.1"], lambda _: SET)
    assert paths == [tmp_path / "a.1.jpg", tmp_path / "a.1.json", tmp_path / "a.1_wall.png"]
    assert [path.read_bytes() for path in paths] == list(SET.values())
    assert names(tmp_path) == {"a.1.jpg", "a.1.json", "a.1_wall.png"}


@pytest.mark.parametrize("taken", ["a.jpg", "a.json", "a_wall.png"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_bytes(b"before")
    paths = write_together(tmp_path, ["a", "b"], lambda stem: SET | {".json": stem.encode()})
    assert (tmp_path / taken).read_bytes() == b"before"
    assert paths[0] == tmp_path / "b.jpg"
    assert paths[1].read_bytes() == b"b"
    assert names(tmp_path) == {taken, "b.jpg", "b.json", "b_wall.png"}


def test_concurrent_writers_get_different_names(tmp_path: Path) -> None:
    written: list[Path] = []

    def run(number: int) -> None:
        contents = {".jpg": str(number).encode()} | ({".json": str(number).encode()} if number % 2 else {})
        written.append(write_together(tmp_path, (f"s{i}" for i in count()), lambda _: contents)[0])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(written)) == 24
    assert {path.read_bytes() for path in written} == {str(number).encode() for number in range(24)}
    for path in tmp_path.glob("*.json"):
        assert path.read_bytes() == path.with_suffix(".jpg").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        (path,) = write_together(tmp_path, ["a"], lambda _: {".jpg": b""})
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o640


def test_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "a.jpg").write_bytes(b"before")
    paths = write_together(tmp_path, ["a", "b"], lambda _: SET)
    assert [path.read_bytes() for path in paths] == list(SET.values())
    assert (tmp_path / "a.jpg").read_bytes() == b"before"
    assert names(tmp_path) == {"a.jpg", "b.jpg", "b.json", "b_wall.png"}


def test_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, calls = os.link, count()

    def interrupted(source: Path, target: Path) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt
        link(source, target)

    monkeypatch.setattr(os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_together(tmp_path, ["a"], lambda _: SET)
    assert names(tmp_path) == set()


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    # A process of its own: its files may hold 64 kB, the third one is larger.
    program = """
import resource, sys
from pathlib import Path
from surfaces.errors import OutputError
from surfaces.io.atomic_files import write_together
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
contents = {".jpg": b"x" * 1000, ".json": b"{}", "_wall.png": b"x" * 100_000}
try:
    write_together(Path(sys.argv[1]), ["a"], lambda _: contents)
except OutputError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert run.stdout == f"could not write to {tmp_path}: File too large\n", run.stderr
    assert names(tmp_path) == set()


def test_make_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_folder(folder)
    make_folder(folder)
    assert names(folder) == set()
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match=r"could not write to .*: "):
            make_folder(folder)

    with pytest.raises(OutputError, match="No such file or directory"):
        write_together(tmp_path / "absent", ["a"], lambda _: SET)


@pytest.mark.parametrize(
    "output",
    ["photos/a.jpg", "photos/../photos/a.jpg", "soft.jpg", "hard.jpg", "photos", "photos/b.jpg", "."],
    ids=["input", "another path", "symbolic link", "hard link", "folder", "neighbour in an input folder", "above"],
)
def test_no_output_overwrites_an_input(tmp_path: Path, output: str) -> None:
    photo = tmp_path / "photos" / "a.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"a")
    (tmp_path / "photos" / "b.jpg").write_bytes(b"b")
    (tmp_path / "soft.jpg").symlink_to(photo)
    (tmp_path / "hard.jpg").hardlink_to(photo)
    with pytest.raises(OutputError, match=r"expected an output that overwrites no input, got .*: choose another name"):
        refuse_overwrite([tmp_path / "new.jpg", tmp_path / output], [photo, photo.parent, tmp_path / "absent"])


def test_outputs_beside_inputs_are_accepted(tmp_path: Path) -> None:
    photo, result = tmp_path / "photos" / "a.jpg", tmp_path / "result.json"
    photo.parent.mkdir()
    for path in (photo, result):
        path.write_bytes(b"before")
    refuse_overwrite([result, tmp_path / "new" / "a.jpg", tmp_path / "photos" / "new.jpg"], [photo, photo.parent])
    refuse_overwrite([], [photo])
