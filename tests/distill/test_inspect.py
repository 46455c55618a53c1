from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.commands.inspect import count_labels, inspect
from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER_TABLE, WALL
from surfaces.datasets import Labels, MemorySample, open_dataset
from surfaces.drawing.contact_sheet import SheetLayout, contact_sheet
from surfaces.drawing.labels import draw_labels
from surfaces.errors import DatasetError

ROOT = Path(__file__).parents[2]
ROOMS = ROOT / "tests" / "data" / "rooms"


def _labels() -> Labels:
    semantic = np.zeros((40, 80), np.uint8)
    semantic[:20], semantic[20:, :40] = WALL.coco_id, FLOOR.coco_id
    semantic[20:, 40:60], semantic[20:, 60:] = OTHER_TABLE, IGNORE
    semantic[30:36, 4:14] = semantic[30:36, 20:30] = DINING_TABLE.coco_id
    tables = np.zeros_like(semantic)
    tables[30:36, 4:14], tables[30:36, 20:30] = 1, 2
    return Labels(semantic, tables)


def test_labels_are_counted() -> None:
    photo = np.zeros((40, 80, 3), np.uint8)
    empty = Labels(np.zeros((40, 80), np.uint8), np.zeros((40, 80), np.uint8))
    statistics = count_labels([MemorySample("a", photo, _labels()), MemorySample("b", photo, empty)])
    assert (statistics.photos, statistics.tables) == (2, 2)
    assert {name: counts.photos for name, counts in statistics.values.items()} == {
        "wall": 1,
        "floor": 1,
        "dining table": 1,
        "other table": 1,
        "other": 1,
        "unlabelled": 1,
    }
    assert statistics.values["wall"].pixel_share == pytest.approx(0.25)
    assert statistics.values["dining table"].pixel_share == pytest.approx(120 / 3200 / 2)
    assert sum(counts.pixel_share for counts in statistics.values.values()) == pytest.approx(1)


def test_labels_are_drawn_in_their_colours() -> None:
    photo = np.full((40, 80, 3), 200, np.uint8)
    drawn = draw_labels(photo, _labels())
    assert (photo == 200).all()
    for (row, column), surface in (((10, 40), WALL), ((24, 34), FLOOR), ((33, 9), DINING_TABLE)):
        np.testing.assert_allclose(drawn[row, column], (200 + np.array(surface.colour_rgb)) / 2, atol=1)
    for columns in (slice(42, 58), slice(62, 78)):  # hatched: half of it is left as it is
        untouched = (drawn[22:38, columns] == 200).all(axis=-1).mean()
        assert untouched == pytest.approx(0.5, abs=0.05)


def test_a_sheet_has_room_for_every_photo() -> None:
    layout = SheetLayout(columns=2, tile_width=50, tile_height=40, caption_height=18)
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    sheet = contact_sheet([(f"Küche {c}", np.full((40, 30, 3), c, np.uint8)) for c in colours], layout)
    assert sheet.shape == (2 * 58, 100, 3)
    assert [tuple(sheet[y, x]) for y, x in ((20, 15), (20, 65), (78, 15))] == colours


def test_photo_and_labels_of_different_sizes_are_told(tmp_path: Path) -> None:
    sample = MemorySample("room", np.zeros((40, 81, 3), np.uint8), _labels())
    with pytest.raises(DatasetError, match=r"\(40, 81\) for room, got \(40, 80\)"):
        inspect([sample], tmp_path / "sheet.png")


def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "new" / "sheet.png"
    done = _distill("inspect", str(ROOMS), "--out", str(out), "--photos", "5")
    assert done.returncode == 0, done.stderr
    lines = {line.split("  ")[0]: line.split() for line in done.stdout.splitlines()}
    with_table = sum(bool(room.labels().tables.any()) for room in open_dataset(ROOMS))
    assert lines["wall"][1] == "18"
    assert lines["dining table"][2] == str(with_table)
    assert lines["all"][-1] == "18"
    assert str(out) in done.stderr
    layout = SheetLayout()
    assert cv2.imread(str(out)).shape == (layout.tile_height + layout.caption_height, 6 * layout.tile_width, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 8, "nowhere"),
        ([str(ROOMS), "--out", "sheet.gif"], 6, "sheet.gif"),
        ([str(ROOMS), "--with", "other table"], 8, "other table"),
        ([str(ROOMS), "--split", "val"], 8, "val side"),
    ],
    ids=["no data", "no picture", "nothing with it", "nothing on that side"],
)
def test_what_goes_wrong_is_one_line(arguments: list[str], code: int, message: str) -> None:
    done = _distill("inspect", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def _distill(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "distill", *arguments], cwd=ROOT, capture_output=True, text=True)
