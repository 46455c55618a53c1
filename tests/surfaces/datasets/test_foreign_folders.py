"""Datasets that others made: their links and names reach no file outside of them."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel.crawling.database import CrawlDatabase
from distill.__main__ import main
from labelstudio.sync.review_log import ReviewLog
from surfaces.datasets import ReadOptions, open_dataset, write_packed
from surfaces.errors import DatasetError, SurfacesError
from surfaces.store.label_store import LabelStore
from tests.coco_files import coco_content, room, write_coco_file, write_photo

pytestmark = pytest.mark.security

ROOMS = Path(__file__).parents[2] / "data" / "rooms"
EXPORTS = ROOMS.parent / "exports"

_FOLLOW = ReadOptions(follow_links=True)


def _moved(path: Path, outside: Path) -> None:
    """Moves a file or a folder out of a dataset, and leaves a link."""
    outside.mkdir()
    shutil.move(path, outside / path.name)
    path.symlink_to(outside / path.name)


def _mask_folder(folder: Path) -> None:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for path in sorted((ROOMS / part).iterdir())[:2]:
            shutil.copy(path, folder / part)


def _coco(folder: Path) -> None:
    write_photo(folder / "images" / "a.jpg")
    write_coco_file(folder / "annotations.json", coco_content(room(), files=["a.jpg"]))


def _coco_split(folder: Path) -> None:
    write_photo(folder / "train" / "a.jpg")
    write_coco_file(folder / "train" / "_annotations.coco.json", coco_content(room(), files=["a.jpg"]))


def _packed(folder: Path) -> None:
    write_packed(open_dataset(ROOMS)[:2], folder)


def _export(form: str) -> Callable[[Path], None]:
    def copy(folder: Path) -> None:
        shutil.copytree(EXPORTS / form, folder)

    return copy


_LINKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "folder of photos": (_mask_folder, "images"),
    "folder of masks": (_mask_folder, "masks"),
    "photo": (_mask_folder, "images/room_01.jpg"),
    "mask": (_mask_folder, "masks/room_01.png"),
    "COCO file": (_coco, "annotations.json"),
    "COCO photo": (_coco, "images/a.jpg"),
    "COCO folder of photos": (_coco, "images"),
    "COCO split": (_coco_split, "train"),
    "COCO file of a split": (_coco_split, "train/_annotations.coco.json"),
    "YOLO file": (_export("fiftyone"), "dataset.yaml"),
    "YOLO folder of photos": (_export("fiftyone"), "images"),
    "YOLO labels": (_export("fiftyone"), "labels/train/room_01.txt"),
    "YOLO classes": (_export("label-studio"), "classes.txt"),
    "VOC photo": (_export("datumaro-voc"), "JPEGImages/room_01.jpg"),
    "VOC classes": (_export("datumaro-voc"), "labelmap.txt"),
    "VOC split": (_export("datumaro-voc"), "ImageSets/Segmentation/default.txt"),
    "VOC map": (_export("datumaro-voc"), "SegmentationClass/room_01.png"),
    "VOC objects": (_export("datumaro-voc"), "SegmentationObject"),
    "LabelMe file": (_export("labelme"), "room_01.json"),
    "LabelMe photo": (_export("labelme"), "room_01.jpg"),
    "index": (_packed, "packed.json"),
    "archive": (_packed, "part-000.zip"),
}


@pytest.mark.parametrize(("write", "link"), _LINKS.values(), ids=_LINKS)
def test_links_out_of_a_dataset(tmp_path: Path, write: Callable[[Path], None], link: str) -> None:
    folder = tmp_path / "set"
    write(folder)
    whole = [sample.encoded_image() for sample in open_dataset(folder)]
    _moved(folder / link, tmp_path / "outside")
    with pytest.raises(DatasetError, match=f"{link.split('/')[0]}.*--follow-links|--follow-links.*{link}"):
        open_dataset(folder)
    assert [sample.encoded_image() for sample in open_dataset(folder, _FOLLOW)] == whole


def test_link_to_a_dataset(tmp_path: Path) -> None:
    _mask_folder(tmp_path / "set")
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert len(open_dataset(tmp_path / "link")) == 2


def test_images_option_may_be_a_link(tmp_path: Path) -> None:
    _coco(tmp_path / "set")
    _moved(tmp_path / "set" / "images", tmp_path / "outside")
    assert len(open_dataset(tmp_path / "set", ReadOptions(images=tmp_path / "set" / "images"))) == 1
    _moved(tmp_path / "outside" / "images" / "a.jpg", tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=r"a\.jpg inside .*, got a link to .*elsewhere.*--follow-links"):
        open_dataset(tmp_path / "set", ReadOptions(images=tmp_path / "set" / "images"))


def test_pack_refuses_links(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "set"
    _mask_folder(folder)
    _moved(folder / "images" / "room_01.jpg", tmp_path / "outside")
    command = ["pack", str(folder), "--out", str(tmp_path / "packed")]
    assert main(command) == DatasetError.exit_code
    assert "--follow-links" in capsys.readouterr().err
    assert not (tmp_path / "packed").exists()
    assert main([*command, "--follow-links"]) == 0


@pytest.mark.parametrize("form", ["packed", "coco"])
@pytest.mark.parametrize("secret", ["text", "nothing", "begins like a photo"])
def test_other_files_are_not_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, secret: str) -> None:
    folder = tmp_path / "set"
    _mask_folder(folder)
    head = {"text": b"-----BEGIN OPENSSH PRIVATE KEY-----", "nothing": b"", "begins like a photo": b"\xff\xd8\xff\xe0"}
    (folder / "images" / "room_01.jpg").write_bytes(head[secret] + b"secret" * bool(head[secret]))
    assert main(["pack", str(folder), "--out", str(tmp_path / "out"), "--format", form]) == DatasetError.exit_code
    assert "room_01.jpg" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("write", "photo"),
    [(_mask_folder, "images/room_01.jpg"), (_coco, "images/a.jpg"), (_packed, "part-000.zip")],
    ids=["label maps", "COCO", "packed"],
)
def test_photos_are_checked_by_their_first_bytes(tmp_path: Path, write: Callable[[Path], None], photo: str) -> None:
    write(tmp_path / "set")
    path = tmp_path / "set" / photo
    path.write_bytes(b"-" * path.stat().st_size)
    sample = open_dataset(tmp_path / "set")[0]
    for read in (sample.encoded_image, sample.image):
        with pytest.raises(
            DatasetError, match=rf"{sample.name}.*: expected a photo \(JPEG, .*got \d+ bytes that are none"
        ):
            read()


@pytest.mark.parametrize("name", ["labels.sqlite", "reviews.sqlite", "crawl.sqlite"])
def test_links_to_databases_are_refused(tmp_path: Path, name: str) -> None:
    folder, outside = tmp_path / "set", tmp_path / "outside.sqlite"
    folder.mkdir()
    (folder / name).symlink_to(outside)
    opens = {"labels.sqlite": LabelStore.create, "reviews.sqlite": ReviewLog.of, "crawl.sqlite": _crawl}
    with pytest.raises(DatasetError, match=rf"expected .*{name} inside .*, got a link to {outside}"):
        opens[name](folder)
    assert not outside.exists()


@pytest.mark.parametrize("merged", [False, True], ids=["opened", "merged"])
def test_journals_that_name_other_files_are_refused(tmp_path: Path, merged: bool) -> None:
    victim, store = tmp_path / "precious", tmp_path / "store"
    victim.write_bytes(b"precious")
    LabelStore.create(store).close()
    name, magic = str(victim).encode(), bytes.fromhex("d9d505f920a163d7")
    pages = (store / "labels.sqlite").stat().st_size // 4096
    head = (magic + struct.pack(">5I", 0, 0, pages, 512, 4096)).ljust(512, b"\0")  # no page to roll back
    end = struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">2I", len(name), sum(name)) + magic
    (store / "labels.sqlite-journal").write_bytes(head + end)
    with pytest.raises(DatasetError, match="expected a journal of one database"):
        _merge(tmp_path / "mine", store) if merged else LabelStore.open(store)
    assert victim.read_bytes() == b"precious"


def _merge(mine: Path, other: Path) -> None:
    with LabelStore.create(mine) as store:
        store.merge(other)


def _crawl(folder: Path) -> CrawlDatabase:
    return CrawlDatabase.open(folder, create=True)


_NAMES = {"empty": "", "null": "a\0", "half a pair": "\ud800", "nothing": None, "number": 3, "absolute": "/etc/passwd"}
_NAMES |= {"up": "../secret", "down and up": "a/../../secret"}
_ARCHIVES = _NAMES | {"parent": "..", "dot": ".", "backslash": "a\\b", "list": ["part-000.zip"]}
_INDEX = r"index of a packed dataset in .*packed\.json"
_MEMBERS: dict[str, tuple[dict[str, object], str]] = {
    **{
        f"archive: {kind}": ({"archive": name}, f"{_INDEX}, got: expected a file's name")
        for kind, name in _ARCHIVES.items()
    },
    "offset as text": ({"offset": "0"}, _INDEX),
    "negative offset": ({"offset": -1}, _INDEX),
    "no size": ({"size": None}, _INDEX),
    "beyond the end": ({"offset": 0, "size": 200_000_000}, r"expected 200000000 bytes or more in .*part-000\.zip"),
    "too large": ({"offset": 0, "size": 10**12}, "no part of an archive"),
}


@pytest.mark.parametrize(("changed", "message"), _MEMBERS.values(), ids=_MEMBERS)
def test_invalid_members(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    _changed_index(tmp_path / "set", lambda entry: entry["photo"].update(changed))
    if changed.get("size") == 10**12:
        with (tmp_path / "set" / "part-000.zip").open("r+b") as file:
            file.truncate(10**12)  # a hole, which takes no space
    with pytest.raises(DatasetError, match=message):
        open_dataset(tmp_path / "set")


@pytest.mark.parametrize("name", _NAMES.values(), ids=_NAMES)
def test_names_of_samples(tmp_path: Path, name: object) -> None:
    _changed_index(tmp_path / "set", lambda entry: entry.update(name=name))
    with pytest.raises(DatasetError, match=_INDEX):
        open_dataset(tmp_path / "set")


def _changed_index(folder: Path, change: Callable[[dict[str, dict[str, object]]], None]) -> None:
    _packed(folder)
    index = json.loads((folder / "packed.json").read_text())
    change(index["samples"][0])
    (folder / "packed.json").write_text(json.dumps(index))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "set"
    _packed(folder)
    return folder


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_index(packed: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("fuzzed")
    index = json.loads((packed / "packed.json").read_text())
    entry = data.draw(st.sampled_from(index["samples"]))
    place = data.draw(st.sampled_from([index, entry, entry["photo"], entry["semantic"]]))
    if data.draw(st.booleans()):
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(_JSON)
    text = json.dumps(index if data.draw(st.booleans()) else data.draw(_JSON)).encode()
    archive = (packed / "part-000.zip").read_bytes()
    (folder / "packed.json").write_bytes(text[: data.draw(st.sampled_from([len(text), len(text) // 2]))])
    (folder / "part-000.zip").write_bytes(archive[: data.draw(st.integers(0, len(archive)) | st.just(len(archive)))])
    _read_all(folder)


@settings(max_examples=40, deadline=None)
@given(text=st.binary(max_size=64))
def test_any_bytes_as_an_index(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "packed.json").write_bytes(text)
    with pytest.raises(SurfacesError):
        open_dataset(folder)


def _read_all(folder: Path) -> None:
    with suppress(SurfacesError):
        for sample in open_dataset(folder):
            sample.image()
            sample.labels()
