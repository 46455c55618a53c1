from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.__main__ import main
from distill.sources.downloads import fetch, unpack
from models.weights.official import Checkpoint
from surfaces.classes import DINING_TABLE
from surfaces.datasets import Labels, LabelScope, MemorySample, open_dataset
from surfaces.datasets.description import licences_of
from surfaces.datasets.mask_folder import values_of_labels
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_jpeg, encode_png
from surfaces.images.load import load_image
from surfaces.licences import Licence, from_json, merged, to_json, to_toml
from tests.photo_servers import PhotoServer

ROOMS = Path(__file__).parents[2] / "data" / "rooms"
FREE = '[[sources]]\nsource = "ours"\nterms = "CC0-1.0"\ncommercial = "yes"\n'
RESEARCH = '[[sources]]\nsource = "theirs"\nterms = "research"\ncommercial = "no"\n'


def masks(folder: Path, names: list[str], description: str = "", first_room: int = 1) -> Path:
    """A folder of photos and label maps: rooms of the test data under other names."""
    rooms = open_dataset(ROOMS)
    for number, name in enumerate(names):
        room = rooms[(first_room - 1 + number) % len(rooms)]
        for kind, data in (("images", room.encoded_image()), ("masks", encode_png(values_of_labels(room.labels())))):
            path = folder / kind / f"{name}.{'jpg' if kind == 'images' else 'png'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    if description:
        (folder / "dataset.toml").write_text(description, "utf-8")
    return folder


def names_of(path: Path) -> list[str]:
    return [sample.name for sample in open_dataset(path)]


def test_a_mix_has_the_shares_and_the_licences(tmp_path: Path) -> None:
    one = masks(tmp_path / "one", [f"a{n}" for n in range(6)], FREE)
    other = masks(tmp_path / "other", [f"b{n}" for n in range(6)], RESEARCH, 7)
    out = tmp_path / "mix"
    command = ["data", "mix", str(one), str(other), "--shares", "1", "2", "--photos", "6", "--out", str(out)]
    assert main(command) == 0
    assert names_of(out) == ["one/a0", "one/a3", "other/b0", "other/b1", "other/b3", "other/b4"]
    assert [licence.source for licence in licences_of(out)] == ["ours", "theirs"]
    first = open_dataset(out)[0]
    np.testing.assert_array_equal(first.labels().semantic, open_dataset(one)[0].labels().semantic)
    assert first.encoded_image() == (one / "images" / "a0.jpg").read_bytes()


def test_a_commercial_mix_refuses_other_licences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = masks(tmp_path / "one", ["a"], FREE)
    other = masks(tmp_path / "other", ["b"], RESEARCH)
    unstated = masks(tmp_path / "unstated", ["c"])
    for refused in (other, unstated):
        command = ["data", "mix", str(one), str(refused), "--licence", "commercial", "--out", str(tmp_path / "mix")]
        assert main(command) == DatasetError.exit_code
        assert "commercial use" in capsys.readouterr().err
    assert not (tmp_path / "mix").exists()
    assert main(["data", "mix", str(one), "--licence", "commercial", "--out", str(tmp_path / "mix")]) == 0


@pytest.mark.parametrize("shares", [["1"], ["1", "0"], ["5", "1"], ["nan", "1"], ["inf", "1"]])
def test_impossible_mixes_are_refused(tmp_path: Path, shares: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(masks(tmp_path / name, [f"{name}{n}" for n in range(3)])) for name in ("one", "other")]
    command = ["data", "mix", *paths, "--out", str(tmp_path / "mix"), "--photos", "6", "--shares", *shares]
    assert main(command) == DatasetError.exit_code
    assert "share" in capsys.readouterr().err


def test_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    folder = masks(tmp_path / "set", [f"r{n:02d}" for n in range(18)])
    for n in range(18):  # a darker, recompressed copy of each
        image = load_image(str(folder / "images" / f"r{n:02d}.jpg"))
        darker = np.asarray(image * 0.9, np.uint8)
        (folder / "images" / f"copy{n:02d}.jpg").write_bytes(encode_jpeg(darker, 70))
        (folder / "masks" / f"copy{n:02d}.png").write_bytes((folder / "masks" / f"r{n:02d}.png").read_bytes())
    assert main(["data", "split", str(folder), "--out", str(tmp_path / "parts"), "--val", "0.3"]) == 0
    sides = {side: {name[-2:] for name in names_of(tmp_path / "parts" / side)} for side in ("train", "val")}
    assert sides["train"]
    assert sides["val"]
    assert not sides["train"] & sides["val"]
    assert sides["train"] | sides["val"] == {f"{n:02d}" for n in range(18)}


