"""`segment.py`: cutouts, tables, COCO files and pages of all photos."""

from __future__ import annotations

import csv
import glob
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pyarrow import parquet
from pycocotools import mask as coco

from tests.segment.runs import (
    StubSegmenter,
    files_below,
)


def test_cutouts(stub, room_path: Path) -> None:
    run = stub(room_path, "--save", "cutout", "--classes", "floor")
    cut, photo = (np.asarray(Pillow.open(path)) for path in (run.paths[0], room_path))
    assert cut.shape == (384, 512, 4)
    inside = cut[..., 3] > 0
    np.testing.assert_array_equal(cut[inside][:, :3], photo[inside])
    assert not cut[~inside].any()


def test_nothing_found_and_nothing_to_write(stub, room_path: Path) -> None:
    for names in ("source", "time"):
        run = stub(room_path, "--save", "masks", "--min-score", "1", "--name-from", names)
        assert (run.code, run.out, run.files) == (0, "", [])


def test_patterns_of_file_names(stub, room_path: Path, tmp_path: Path) -> None:
    for name in ("a/room[1].jpg", "a/below/other.jpg", "a/below/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(room_path.read_bytes())
    run = stub("a/**/*.jpg")
    assert [str(path.relative_to(run.folder)) for path in run.paths] == [
        "a/below/other.surfaces.jpg",
        "a/room[1].surfaces.jpg",
    ]
    assert len(stub("a/room[1].jpg").paths) == 1
    for _ in range(2):
        run = stub("**/*", "--output", "out")
        assert len(run.paths) == 2
        assert "of segment.py" in run.err
    for entry in ("*" * 300, "\0/*.jpg"):
        assert stub(entry).code == 4
    assert stub("a/*.png").code == 4


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_summary(stub, room_path: Path, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"<html>")
    run = stub(room_path, "bad.jpg", "--summary", f"rooms.{suffix}", "--quiet")
    assert run.code == 10
    if suffix == "csv":
        rows = list(csv.DictReader((tmp_path / "rooms.csv").read_text("utf-8").splitlines()))
        rows = [{key: value or None for key, value in row.items()} for row in rows]
    elif suffix == "json":
        rows = json.loads((tmp_path / "rooms.json").read_text("utf-8"))
    else:
        rows = parquet.read_table(tmp_path / "rooms.parquet").to_pylist()
    good, bad = rows
    assert (good["source"], good["output"], good["error"]) == (str(room_path), str(run.paths[0]), None)
    assert [int(good[key]) for key in ("width", "height", "tables")] == [512, 384, 2]
    assert [float(good[key]) for key in ("wall", "floor", "dining_table")] == pytest.approx([0.5, 0.375, 0.125])
    assert float(good["milliseconds"]) >= 0
    assert (bad["source"], bad["output"], bad["wall"]) == ("bad.jpg", None, None)
    assert bad["error"].startswith("expected a photo (JPEG, ")


def test_a_summary_does_not_hide_an_error(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "rooms.csv").write_text("old")
    run = stub(room_path, "--weights", "absent.onnx", "--summary", "rooms.csv")
    assert (run.code, (tmp_path / "rooms.csv").read_text()) == (7, "old")
    (tmp_path / "folder.csv").mkdir()
    run = stub(room_path, "--summary", "folder.csv")
    assert (run.code, run.files) == (6, [])
    assert run.err == "segment.py: expected a file for the summary, got the folder folder.csv\n"


def test_a_coco_file_of_all_photos(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"<html>")
    other = room_path.with_name("room_02.jpg")
    run = stub(room_path, "bad.jpg", other, "--save", "coco", "--quiet")
    assert (run.code, run.files) == (10, ["surfaces.coco.json"])
    document = json.loads((run.folder / "surfaces.coco.json").read_text("utf-8"))
    sizes = [(image["id"], image["file_name"], image["width"], image["height"]) for image in document["images"]]
    assert sizes == [(1, str(room_path), 512, 384), (2, str(other), 440, 440)]
    assert [known["name"] for known in document["categories"]] == ["wall", "floor", "dining table"]
    annotations = document["annotations"]
    assert [(entry["id"], entry["image_id"], entry["category_id"]) for entry in annotations] == [
        (1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 1, 3), (5, 2, 1), (6, 2, 2), (7, 2, 3), (8, 2, 3),
    ]  # fmt: skip
    for entry, expected in zip(annotations, StubSegmenter().predict(np.zeros((384, 512, 3), np.uint8)), strict=False):
        assert np.array_equal(coco.decode(entry["segmentation"]), expected.mask)
        assert (entry["area"], entry["score"]) == (int(expected.mask.sum()), expected.score)
    stub("bad.jpg", room_path, "--save", "coco", "--quiet")
    assert len(json.loads((run.folder / "surfaces.coco.json").read_text("utf-8"))["images"]) == 1


@pytest.mark.parametrize("save", ["report", "overlay,report"])
def test_a_page_of_all_photos(stub, room_path: Path, tmp_path: Path, save: str) -> None:
    (tmp_path / "<b>.jpg").write_bytes(b"<html>")
    stub(room_path, room_path, room_path, "--save", save, "--quiet")
    run = stub("<b>.jpg", room_path, "--save", save, "--quiet")
    page = (run.folder / "report" / "index.html").read_text("utf-8")
    assert "&lt;b&gt;.jpg: expected a photo" in page
    assert "room_01.jpg: wall 50 %, floor 38 %, 2 dining tables" in page
    thumbnails = [path.name for path in (run.folder / "report").iterdir() if path.suffix == ".jpg"]
    assert thumbnails == ["2-000001.surfaces_thumbnail.jpg"]
    assert f'src="{thumbnails[0]}"' in page
    with Pillow.open(run.folder / "report" / thumbnails[0]) as thumbnail:
        assert thumbnail.size == (480, 360)
        red, green, blue = np.asarray(thumbnail).reshape(-1, 3).mean(0)
    with Pillow.open(room_path) as photo:
        plain = np.asarray(photo.resize((480, 360))).reshape(-1, 3).mean(0)
    assert np.abs(plain - (red, green, blue)).max() > 5  # the segments are drawn in
    shown = stub(str(run.folder / "report"), "--save", "json", "--output", str(tmp_path / "again"))
    assert "of segment.py" in shown.err  # thumbnails are no photos


def test_a_hundred_nested_photos_match_their_results_by_name(stub, tmp_path: Path) -> None:
    photos = []
    for number in range(100):
        folder = tmp_path / "photos" / f"house {number % 7}" / ("ünder" if number % 2 else "")
        place = folder / f"room_{number // 7}{'.jpg' if number % 3 else '.png'}"
        place.parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("RGB", (64 + number, 48), (number, 2 * number, 0)).save(place)
        photos.append(place)
    assert len(set(photos)) == 100
    run = stub("photos", "--save", "overlay,json,masks", "--quiet")
    assert run.code == 0
    for photo in photos:
        place = run.folder / photo.relative_to(tmp_path)
        document = place.with_name(f"{place.stem}.surfaces.json")
        assert json.loads(document.read_text("utf-8"))["image"]["source"] == str(photo.relative_to(tmp_path))
        with Pillow.open(photo) as original, Pillow.open(document.with_suffix(".jpg")) as picture:
            assert picture.size == original.size
        assert len(list(document.parent.glob(f"{glob.escape(document.stem)}_*.png"))) == 4


def test_pages_and_tables_harm_nothing(stub, room_path: Path, tmp_path: Path) -> None:
    stub(room_path, "--save", "report", "--quiet")
    before = files_below(tmp_path / "out")
    (tmp_path / "nothing").mkdir()
    for sources in ([room_path], [room_path, "nothing"]):
        assert stub(*sources, "--save", "report,coco", "--weights", "absent.onnx").code == 7
    assert files_below(tmp_path / "out") == before
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "000001.jpg").write_bytes(room_path.read_bytes())
    run = stub("report", "--save", "overlay,report", "--quiet")
    with Pillow.open(run.folder / "report" / "000001.surfaces.jpg") as picture:
        assert picture.size == (512, 384)
    (run.folder / "report" / "index.html").write_text("mine")
    for place in ("page", "file"):
        folder = tmp_path / place
        (folder / "report" / "index.html").mkdir(parents=True)
        if place == "file":
            (folder / "report" / "index.html").rmdir()
            (folder / "report").rmdir()
            (folder / "report").write_text("mine")
        assert stub(room_path, "--save", "report", "--output", folder).code == 6
    run = stub(room_path, "--save", "report")
    assert (run.code, (run.folder / "report" / "index.html").read_text()) == (6, "mine")
    assert "got another page" in run.err
    same = stub(room_path, "--save", "coco,json", "--summary", str(run.folder / "surfaces.coco.json"))
    assert same.code == 6
