"""`segment.py`: names of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.segment.runs import (
    NAME,
)


def test_signature(stub, room_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def name(*options: str) -> str:
        return stub("--url", room_path, *options).paths[0].name.split("__")[0]

    assert name() == "interior_surfaces"
    (tmp_path / "interior-surfaces.toml").write_text('surname = "Set"\nname = "Tings"\n', "utf-8")
    assert name() == "Set_Tings"
    monkeypatch.setenv("INTERIOR_SURFACES_SURNAME", "Env")
    assert name() == "Env_Tings"
    assert name("--surname", "Łuk/../asz", "--name", "..") == "Łuk-asz_Tings"


def test_invalid_settings(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "interior-surfaces.toml").write_text("surname =", "utf-8")
    run = stub("--url", room_path)
    assert (run.code, run.out, run.files) == (3, "", [])
    assert run.err.startswith("segment.py: expected settings in TOML in interior-surfaces.toml")


def test_results_are_named_after_their_photo(stub, room_path: Path, tmp_path: Path) -> None:
    for name in ("a/room.jpg", "a/below/room.jpg", "a/room.png", "b/room.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(room_path.read_bytes())
    for _ in range(2):  # the second run replaces the results
        run = stub("a", "b/room.jpg", room_path, "--save", "json,overlay")
        assert run.code == 0
        names = ["a/below/room", "a/room.jpg", "a/room.png", "b/room", room_path.stem]
        assert sorted(str(path.relative_to(run.folder)) for path in run.paths) == [f"{n}.surfaces.jpg" for n in names]
        assert len([path for path in run.folder.rglob("*") if path.is_file()]) == 10
    one = stub("a/room.jpg")
    assert one.paths == [one.folder / "a" / "room.surfaces.jpg"]
    assert NAME.fullmatch(stub("b/room.jpg", "--name-from", "time").paths[0].name)
    assert stub("--url", "b/room.jpg", "--name-from", "source").paths == [one.folder / "b" / "room.surfaces.jpg"]


def test_results_of_an_earlier_run_are_no_photos(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "room.jpg").write_bytes(room_path.read_bytes())
    for _ in range(2):
        run = stub(tmp_path / "out" / "room.jpg", "--masks")
        assert run.paths == [tmp_path / "out" / "room.surfaces.jpg"]
    assert stub("out", "--output", "other").out.count("\n") == 1
    for taken in ("room.surfaces.jpg", "room.surfaces_wall.png"):
        (tmp_path / "out" / taken).write_bytes(room_path.read_bytes())
        run = stub("out/room.jpg", f"out/{taken}", "--output", ".")
        assert run.code == 6
        assert f"expected results that overwrite no photo, got {tmp_path}/out/{taken}: choose another folder" in run.err


def test_masks_of_tables_that_are_gone_are_removed(stub, room_path: Path) -> None:
    run = stub(room_path, "--save", "masks,cutout")
    stem = f"{room_path.stem}.surfaces"
    segments = ["wall", "floor", "dining-table-1", "dining-table-2"]
    assert run.files == sorted(f"{stem}_{name}{end}.png" for name in segments for end in ("", "_cutout"))
    others = [f"{stem}_wallpaper.png", f"{stem}_wall_2.png"]
    for name in others:
        (run.folder / name).touch()
    now = stub(room_path, "--masks", "--min-score", "0.9", "--classes", "wall,dining table").files
    cutouts = [f"{stem}_{name}_cutout.png" for name in segments]
    assert now == sorted([*cutouts, *others, f"{stem}.jpg", f"{stem}_wall.png", f"{stem}_floor.png"])
