from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.__main__ import main
from distill.commands.inspect import inspect
from distill.curation.statistics import count_samples
from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, OTHER_TABLE, WALL
from surfaces.datasets import Labels, MemorySample, open_dataset
from surfaces.drawing.contact_sheet import SheetLayout, contact_sheet
from surfaces.drawing.labels import draw_labels
from surfaces.errors import DatasetError
from tests.distill.training import ROOMS


def _labels() -> Labels:
    semantic, tables = np.zeros((40, 80), np.uint8), np.zeros((40, 80), np.uint8)
    semantic[:20], semantic[20:, :40] = WALL.coco_id, FLOOR.coco_id
    semantic[20:, 40:60], semantic[20:, 60:] = OTHER_TABLE, IGNORE
    tables[30:36, 4:14], tables[30:36, 20:30] = 1, 2
    semantic[tables > 0] = DINING_TABLE.coco_id
    return Labels(semantic, tables)


def test_labels_are_counted() -> None:
    photo = np.zeros((40, 80, 3), np.uint8)
    empty = Labels(np.zeros((40, 80), np.uint8), np.zeros((40, 80), np.uint8))
    statistics = count_samples([MemorySample("a", photo, _labels()), MemorySample("b", photo, empty)])
    assert (statistics.photos, statistics.tables) == (2, 2)
    names = ("wall", "floor", "dining table", "other table", "other", "unlabelled")
    assert statistics.photos_with == dict.fromkeys(names, 1)
    assert statistics.pixel_shares["wall"] == pytest.approx(0.25)
    assert statistics.pixel_shares["dining table"] == pytest.approx(120 / 3200 / 2)
    assert sum(statistics.pixel_shares.values()) == pytest.approx(1)


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


def test_photo_and_labels_of_different_sizes_are_refused(tmp_path: Path) -> None:
    sample = MemorySample("room", np.zeros((40, 81, 3), np.uint8), _labels())
    with pytest.raises(DatasetError, match=r"\(40, 81\) for room, got \(40, 80\)"):
        inspect([sample], tmp_path / "sheet.png")


@pytest.mark.parametrize(("options", "photos"), [([], 18), (["--with", "dining table"], 12)])
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], photos: int) -> None:
    out = tmp_path / "new" / "sheet.png"
    assert main(["inspect", str(ROOMS), "--out", str(out), "--photos", "5", *options]) == 0
    shown, err = capsys.readouterr()
    lines = {line.split("  ")[0]: line.split() for line in shown.splitlines()}
    with_table = sum(bool(room.labels().tables.any()) for room in open_dataset(ROOMS))
    assert lines["wall"][1] == str(photos)
    assert lines["dining table"][2] == str(with_table)
    assert lines["all"][-1] == str(photos)
    assert str(out) in err
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
def test_bad_input_is_one_line(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", *arguments]) == code
    out, err = capsys.readouterr()
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
