"""`python -m autolabel status` and `merge`, and outputs inside inputs."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from autolabel.__main__ import main
from surfaces.datasets import open_dataset
from surfaces.store.label_store import LabelSettings, LabelStore, Source
from tests.autolabel.corpora import check_error, dump, make_corpus, teacher_file
from tests.autolabel.label_stores import ROOMS, SETTINGS, add_photo, rooms_store, scored_labels

Capture = pytest.CaptureFixture[str]

_REFUSED = {
    "export equal": "export store --format coco --out store",
    "export inside": "export store --format coco --out store/new/out",
    "export by a link": "export store --format coco --out link/out",
    "report inside": "report store --out store/report",
    "compare over the labels": "compare store --truth rooms --json store/labels.sqlite",
    "compare over the truth": "compare store --truth rooms/annotations.json --json rooms/annotations.json",
    "compare inside the truth": "compare store --truth rooms --json rooms/annotations.json",
    "merge equal": "merge store other --out store",
    "merge by a link": "merge other store --out link",
    "merge inside": "merge store other --out store/all",
    "crawl equal": "crawl --folder rooms/images --out rooms/images",
    "crawl inside": "crawl --folder rooms --out rooms/corpus",
    "crawl photos into the folder": "crawl --folder rooms --out corpus --store rooms/images",
    "crawl report inside": "crawl --out corpus --report corpus/report",
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four rooms, one of them reviewed and one at two paths; five failures of two kinds."""
    folder = rooms_store(tmp_path / "set")
    with LabelStore.open(folder) as store:
        photos = list(store.photos())
        store.add_review(photos[0].sha256, store.labels(photos[0].sha256), "ann")
        store.add_source(Source("/copies/x.jpg", "x", "/copies"), photos[1].sha256)
        for number in range(4):
            store.add_failure(Source(f"/corpus/{number}.jpg", str(number), "/corpus"), "unreadable", f"reason {number}")
        store.add_failure(Source("/corpus/odd.jpg", "odd", "/corpus"), "teacher failed", "ValueError: odd")
    return folder


def _segments() -> dict[str, int]:
    labels = [sample.labels() for sample in open_dataset(ROOMS)[:4]]
    return {
        "wall": sum(bool((one.semantic == 1).any()) for one in labels),
        "floor": sum(bool((one.semantic == 2).any()) for one in labels),
        "dining table": sum(int(one.tables.max()) for one in labels),
    }


