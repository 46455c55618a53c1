"""Exports in training and validation parts, and under the photos' own names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from autolabel.__main__ import main
from surfaces.classes import WALL
from surfaces.datasets import open_dataset, split_blocks
from surfaces.store.label_store import LabelStore, Source
from surfaces.store.records import ScoredLabels
from tests.autolabel.label_stores import SETTINGS, add_photo, segment

FORMATS = ("coco", "yolo", "png")


def store_of(folder: Path, *names: str) -> Path:
    """A store of one small photo for each name, a path in `folder`; no two photos are alike."""
    wall = np.zeros((20, 30), bool)
    wall[:10] = True
    labels = ScoredLabels((segment(WALL, wall),), np.zeros_like(wall))
    with LabelStore.create(folder / "labels") as store:
        store.use_settings(SETTINGS)
        for index, name in enumerate(names):
            path = folder / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(np.full((20, 30, 3), index, np.uint8)).save(path, format="PNG" if "png" in name else None)
            sha256 = add_photo(store, path, labels)
            source = Source(str(path), name.rpartition(".")[0], str(folder / "photos"))
            store.add_source(source, sha256)
    return folder / "labels"


def rooms(count: int) -> list[str]:
    """Names of photos, two of each room."""
    return [f"room{number // 2:03}_{number % 2}.png" for number in range(count)]


def exported(store: Path, name: str, *arguments: str) -> Path:
    out = store.parent / f"out {name}"
    assert main(["export", str(store), "--format", name, "--out", str(out), *arguments]) == 0
    return out


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_yolo_parts_are_where_ultralytics_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = exported(store_of(tmp_path, *rooms(20)), "yolo", "--split", "--keep-names")
    assert capsys.readouterr().err.endswith("20 photos as yolo: 16 train, 4 val\n")
    assert "train: images/train\nval: images/val\n" in (out / "data.yaml").read_text()
    for part, count in (("train", 16), ("val", 4)):
        images, labels = out / "images" / part, out / "labels" / part
        assert len(names_in(images)) == count
        assert {f"{path.stem}.txt" for path in images.iterdir()} == names_in(labels)
    told = [json.loads(line)["file_name"] for line in (out / "photos.jsonl").read_text().splitlines()]
    assert all((out / name).is_file() for name in told)
    assert len(set(told)) == 20


@pytest.mark.parametrize("name", ["coco", "png"])
def test_the_other_formats_have_a_dataset_a_part(tmp_path: Path, name: str) -> None:
    store = store_of(tmp_path, *rooms(20))
    out = exported(store, name, "--split", "--keep-names")
    parts = {part: [sample.name for sample in open_dataset(out / part)] for part in ("train", "val")}
    assert (len(parts["train"]), len(parts["val"])) == (16, 4)
    assert names_in(out) == {"train", "val"}
    assert {name.partition("_")[0] for name in parts["train"]}.isdisjoint(n.partition("_")[0] for n in parts["val"])
    assert sorted(parts["train"] + parts["val"]) == sorted(sample.name for sample in open_dataset(store))


def test_the_split_is_that_of_training_where_there_are_photos_enough(tmp_path: Path) -> None:
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
    out = exported(store_of(tmp_path, *names), "yolo", "--split")
    assert len(names_in(out / "images" / "val")) == val
    assert len(names_in(out / "images" / "train")) == len(names) - val


def test_one_room_cannot_be_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_of(tmp_path, "room_1.png", "room_2.png")
    assert main(["export", str(store), "--format", "yolo", "--out", str(tmp_path / "out"), "--split"]) == 8
    assert capsys.readouterr().err == (
        "autolabel: expected photos of several rooms to split, got 2 with consecutive names\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_names_are_kept(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept = {"Küche 1.png", "room.v2.png", "photo.JPEG", "x.jpg"}
    out = exported(store_of(tmp_path, *sorted(kept)), name, "--keep-names")
    assert names_in(out / "images") == kept
    assert "names changed" not in capsys.readouterr().err
    if name != "coco":
        folder, suffix = {"yolo": ("labels", ".txt"), "png": ("masks", ".png")}[name]
        assert names_in(out / folder) == {f"{file.rpartition('.')[0]}{suffix}" for file in kept}
    if name != "yolo":
        assert {sample.name for sample in open_dataset(out)} == {file.rpartition(".")[0] for file in kept}


def test_names_that_clash_or_are_unsafe_are_changed_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    awkward = ["a/images/x.png", "a_images_x.png", "Room.png", "room.jpg", "what?.png", "con.png", f"{'ä' * 120}.png"]
    out = exported(store_of(tmp_path, *awkward, "fine.png"), "coco", "--keep-names")
    told = capsys.readouterr().err.splitlines()
    assert told[-2].startswith("7 names changed to be safe and unique: ")
    assert told[-2].endswith(" and 4 more")
    found = names_in(out / "images")
    assert len({file.casefold() for file in found}) == 8
    assert {"what_.png", "_con.png", "fine.png"} <= found
    assert all(len(file.encode()) < 255 and not set(file) & set('<>:"/\\|?*') for file in found)
    document = json.loads((out / "annotations.json").read_text())
    assert {Path(image["source"]).relative_to(tmp_path / "photos").as_posix() for image in document["images"]} == {
        *awkward,
        "fine.png",
    }


def test_photos_that_are_not_labelled_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_of(tmp_path, "a.png")
    with LabelStore.open(store) as opened:
        opened.add_failure(Source("/photos/b.png", "b", "/photos"), "unreadable", "no such file")
    exported(store, "png")
    assert (
        "1 photo of the corpus not labelled; see `python -m autolabel status`\n1 photo as png\n"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("command", ["status", "report --out out", "export --format coco --out out", "merge --out out"])
def test_a_folder_without_labels_stays_as_it_is(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    for folder in ("there", "not there"):
        assert main([*command.split(), folder]) == 8
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err == f"autolabel: expected labels at {folder}/labels.sqlite, got no such file\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_photos_without_a_path_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_of(tmp_path, "a.png", "b.png")
    (tmp_path / "photos" / "a.png").unlink()
    with LabelStore.open(store) as opened:
        opened.forget_absent(str(tmp_path / "photos"), set())
    exported(store, "coco")
    assert "1 labelled photo no longer in the corpus, left out\n1 photo as coco\n" in (capsys.readouterr().err)


def test_links_and_copies_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_of(tmp_path, "a.png", "b.webp")
    exported(store, "yolo", "--link")
    assert "1 photo linked, 1 copied\n" in capsys.readouterr().err
