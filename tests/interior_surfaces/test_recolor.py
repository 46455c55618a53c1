from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from interior_surfaces import Segmenter, recolor
from surfaces.images.load import load_image

ROOMS = Path(__file__).parents[2] / "tests" / "data" / "rooms" / "images"
ROOM = ROOMS / "room_01.jpg"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_one_photo(capsys: pytest.CaptureFixture[str]) -> None:
    code = recolor.main([str(ROOM), "--surface", "wall", "--color", "#8fa3ad", "--surface", "floor", "--color", "teal"])
    out, err = capsys.readouterr()
    assert (code, out, err) == (0, "output/room_01.recolored.jpg\n", "")
    result = Segmenter(threads=1).predict(ROOM)
    expected = result.recolor("wall", (0x8F, 0xA3, 0xAD)).astype(int)
    painted = np.asarray(Pillow.open("output/room_01.recolored.jpg")).astype(int)
    wall, rest = result.mask("wall"), ~(result.mask("wall") | result.mask("floor"))
    assert np.abs(painted - expected)[wall].mean() < 4
    assert np.abs(painted - result.image)[rest].mean() < 6
    assert np.abs(np.median(painted[result.mask("floor")], axis=0) - (0, 128, 128)).max() < 10


def test_side_by_side_and_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert recolor.main([str(ROOM), "--surface", "wall", "--color", "red", "--compare"]) == 0
    assert [path.name for path in Path("output").iterdir()] == ["room_01.recolored.jpg"]
    both = np.asarray(Pillow.open("output/room_01.recolored.jpg")).astype(int)
    assert both.shape == (384, 2 * 512 + 8, 3)
    assert np.abs(both[:, :512] - load_image(str(ROOM))).mean() < 4
    capsys.readouterr()
    assert recolor.main([str(ROOM), "output", "--surface", "wall", "--color", "red"]) == 10
    assert "expected photos in the folder, there are none" in capsys.readouterr().err


def test_no_photo_is_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("room.jpg", "room.recolored.jpg"):
        (tmp_path / name).write_bytes(ROOM.read_bytes())
    paint = ["--surface", "wall", "--color", "red", "--output", "."]
    assert recolor.main(["room.jpg", "room.recolored.jpg", *paint]) == 6
    assert capsys.readouterr().err.startswith("recolor: expected results that overwrite no photo, got ")
    assert (tmp_path / "room.recolored.jpg").read_bytes() == ROOM.read_bytes()


def test_photos_that_fail_do_not_stop_the_others(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Pillow.new("RGB", (64, 64)).save(tmp_path / "black.png")
    code = recolor.main(["black.png", "absent.jpg", str(ROOM), "--surface", "floor", "--color", "red", "--quiet"])
    out, err = capsys.readouterr()
    assert (code, out) == (10, "output/room_01.recolored.jpg\n")
    assert err.splitlines()[0] == "black.png: expected a floor to recolour, found none"
    assert err.splitlines()[1].startswith("absent.jpg: expected a photo's address or file")
    assert recolor.main(["black.png", "--surface", "floor", "--color", "red"]) == 10
    assert capsys.readouterr().err == "recolor: black.png: expected a floor to recolour, found none\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--surface", "wall"], "the following arguments are required: --color"),
        (
            ["--surface", "wall", "--color", "red", "--color", "blue"],
            "a --color for each --surface, got 2 for 1",
        ),
        (["--surface", "wall", "--color", "#12345"], "expected a colour such as '#8fa3ad' or 'teal', got '#12345'"),
        (["--surface", "wall", "--color", "#12345678"], "expected a colour such as"),
        (["--surface", "roof", "--color", "red"], "invalid choice: 'roof'"),
    ],
)
def test_wrong_calls(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        recolor.main([str(ROOM), *options])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