def test_splits_by_folder_and_by_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = masks(tmp_path / "set", [f"r{n:02d}" for n in range(18)])
    scenes = [str(masks(tmp_path / f"scene{n}", ["a", "b"], first_room=n + 1)) for n in range(8)]
    assert main(["data", "mix", *scenes, "--out", str(tmp_path / "mixed")]) == 0
    command = [
        "data",
        "split",
        str(tmp_path / "mixed"),
        "--out",
        str(tmp_path / "parts"),
        "--by",
        "folder",
        "--val",
        "0.4",
    ]
    assert main(command) == 0
    sides = {side: names_of(tmp_path / "parts" / side) for side in ("train", "val")}
    folders = {side: {name.partition("/")[0] for name in names} for side, names in sides.items()}
    assert folders["train"]
    assert folders["val"]
    assert not folders["train"] & folders["val"]
    assert len(sides["train"] + sides["val"]) == 16
    assert (
        main(["data", "split", str(folder), "--out", str(tmp_path / "blocks"), "--by", "block"])
        == DatasetError.exit_code
    )
    assert (
        main(["data", "split", str(folder), "--out", str(tmp_path / "x"), "--by", "source"]) == DatasetError.exit_code
    )
    assert "expected several sources" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_check_finds_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = masks(tmp_path / "one", ["a", "b", "c", "d"])
    (one / "images" / "a.jpg").write_bytes(encode_jpeg(np.zeros((10, 10, 3), np.uint8)))  # of another size
    size = load_image(str(one / "images" / "b.jpg")).shape[:2]
    (one / "masks" / "b.png").write_bytes(encode_png(np.full(size, 255, np.uint8)))
    flipped = cv2.flip(cv2.imread(str(one / "masks" / "c.png"), cv2.IMREAD_GRAYSCALE), 0)
    (one / "masks" / "c.png").write_bytes(encode_png(np.asarray(flipped, np.uint8)))
    (one / "dataset.toml").write_text('[[photos]]\nnames = ["b"]\npresent = ["dining table"]\n', "utf-8")
    other = masks(tmp_path / "other", ["copy"], first_room=4)
    report = tmp_path / "findings.json"
    assert main(["data", "check", str(one), str(other), "--json", str(report)]) == DatasetError.exit_code
    lines = capsys.readouterr().out.splitlines()
    found = Counter((finding["photo"], finding["is_error"]) for finding in json.loads(report.read_text("utf-8")))
    assert found[("a", True)] == 1
    assert any("b: dining table is said to be there, and none is labelled" in line for line in lines)
    assert any("c: the floor is in the upper third" in line for line in lines)
    assert any(line.endswith("bits differ)") and "copy: looks like" in line for line in lines)
    assert sum(line.startswith("error") for line in lines) == 1


def test_check_passes_sound_data_and_strict_refuses_doubts(tmp_path: Path) -> None:
    folder = masks(tmp_path / "one", ["a"])
    assert main(["data", "check", str(folder)]) == 0
    copy = masks(tmp_path / "two", ["a"])
    assert main(["data", "check", str(folder), str(copy)]) == 0
    assert main(["data", "check", str(folder), str(copy), "--strict"]) == DatasetError.exit_code


def test_check_finds_tables_over_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(open_dataset(ROOMS)[0].encoded_image())
    square = [[10, 200, 200, 200, 200, 300, 10, 300]]
    annotations = [{"id": n, "image_id": 1, "category_id": 3, "segmentation": square, "iscrowd": 0} for n in range(2)]
    image = {"id": 1, "file_name": "a.jpg", "height": 384, "width": 512}
    content = {"images": [image], "annotations": annotations, "categories": [{"id": 3, "name": "dining table"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content), "utf-8")
    assert main(["data", "check", str(tmp_path / "instances.json")]) == 0
    assert "dining table 1 and 2 overlap (100% of the smaller one)" in capsys.readouterr().out


def test_stats_count_labels_and_say_the_licence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = masks(tmp_path / "set", ["a", "b"], 'labelled = ["wall", "dining table"]\n' + FREE)
    assert main(["data", "stats", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "not labelled: floor 2" in printed
    assert "licence: ours: CC0-1.0 (commercial use: yes)" in printed
    assert main(["data", "stats", str(folder), "--json"]) == 0
    (counts,) = json.loads(capsys.readouterr().out).values()
    truth = [sample.labels() for sample in open_dataset(folder)]
    assert counts["photos"] == 2
    assert counts["tables"] == sum(int(labels.tables.max()) for labels in truth)


def test_datasets_that_are_hard_to_get_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "download", "nyuv2", "--out", str(tmp_path / "nyu")]) == DatasetError.exit_code
    assert "get it from https://cs.nyu.edu/" in capsys.readouterr().err
    assert main(["data", "download", "coco"]) == 0
    assert "c05f76d2129b6b561eb70efe16e7006df62f73fb92889132d373b9d90e31a370" in capsys.readouterr().out


def test_terms_are_accepted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from distill.sources.downloads import DOWNLOADS, accept_terms

    terms = DOWNLOADS["ade20k"].terms
    assert main(["data", "download", "ade20k", "--out", str(tmp_path / "ade")]) == DatasetError.exit_code
    assert "non-commercial research" in capsys.readouterr().err
    assert not (tmp_path / "ade").exists()
    accept_terms(terms, tmp_path / "ade", True)
    accept_terms(terms, tmp_path / "ade", False)
    with pytest.raises(DatasetError, match="--accept-terms"):
        accept_terms(f"{terms} And more.", tmp_path / "ade", False)


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return buffer.getvalue()


def test_archives_are_fetched_checked_and_unpacked_once(tmp_path: Path, photo_server: PhotoServer) -> None:
    inner = zip_of({"panoptic_val2017/1.png": b"map"})
    data = zip_of({"annotations/panoptic_val2017.json": b"{}", "annotations/panoptic_val2017.zip": inner})
    address = photo_server.serve("/annotations.zip", data)
    part = Checkpoint(address, len(data), hashlib.sha256(data).hexdigest())
    fetch([part], tmp_path / "coco")
    photo_server.serve("/annotations.zip", b"", status=500)
    fetch([part], tmp_path / "coco")  # which asks for nothing
    files = {
        path.relative_to(tmp_path / "coco").as_posix() for path in (tmp_path / "coco").rglob("*") if path.is_file()
    }
    assert {name for name in files if not name.startswith(".")} == {
        "annotations/panoptic_val2017.json",
        "annotations/panoptic_val2017/1.png",
    }


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt"])
def test_archives_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zip_of({name: b"x"}))
    with pytest.raises(DatasetError, match="inside the dataset"):
        unpack(archive, tmp_path / "set")
    assert not (tmp_path / "out.txt").exists()


