"""`segment.py`: one photo."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pycocotools import mask as coco

import segment
from tests.photo_servers import PhotoServer
from tests.segment.runs import (
    MS,
    NAME,
    photo_bytes,
)


def test_one_photo(stub, room_path: Path) -> None:
    run = stub("--url", room_path)
    assert run.code == 0
    assert re.fullmatch(rf"{re.escape(str(room_path))}: wall 50 %, floor 38 %, 2 dining tables, {MS}\n", run.err)
    assert run.out == f"{run.folder / run.files[0]}\n"
    assert NAME.fullmatch(run.files[0])
    with Pillow.open(run.paths[0]) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (512, 384))


def test_photos_at_urls(stub, photo_server: PhotoServer, room_path: Path) -> None:
    photo_server.serve("/room.jpg", room_path.read_bytes())
    for url in (photo_server.serve("/old", b"", status=302, Location="/room.jpg"), room_path.as_uri()):
        run = stub("--url", url, "--json", "--quiet")
        assert (run.code, run.err) == (0, "")
        assert run.json["image"]["source"] == url


@pytest.mark.usefixtures("stub")
def test_default_output_is_below_the_current_folder(room_path: Path, tmp_path: Path) -> None:
    assert segment.main(["--url", str(room_path)]) == 0
    assert len(list((tmp_path / "output").iterdir())) == 1


def test_orientation_and_size(stub, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    (tmp_path / "turned.jpg").write_bytes(photo_bytes("JPEG", exif=exif))
    with Pillow.open(stub("--url", "turned.jpg").paths[0]) as picture:
        assert picture.size == (48, 64)
        assert picture.getexif().get(0x0112) is None


def test_json_and_masks(stub, room_path: Path) -> None:
    run = stub("--url", room_path, "--json", "--masks")
    stem = run.paths[0].name.removesuffix(".jpg")
    suffixes = [".jpg", ".json", "_dining-table-1.png", "_dining-table-2.png", "_floor.png", "_wall.png"]
    assert run.files == sorted(stem + suffix for suffix in suffixes)
    document = run.json
    assert document["image"] == {"source": str(room_path), "width": 512, "height": 384, "output": str(run.paths[0])}
    assert document["model"] == {"name": "stub", "sha256": "0" * 64}
    for entry, name in zip(document["segments"], ("wall", "floor", "dining-table-1", "dining-table-2"), strict=True):
        stored = np.asarray(Pillow.open(run.folder / f"{stem}_{name}.png"))
        assert np.array_equal(stored, 255 * coco.decode(entry["segmentation"]))
        assert entry["area_share"] == pytest.approx((stored > 0).mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "classes"),
    [
        (["--classes", "wall,floor"], ["wall", "floor"]),
        (["--classes", "Dining-Table"], ["dining table", "dining table"]),
        (["--classes", "floor, dining table", "--min-score", "0.7"], ["floor", "dining table"]),
        (["--min-score", "0.9"], ["wall", "floor"]),
        ([], ["wall", "floor", "dining table", "dining table"]),
    ],
)
def test_classes_and_scores_are_filtered(stub, room_path: Path, options: list[str], classes: list[str]) -> None:
    run = stub("--url", room_path, "--json", *options)
    assert [entry["class"] for entry in run.json["segments"]] == classes


def test_nothing_found(stub, room_path: Path) -> None:
    run = stub("--url", room_path, "--min-score", "1")
    assert run.code == 0
    assert re.fullmatch(rf"{re.escape(str(room_path))}: nothing found, {MS}\n", run.err)
    difference = np.asarray(Pillow.open(run.paths[0])).astype(int) - np.asarray(Pillow.open(room_path))
    assert np.abs(difference).mean() < 2
    assert stub("--url", room_path, "--min-score", "1", "--quiet").err == ""


def test_alpha_sets_the_tint(stub, room_path: Path) -> None:
    drawn = [Pillow.open(stub("--url", room_path, "--alpha", alpha).paths[0]) for alpha in (0, 0.8)]
    photo, faint, strong = (np.asarray(picture).astype(int) for picture in (Pillow.open(room_path), *drawn))
    assert np.abs(faint - photo).mean() * 5 < np.abs(strong - photo).mean()
