"""`python -m autolabel export`: options, parts, names, messages."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from autolabel.__main__ import main
from autolabel.commands.export import export
from autolabel.export.formats import coco_export
from autolabel.export.selection import ExportSettings
from surfaces.classes import WALL
from surfaces.datasets import open_dataset, split_blocks
from surfaces.store.label_store import LabelStore, Source
from surfaces.store.records import ScoredLabels
from tests.autolabel.corpora import check_error
from tests.autolabel.label_stores import SETTINGS, add_photo, rooms_store, segment

Capture = pytest.CaptureFixture[str]

FORMATS = ("coco", "yolo", "png")


def store_of(folder: Path, *names: str) -> Path:
    """A store of a small photo for each name, a path in `folder`; no two photos are alike."""
    wall = np.zeros((20, 30), bool)
    wall[:10] = True
    labels = ScoredLabels((segment(WALL, wall),), np.zeros_like(wall))
    with LabelStore.create(folder / "labels") as store:
        for index, name in enumerate(names):
            path = folder / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(np.full((20, 30, 3), index, np.uint8)).save(path, format="PNG" if "png" in name else None)
            source = Source(str(path), name.rpartition(".")[0], str(folder / "photos"))
            store.add_source(source, add_photo(store, path, labels))
    return folder / "labels"


def rooms(count: int) -> list[str]:
    """Names of photos, two of each room."""
    return [f"room{number // 2:03}_{number % 2}.png" for number in range(count)]


def exported(store: Path, name: str, *arguments: str) -> Path:
    out = store.parent / "new" / f"out {name}"
    assert main(["export", str(store), "--format", name, "--out", str(out), *arguments]) == 0
    return out


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("no_ignored", ["--no-ignored", "--no-unsure"])  # the latter in version 0.1
def test_its_options(tmp_path: Path, no_ignored: str) -> None:
    store = rooms_store(tmp_path / "store", 2)
    out = exported(store, "coco", "--min-score", "0.85", "--only", "auto", no_ignored)
    document = json.loads((out / "annotations.json").read_text())
    assert document["info"] == {"teacher": SETTINGS.teacher, "settings": SETTINGS.fingerprint}
    assert {annotation["category_id"] for annotation in document["annotations"]} == {1}
    assert not any(annotation["iscrowd"] for annotation in document["annotations"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 8, "expected labels at"),
        (["store", "--only", "reviewed"], 8, "expected labelled photos"),
        (["store", "--out", "taken"], 6, "exists"),
        (["store", "--out", "taken/file/out"], 6, "expected to write to"),
        (["store", "--split"], 8, "expected photos of several rooms to split, got 2 with consecutive names"),
    ],
)
def test_an_error_is_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms_store(tmp_path / "store", 2)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    monkeypatch.chdir(tmp_path)
    check_error(capsys, code, message, "export", "--format", "coco", "--out", "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_yolo_parts_are_where_ultralytics_looks(tmp_path: Path, capsys: Capture) -> None:
    out = exported(store_of(tmp_path, *rooms(20)), "yolo", "--split", "--keep-names")
    assert capsys.readouterr().err.endswith("20 photos as yolo: 16 train, 4 val\n")
    assert "train: images/train\nval: images/val\n" in (out / "data.yaml").read_text()
    for part, count in (("train", 16), ("val", 4)):
        images = names_in(out / "images" / part)
        assert len(images) == count
        assert {f"{Path(name).stem}.txt" for name in images} == names_in(out / "labels" / part)
    index = [json.loads(line)["file_name"] for line in (out / "photos.jsonl").read_text().splitlines()]
    assert all((out / name).is_file() for name in index)
    assert len(set(index)) == 20


@pytest.mark.parametrize("name", ["coco", "png"])
def test_parts_of_other_formats_are_datasets(tmp_path: Path, name: str) -> None:
    store = store_of(tmp_path, *rooms(20))
    out = exported(store, name, "--split", "--keep-names")
    parts = {part: [sample.name for sample in open_dataset(out / part)] for part in ("train", "val")}
    assert (len(parts["train"]), len(parts["val"])) == (16, 4)
    assert names_in(out) == {"train", "val"}
    assert {name.partition("_")[0] for name in parts["train"]}.isdisjoint(n.partition("_")[0] for n in parts["val"])
    assert sorted(parts["train"] + parts["val"]) == sorted(sample.name for sample in open_dataset(store))


def test_the_split_of_many_photos_is_that_of_training(tmp_path: Path) -> None:
    store = store_of(tmp_path, *rooms(80))
    out = exported(store, "png", "--split", "--keep-names")
    _, val = split_blocks(open_dataset(store))
    assert sorted(sample.name for sample in open_dataset(out / "val")) == [sample.name for sample in val]


@pytest.mark.parametrize(
    ("names", "val"),
    [(["a.png", "b.png"], 1), (["room_1.png", "room_2.png", "room_3.png"], 1), (rooms(8), 2)],
    ids=["two", "three of one room", "eight"],
)
def test_few_photos_fill_both_parts(tmp_path: Path, names: list[str], val: int) -> None:
    images = exported(store_of(tmp_path, *names), "yolo", "--split") / "images"
    assert (len(names_in(images / "train")), len(names_in(images / "val"))) == (len(names) - val, val)


@pytest.mark.parametrize("name", FORMATS)
def test_names_are_kept(tmp_path: Path, name: str, capsys: Capture) -> None:
    kept = {"Küche 1.png", "room.v2.png", "photo.JPEG", "x.jpg"}
    out = exported(store_of(tmp_path, *sorted(kept)), name, "--keep-names")
    assert names_in(out / "images") == kept
    shown = capsys.readouterr()
    assert shown.out == f"{out}\n"
    assert shown.err.endswith(f"4 photos as {name}\n")
    assert "names changed" not in shown.err
    if name != "coco":
        folder, suffix = {"yolo": ("labels", ".txt"), "png": ("masks", ".png")}[name]
        assert names_in(out / folder) == {f"{file.rpartition('.')[0]}{suffix}" for file in kept}
    if name != "yolo":
        assert {sample.name for sample in open_dataset(out)} == {file.rpartition(".")[0] for file in kept}


def test_unsafe_and_repeated_names_are_changed_and_reported(tmp_path: Path, capsys: Capture) -> None:
    awkward = ["a/images/x.png", "a_images_x.png", "Room.png", "room.jpg", "what?.png", "con.png", f"{'ä' * 120}.png"]
    out = exported(store_of(tmp_path, *awkward, "fine.png"), "coco", "--keep-names")
    line = capsys.readouterr().err.splitlines()[-2]
    assert line.startswith("7 names changed to be safe and unique: ")
    assert line.endswith(" and 4 more")
    found = names_in(out / "images")
    assert len({file.casefold() for file in found}) == 8
    assert {"what_.png", "_con.png", "fine.png"} <= found
    assert all(len(file.encode()) < 255 and not set(file) & set('<>:"/\\|?*') for file in found)
    sources = [Path(image["source"]) for image in json.loads((out / "annotations.json").read_text())["images"]]
    assert {source.relative_to(tmp_path / "photos").as_posix() for source in sources} == {*awkward, "fine.png"}


def test_photos_that_are_left_out_are_reported(tmp_path: Path, capsys: Capture) -> None:
    store = store_of(tmp_path, "a.png", "b.png")
    (tmp_path / "photos" / "a.png").unlink()
    with LabelStore.open(store) as opened:
        opened.forget_absent(str(tmp_path / "photos"), set())
        opened.add_failure(Source("/photos/c.png", "c", "/photos"), "unreadable", "no such file")
    exported(store, "coco")
    assert capsys.readouterr().err.endswith(
        "1 photo of the corpus not labelled; see `python -m autolabel status`\n"
        "1 labelled photo no longer in the corpus, left out\n1 photo as coco\n"
    )


def test_links_and_copies_are_counted(tmp_path: Path, capsys: Capture) -> None:
    exported(store_of(tmp_path, "a.png", "b.webp"), "yolo", "--link")
    assert "1 photo linked, 1 copied\n" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "report --out out", "export --format coco --out out", "merge --out out"])
def test_a_folder_without_labels_is_not_changed(
    tmp_path: Path, command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    for folder in ("there", "not there"):
        message = f"autolabel: expected labels at {folder}/labels.sqlite, got no such file\n"
        check_error(capsys, 8, message, *command.split(), folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_photos(tmp_path: Path) -> None:
    """The files are far larger than the memory used at a time."""
    mask = np.random.default_rng(0).random((160, 160)) < 0.5  # 25,000 runs, some 25 kB
    labels = ScoredLabels((segment(WALL, mask),), ~mask)
    with LabelStore.create(tmp_path / "store") as store:
        for index in range(80):
            path = tmp_path / f"{index}.png"
            Pillow.fromarray(np.full((160, 160, 3), index, np.uint8)).save(path)
            add_photo(store, path, labels)
        export(store, tmp_path / "first", coco_export, ExportSettings())  # imports, caches
        tracemalloc.start()
        export(store, tmp_path / "second", coco_export, ExportSettings())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (tmp_path / "second" / "annotations.json").stat().st_size > 4_000_000
    assert peak < 2_000_000