def test_licences_round_trip_and_refuse_nonsense() -> None:
    licences = merged([Licence("b", "x", "no"), Licence("a", "y", "yes"), Licence("b", "x", "no")])
    assert [licence.source for licence in licences] == ["a", "b"]
    assert from_json(to_json(licences)) == licences
    for text in ("", "{}", "[1]", '[{"source": "a"}]', '[{"source": "a", "terms": "b", "commercial": "maybe"}]'):
        with pytest.raises(DatasetError):
            from_json(text)


def test_written_scopes_survive(tmp_path: Path) -> None:
    from distill.curation.writing import write_dataset

    scope = LabelScope(absent=frozenset({DINING_TABLE.coco_id}))
    labels = Labels(np.ones((20, 20), np.uint8), np.zeros((20, 20), np.uint8), scope=scope)
    sample = MemorySample("a", np.zeros((20, 20, 3), np.uint8), labels)
    write_dataset([sample], tmp_path / "set", (Licence("ours", "CC0-1.0", "yes"),), "A test")
    (copy,) = open_dataset(tmp_path / "set")
    assert copy.labels().scope == scope


def test_a_mix_has_exactly_the_photos_asked_for_also_of_folders_of_one_name(tmp_path: Path) -> None:
    paths = [masks(tmp_path / name / "train", [f"r{n}" for n in range(9)]) for name in ("a", "b", "c")]
    command = [
        "data",
        "mix",
        *map(str, paths),
        "--shares",
        "1",
        "1",
        "1",
        "--photos",
        "10",
        "--out",
        str(tmp_path / "mix"),
    ]
    assert main(command) == 0
    names = names_of(tmp_path / "mix")
    assert len(names) == 10
    assert {name.rpartition("/")[0] for name in names} == {"a/train", "b/train", "c/train"}


def test_notes_of_macos_in_archives_are_passed_over(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zip_of({"__MACOSX/annotations/._b.zip": b"x", "._c.zip": b"x", "d.json": b"{}"}))
    unpack(archive, tmp_path / "set")
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["d.json"]


def test_licences_with_any_letters_open_again(tmp_path: Path) -> None:
    folder = masks(tmp_path / "one", ["a"])
    licence = Licence('caf\u00e9 \U0001f600 "x" \x7f', "terms\n2", "yes")
    (folder / "dataset.toml").write_text(to_toml([licence]), "utf-8")
    assert licences_of(folder) == (licence,)


def test_a_split_by_source_keeps_sources_together(tmp_path: Path) -> None:
    from surfaces.datasets.parquet import ParquetRow, Provenance, write_labels

    photo = open_dataset(ROOMS)[0].encoded_image()
    labels = open_dataset(ROOMS)[0].labels()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.jpg").write_bytes(photo)
    rows = (ParquetRow(f"p{n}", "a.jpg", labels, Provenance(source=f"s{n % 8}")) for n in range(16))
    write_labels(tmp_path / "set" / "labels-00000.parquet", rows)
    command = [
        "data",
        "split",
        str(tmp_path / "set"),
        "--out",
        str(tmp_path / "parts"),
        "--by",
        "source",
        "--val",
        "0.4",
    ]
    assert main(command) == 0
    sides = [{int(name[1:]) % 8 for name in names_of(tmp_path / "parts" / side)} for side in ("train", "val")]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]
