"""`segment.py`: in this process with a stub network, and as a process with the shipped one."""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from pyarrow import parquet
from pycocotools import mask as coco

import segment
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import WeightsError
from surfaces.version import VERSION
from tests.photo_servers import PhotoServer

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "pexels-3965508.jpg"
COMMAND = [sys.executable, str(ROOT / "segment.py")]

NAME = re.compile(r"interior_surfaces__\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}\.jpg")

MS = r"\d+ ms"


class Run:
    """Exit code, outputs and files of a run of the command."""

    def __init__(self, code: int, out: str, err: str, folder: Path) -> None:
        self.code, self.out, self.err, self.folder = code, out, err, folder

    @property
    def paths(self) -> list[Path]:
        return [Path(line) for line in self.out.splitlines()]

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    @property
    def json(self) -> Any:
        return json.loads(self.paths[0].with_suffix(".json").read_text("utf-8"))


def check_failure(run: Run, code: int, words: str) -> None:
    assert run.code == code
    assert run.out == ""
    assert re.fullmatch(rf"segment\.py: .*{re.escape(words)}.*\n", run.err)
    assert run.files == []


class StubSegmenter:
    """Calls the upper half wall, the lower half floor, with two tables."""

    name, sha256 = "stub", "0" * 64

    def __init__(self, weights: Path | None = None, **_: object) -> None:
        if weights:
            raise WeightsError(f"expected weights at {weights}")

    def predict(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        regions = np.zeros((height, width), np.uint8)
        regions[: height // 2], regions[height // 2 :] = 1, 2
        regions[-height // 4 :, : width // 4], regions[-height // 4 :, -width // 4 :] = 3, 4
        found = [(WALL, 0.95), (FLOOR, 0.9), (DINING_TABLE, 0.8), (DINING_TABLE, 0.6)]
        masks = [regions == number for number in (1, 2, 3, 4)]
        return [Detection(s, score, box_of_mask(m), m) for (s, score), m in zip(found, masks, strict=True)]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs the command in this process; pictures go to `tmp_path / "out"`."""
    monkeypatch.setattr("models.Segmenter", StubSegmenter, raising=False)
    for variable in ("INTERIOR_SURFACES_SURNAME", "INTERIOR_SURFACES_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Run:
        folder = tmp_path / "out"
        code = segment.main(["--output", str(folder), "--allow-private", *map(str, arguments)])
        return Run(code, *capsys.readouterr(), folder)

    return run


def stdin(text: str, encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode(encoding)))


def photo_bytes(kind: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.effect_noise(size, 60).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


# One photo


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


# Names


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


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Batches


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


# Bad input


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("ftp://127.0.0.1/a.jpg", 4, "expected"),
        ("file://server/a.jpg", 4, "expected"),
        ("absent.jpg", 4, "expected"),
        ("", 4, "expected"),
        ("/dev/zero", 4, "expected"),
        ("SERVER/absent.jpg", 4, "404 Not Found"),
        ("SERVER/big", 4, "50 MB"),
        ("SERVER/short", 4, "broke off"),
        ("SERVER/html", 5, "HTML"),
        ("SERVER/truncated", 5, "truncated or corrupt"),
        ("SERVER/one-pixel", 5, "at least 16 pixels a side, the photo has 1x1"),
    ],
)
def test_photos_that_cannot_be_used(stub, photo_server: PhotoServer, url: str, code: int, words: str) -> None:
    photo_server.serve("/big", b"", Content_Length="50000001")
    photo_server.serve("/short", b"\xff\xd8", Content_Length="99")
    photo_server.serve("/html", b"<!doctype html><title>Not here</title>", Content_Type="image/jpeg")
    photo_server.serve("/truncated", photo_bytes("JPEG", (512, 512))[:9000], Content_Type="image/jpeg")
    photo_server.serve("/one-pixel", photo_bytes("PNG", (1, 1)), Content_Type="image/jpeg")
    check_failure(stub("--url", url.replace("SERVER", photo_server.url("")), "--json", "--masks"), code, words)


@pytest.mark.usefixtures("stub")
def test_private_hosts_need_the_option(
    photo_server: PhotoServer, room_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = photo_server.serve("/room.jpg", room_path.read_bytes())
    assert segment.main(["--url", url]) == 4
    message = "expected a host on the public internet, got 127.0.0.1; --allow-private permits it"
    assert message in capsys.readouterr().err
    assert photo_server.asked == []


def test_passwords_are_not_repeated(stub, room_path: Path) -> None:
    url = "http://mary:secret@127.0.0.1/a.jpg"
    check_failure(stub("--url", url), 4, "without user name and password")
    run = stub("--url", url, room_path, "--json")
    assert run.code == 10
    assert "http://…@127.0.0.1/a.jpg: expected an address without user name and password" in run.err
    written = run.out + run.err + "".join(path.read_text("utf-8") for path in run.folder.glob("*.json"))
    assert not re.search("mary|secret", written)


def test_timeout(stub, photo_server: PhotoServer) -> None:
    url = photo_server.answer("/a.jpg", lambda _: time.sleep(3))
    check_failure(stub("--url", url, "--timeout", "0.5"), 4, "0.5 s")


def test_limits_of_size(stub, photo_server: PhotoServer, tmp_path: Path) -> None:
    data = photo_bytes("JPEG", (200, 100))
    (tmp_path / "room.jpg").write_bytes(data)
    for url in ("room.jpg", photo_server.serve("/room.jpg", data)):
        assert "at most 0.01 megapixels, the photo has 200x100" in stub("--url", url, "--max-megapixels", "0.01").err
        assert "expected at most" in stub("--url", url, "--max-megabytes", "0.001").err
        assert stub("--url", url, "--max-megabytes", "0.1", "--max-megapixels", "0.02").code == 0


def test_unusable_output_folder(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/absent")):
        run = stub("--url", room_path, "--output", folder)
        assert (run.code, run.out) == (6, "")
        assert run.err.startswith(f"segment.py: could not write to {folder}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_without_permission(stub, room_path: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    check_failure(stub("--url", room_path), 6, "Permission denied")


def test_missing_weights(stub, room_path: Path) -> None:
    check_failure(stub("--url", room_path, "--weights", "absent.onnx"), 7, "absent.onnx")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--url"),
        (["--url"], "--url"),
        (["--url", "a", "--classes", "wall,door"], "'door'"),
        (["--url", "a", "--classes", ""], "--classes"),
        (["--url", "a", "--min-score", "1.5"], "from 0 to 1, got '1.5'"),
        (["--url", "a", "--alpha", "nan"], "from 0 to 1, got 'nan'"),
        (["--url", "a", "--timeout", "0"], "--timeout"),
        (["--url", "a", "--max-megapixels", "179"], "from 0.001 to 178, got '179'"),
        (["--url", "a", "--max-megabytes", "0"], "from 0.001 to 4000, got '0'"),
        (["--url", "a", "--colour"], "--colour"),
    ],
)
def test_wrong_arguments(stub, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as caught:
        stub(*options)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


# As a process


@pytest.fixture
def command(tmp_path: Path):
    """Runs the command as a process; pictures go to `tmp_path / "out"`."""

    def run(*arguments: object, **options: object) -> Run:
        folder = tmp_path / "out"
        words = [*COMMAND, "--allow-private", "--output", folder, *arguments]
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120} | options
        done = subprocess.run([*map(str, words)], **options)
        return Run(done.returncode, done.stdout, done.stderr, folder)

    return run


def test_help_and_version_are_complete(command) -> None:
    helped, version = command("--help"), command("--version")
    assert (helped.code, version.code) == (0, 0)
    assert version.out == f"interior-surfaces {VERSION}\n"
    for word in ("--url", "--output", "--surname", "--classes", "--json", "examples:", "exit codes:"):
        assert word in helped.out
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"].get("version", VERSION) == VERSION


def test_shipped_network(command, photo_server: PhotoServer) -> None:
    run = command("--url", photo_server.serve("/a", EXAMPLE.read_bytes()), "--json", "--masks", "--quiet")
    assert (run.code, run.err) == (0, "")
    segments = run.json["segments"]
    assert [entry["class"] for entry in segments][:2] == ["wall", "floor"]
    covered = sum(coco.decode(entry["segmentation"]).astype(int) for entry in segments)
    assert covered.shape == (2876, 1920)
    assert covered.max() == 1
    assert re.fullmatch("[0-9a-f]{64}", run.json["model"]["sha256"])
    with Pillow.open(run.paths[0]) as picture:
        assert picture.size == (1920, 2876)


def test_batch_as_a_process(command, room_path: Path) -> None:
    sources = f"{room_path}\nabsent.jpg\n{EXAMPLE}\n"
    run = command("--url", "-", input=sources)
    assert run.code == 10
    assert len(run.paths) == len(run.files) == 2
    assert "absent.jpg: expected a photo's address or file, there is no such file" in run.err
    assert "3/3" in run.err
    assert "Traceback" not in run.err


def run_then(tmp_path: Path, photo: Path, program: str) -> list[str]:
    """Runs the command within a process, then a program; returns the words that it prints last."""
    arguments = ["--url", str(photo), "--output", str(tmp_path), "--json", "--masks"]
    program = f"import sys, segment\ncode = segment.main({arguments!r})\n{program}\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_segmenting_loads_no_torch(tmp_path: Path, room_path: Path) -> None:
    assert run_then(tmp_path, room_path, "print(code, 'torch' in sys.modules)") == ["0", "False"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux' /proc")
def test_memory_of_a_large_photo(tmp_path: Path) -> None:
    photo = tmp_path / "large.jpg"
    Pillow.open(EXAMPLE).resize((3000, 4000)).save(photo)
    # Not ru_maxrss: Linux counts what the parent, this test run with torch, held at the fork.
    peak = "next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]"
    code, kilobytes = run_then(tmp_path, photo, f"print(code, {peak})")
    assert code == "0"
    assert int(kilobytes) <= 600 * 1024


def test_concurrent_runs(tmp_path: Path, room_path: Path) -> None:
    words = [*COMMAND, "--url", str(room_path), "--output", str(tmp_path)]
    runs = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {run.communicate(timeout=120)[0].strip() for run in runs}
    assert len(paths) == 3
    assert {str(path) for path in tmp_path.iterdir()} == paths


def test_full_disk_leaves_nothing(command, room_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    run = command("--url", room_path, "--json", "--masks", preexec_fn=small_files)
    check_failure(run, 6, "File too large")


@pytest.mark.parametrize("photos", [1, 3])
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interruption(tmp_path: Path, photo_server: PhotoServer, sent: signal.Signals, code: int, photos: int) -> None:
    url = photo_server.answer("/silent", lambda _: time.sleep(20))
    words = [*COMMAND, "--output", str(tmp_path / "out"), "--allow-private", "--quiet", "--url", *[url] * photos]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not photo_server.asked and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(sent)
    out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (code, "")
    assert err == ("segment.py: interrupted\n" if sent == signal.SIGINT else "")
    assert list((tmp_path / "out").iterdir()) == []


def test_closed_pipe(tmp_path: Path, room_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [*COMMAND, "--output", str(tmp_path), "--url", str(room_path)]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