def test_status_as_json(dataset: Path, capsys: Capture) -> None:
    assert main(["status", str(dataset), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    details = {"teacher": SETTINGS.teacher, "fingerprint": SETTINGS.fingerprint, "details": SETTINGS.details}
    assert status.pop("settings") == [{**details, "in_use": True, "photos": 4}]
    failures = status.pop("failures")
    assert failures[-1] == {"source": "/corpus/odd.jpg", "reason": "ValueError: odd", "kind": "teacher failed"}
    assert len(failures) == 5
    assert [licence["terms"] for licence in status.pop("licences")] == ["not stated"] * 2
    assert status == {"photos": 4, "reviewed": 1, "duplicates": 1, "gone": 0, "segments": _segments()}


def test_status_as_text(dataset: Path, capsys: Capture) -> None:
    assert main(["status", str(dataset)]) == 0
    shown = capsys.readouterr().out
    for words in (
        "4 labelled, 1 of them reviewed",
        f"{_segments()['dining table']} dining table",
        "ffffffffffff  ensemble (a, b): 4 photos",
        "skipped     5",
        "unreadable: 4",
        "/corpus/2.jpg: reason 2",
        "and 1 more; --failures lists them",
    ):
        assert words in shown
    assert "/corpus/3.jpg" not in shown
    assert "gone" not in shown
    assert main(["status", str(dataset), "--failures"]) == 0
    shown = capsys.readouterr().out
    assert "/corpus/3.jpg: reason 3" in shown
    assert "more" not in shown


def test_status_of_superseded_settings_and_missing_photos(dataset: Path, capsys: Capture) -> None:
    with LabelStore.open(dataset) as store:
        store.forget_absent(str(ROOMS / "images"), set())
        add_photo(store, ROOMS / "images" / "room_05.jpg", scored_labels(open_dataset(ROOMS)[4].labels()))
        (first, *_, last) = list(store.photos())
        store.use_settings(LabelSettings("e" * 64, "student"), relabel=True)
        store.add(Source(first.source, first.name, "/"), "0" * 64, store.labels(last.sha256), "e" * 64)
    assert main(["status", str(dataset)]) == 0
    shown = capsys.readouterr().out
    assert "eeeeeeeeeeee  student: 1 photos\n" in shown
    assert "photos, superseded" in shown
    assert "gone        1 labelled photos" in shown


def test_status_without_labels(tmp_path: Path, capsys: Capture) -> None:
    LabelStore.create(tmp_path).close()
    assert main(["status", str(tmp_path)]) == 0
    assert "0 labelled" in capsys.readouterr().out


def test_shards_of_several_machines_are_merged(tmp_path: Path, capsys: Capture) -> None:
    corpus, teacher = make_corpus(tmp_path / "photos", 8), str(teacher_file(tmp_path))
    one, two, whole, merged = (str(tmp_path / name) for name in ("one", "two", "whole", "merged"))
    for out, *shard in ((one, "--shard", "1/2"), (two, "--shard", "2/2"), (whole,)):
        flags = ["--allow-python", "--teacher", teacher, "--quiet", *shard]
        assert main(["run", str(corpus), "--out", out, *flags]) == 0
    capsys.readouterr()
    assert main(["merge", one, two, "--out", merged]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{merged}\n"
    assert sum(map(int, re.findall(r": (\d+) photos taken over", shown.err))) == 8
    assert dump(Path(merged)) == dump(Path(whole))
    assert main(["merge", one, str(tmp_path / "none"), "--out", str(tmp_path / "new")]) == 8
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("into", ["all", "one"])
def test_stores_of_other_settings_are_not_merged(tmp_path: Path, capsys: Capture, into: str) -> None:
    rooms_store(tmp_path / "one", 1)
    with LabelStore.create(tmp_path / "two") as store:
        store.use_settings(LabelSettings("0" * 64, "another teacher"))
    datasets = [str(tmp_path / name) for name in ("one", "two") if name != into]
    shown = check_error(capsys, 12, "ensemble (a, b), ffffffffffff)", "merge", *datasets, "--out", str(tmp_path / into))
    assert "(another teacher, 000000000000)" in shown
    assert not (tmp_path / "all").exists()


def test_reviews_that_are_not_taken_over_are_reported(tmp_path: Path, capsys: Capture) -> None:
    folders = [rooms_store(tmp_path / name, 2) for name in ("one", "two")]
    for folder in folders:
        with LabelStore.open(folder) as store:
            sha256 = next(store.photos()).sha256
            labels = store.labels(sha256)
            kept = labels.segments if folder.name == "one" else labels.segments[1:]
            store.add_review(sha256, replace(labels, segments=kept), folder.name)
    assert main(["merge", *map(str, folders), "--out", str(tmp_path / "all")]) == 0
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"{folders[1]}: 0 photos taken over",
        f"{folders[1]}: 1 photos have other reviews in {tmp_path / 'all'}, which are kept",
    ]


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", list(_REFUSED.values()), ids=list(_REFUSED))
def test_an_output_inside_an_input_is_refused(
    tmp_path: Path, command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rooms_store(tmp_path / "store", 1)
    rooms_store(tmp_path / "other", 2)
    (tmp_path / "link").symlink_to("store")
    (tmp_path / "corpus").mkdir()
    shutil.copytree(ROOMS, tmp_path / "rooms")
    before = _contents(tmp_path)
    check_error(capsys, 6, "autolabel: expected an output outside of the input ", *command.split())
    assert _contents(tmp_path) == before
