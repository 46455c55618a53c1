"""`python -m autolabel status`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autolabel.__main__ import main
from surfaces.datasets import open_dataset
from surfaces.store.label_store import LabelSettings, LabelStore, Source
from tests.autolabel.label_stores import ROOMS, SETTINGS, add_photo, rooms_store, scored_labels


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


def test_json(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(dataset), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    settings = status.pop("settings")
    assert settings == [
        {
            "teacher": SETTINGS.teacher,
            "fingerprint": SETTINGS.fingerprint,
            "in_use": True,
            "photos": 4,
            "details": SETTINGS.details,
        }
    ]
    failures = status.pop("failures")
    assert failures[-1] == {"source": "/corpus/odd.jpg", "reason": "ValueError: odd", "kind": "teacher failed"}
    assert len(failures) == 5
    assert status == {"photos": 4, "reviewed": 1, "duplicates": 1, "gone": 0, "segments": _segments()}


def test_text(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(dataset)]) == 0
    shown = capsys.readouterr().out
    assert "4 labelled, 1 of them reviewed" in shown
    assert f"{_segments()['dining table']} dining table" in shown
    assert "ffffffffffff  ensemble (a, b): 4 photos" in shown
    assert "skipped     5" in shown
    assert "unreadable: 4" in shown
    assert "/corpus/2.jpg: reason 2" in shown
    assert "/corpus/3.jpg" not in shown
    assert "and 1 more; --failures lists them" in shown
    assert "gone" not in shown

    assert main(["status", str(dataset), "--failures"]) == 0
    shown = capsys.readouterr().out
    assert "/corpus/3.jpg: reason 3" in shown
    assert "more" not in shown


def test_superseded_settings_and_missing_photos(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_stores_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 8
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("autolabel: expected labels at ")
    with LabelStore.create(tmp_path):
        pass
    assert main(["status", str(tmp_path)]) == 0
    assert "0 labelled" in capsys.readouterr().out
