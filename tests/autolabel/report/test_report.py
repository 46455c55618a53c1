"""`python -m autolabel report`: the content and links of its page."""

from __future__ import annotations

import html
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from autolabel.__main__ import main
from autolabel.report.gallery import choose_galleries
from autolabel.report.page import write_report
from autolabel.report.statistics import BINS, Distribution, gather_statistics
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.datasets import open_dataset
from surfaces.store.label_store import LabelStore, Source
from surfaces.store.records import ScoredLabels
from tests.autolabel.corpora import check_error, write_photo
from tests.autolabel.label_stores import ROOMS, rooms_store, scored_labels, segment, store_of
from tests.page_checks import Page


def text_of(path: Path) -> str:
    tags = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)
    return " ".join(html.unescape(tags.sub(" ", path.read_text(encoding="utf-8"))).split())


def page_of(store: Path, out: Path) -> tuple[str, set[Path]]:
    """The text of a store's report, and the pictures it shows."""
    with LabelStore.open(store) as opened:
        path = write_report(opened, out, "Labels of <rooms>")
    assert path == out / "index.html"
    return text_of(path), Page(path).pictures


def one_photo(folder: Path, labels: ScoredLabels, name: str = "photo") -> Path:
    photo = write_photo(folder / f"{name}.png", np.full((*labels.ignore_mask.shape, 3), len(name), np.uint8))
    return store_of(folder, labels, photo)


def test_the_page_needs_nothing_outside_its_folder(tmp_path: Path) -> None:
    _, pictures = page_of(rooms_store(tmp_path / "store"), tmp_path / "out")
    assert len(pictures) == 2 * 4
    assert pictures == set((tmp_path / "out" / "images").iterdir())
    assert "://" not in (tmp_path / "out" / "index.html").read_text()


def test_the_text(tmp_path: Path) -> None:
    store = rooms_store(tmp_path / "store")
    with LabelStore.open(store) as opened:
        first = next(opened.photos())
        copy = tmp_path / "copy <1>.jpg"
        copy.write_bytes(Path(first.source).read_bytes())
        opened.add_source(Source(str(copy), "copy", str(tmp_path)), first.sha256)
        for index in range(3):
            opened.add_failure(Source(f"/corpus/{index}.jpg", "x", "/corpus"), "unreadable", "expected <a photo>")
        opened.add_failure(Source("/corpus/big.jpg", "x", "/corpus"), "too large", "far too many pixels")
        opened.add_review(first.sha256, opened.labels(first.sha256), "Ann & Bob")
    text, _ = page_of(store, tmp_path / "out")
    for words in (
        "Labels of <rooms>",
        "4 photos labelled",
        "1 of them reviewed",
        "4 skipped",
        "1 duplicates",
        "ensemble (a, b)",
        '"min_share": 0.01',
        "unreadable: 3",
        "/corpus/2.jpg: expected <a photo>",
        "too large: 1",
        "labelled once: 1",
        str(copy),
        "reviewed by Ann & Bob",
        "wall 0.90 · floor 0.80",
    ):
        assert words in text


def test_classes_are_counted(tmp_path: Path) -> None:
    wall, table = np.zeros((20, 50), bool), np.zeros((20, 50), bool)
    wall[:10], table[15:, :10] = True, True
    other = np.zeros_like(table)
    other[15:, 20:30] = True
    nothing = np.zeros_like(wall)
    segments = (segment(WALL, wall, 0.9), segment(DINING_TABLE, table, 0.42), segment(DINING_TABLE, other, 1.0))
    one_photo(tmp_path / "store", ScoredLabels(segments, nothing, {"score": 0.5, "sure_share": 0.25}), "a")
    one_photo(tmp_path / "store", ScoredLabels((), nothing, {"score": 0.0}), "bb")
    with LabelStore.open(tmp_path / "store") as store:
        statistics = gather_statistics(store)
    assert statistics.photos == 2
    shares, scores = statistics.area_shares, statistics.scores["dining table"]
    assert (shares["dining table"].count, scores.count) == (1, 2)
    assert shares["dining table"].mean == pytest.approx(0.1)
    assert scores.counts[8] == scores.counts[BINS - 1] == 1
    assert shares["wall"].total == pytest.approx(0.5)
    assert shares["floor"].count == 0
    assert {name: values.count for name, values in statistics.quality_scores.items()} == {"score": 2, "sure_share": 1}
    text, _ = page_of(tmp_path / "store", tmp_path / "out")
    assert re.search(r"dining table +1 +50\.0% +2 +5\.0% +10\.0%", text)
    assert "75.0% of a photo" in text
    assert "nothing found" in text


def test_galleries(tmp_path: Path) -> None:
    labels = open_dataset(ROOMS)[0].labels()
    for name, score, flips, table in (("a", 0.2, 0.9, 0.9), ("bb", 0.9, 0.3, 0.8), ("ccc", 0.5, 0.6, 0.1)):
        one_photo(tmp_path / "store", scored_labels(labels, (0.9, 0.9, table), score=score, flips=flips), name)
    one_photo(tmp_path / "store", ScoredLabels((), np.zeros((20, 20), bool)), "none")
    with LabelStore.open(tmp_path / "store") as store:
        chosen = {gallery.title: [photo.name for photo in gallery.photos] for gallery in choose_galleries(store, 2)}
    assert chosen["Lowest scores"] == ["a", "ccc"]
    assert chosen["Highest scores"] == ["bb", "ccc"]
    assert chosen["Lowest agreement"] == ["bb", "ccc"]
    assert chosen["Dining tables, lowest scores"] == ["ccc", "bb"]
    assert len(chosen["A random sample"]) == 2


def test_labels_are_drawn_on_the_photo(tmp_path: Path) -> None:
    floor = np.zeros((600, 960), bool)
    floor[300:] = True
    one_photo(tmp_path / "store", ScoredLabels((segment(FLOOR, floor),), np.zeros_like(floor)), "z" * 100)
    page_of(tmp_path / "store", tmp_path / "out")
    plain, drawn = (cv2.imread(str(path)) for path in sorted((tmp_path / "out" / "images").iterdir()))
    assert plain.shape == drawn.shape == (300, 480, 3)
    np.testing.assert_allclose(drawn[:145].mean(axis=(0, 1)), 100, atol=3)
    np.testing.assert_allclose(drawn[160:, :, ::-1].mean(axis=(0, 1)), np.add(FLOOR.colour_rgb, 100) / 2, atol=4)
    np.testing.assert_allclose(plain, 100, atol=3)


def test_missing_photos_are_reported(tmp_path: Path) -> None:
    one_photo(tmp_path / "store", ScoredLabels((), np.zeros((20, 20), bool), {"score": 0.1}))
    (tmp_path / "store" / "photo.png").unlink()
    text, pictures = page_of(tmp_path / "store", tmp_path / "out")
    assert "gone or has changed" in text
    assert pictures == set()


def test_a_store_without_photos(tmp_path: Path) -> None:
    LabelStore.create(tmp_path / "store").close()
    text, _ = page_of(tmp_path / "store", tmp_path / "out")
    assert "0 photos labelled" in text
    assert text.count("There are none.") == 6


def test_histograms(tmp_path: Path) -> None:
    values = Distribution()
    for index, value in enumerate((0.0, 0.01, 0.5, 1.0), 1):
        values.add(value)
        one_photo(tmp_path / "store", ScoredLabels((), np.zeros((20, 20), bool), {"a_<_b": value}), "x" * index)
    with LabelStore.open(tmp_path / "store") as store:
        assert gather_statistics(store).quality_scores["a_<_b"] == values
    page_of(tmp_path / "store", tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<b>a &lt; b</b> 4 · mean 0.38</figcaption>" in page
    bars = re.findall(r'<rect x="(.+?)" y="(.+?)" width="14" height="(.+?)" .*?<title>(.+?)</title>', page)
    assert [label for *_, label in bars] == ["0.00 to 0.05: 2", "0.50 to 0.55: 1", "0.95 to 1.00: 1"]
    assert [float(height) for _, _, height, _ in bars] == [90, 45, 45]
    assert [float(y) for _, y, _, _ in bars] == [14, 59, 59]
    assert float(bars[1][0]) == pytest.approx(4 + 150 + 0.5)
    assert "<b>wall</b> none</figcaption>" in page


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rooms_store(tmp_path / "rooms", 3)
    out = tmp_path / "new" / "page"
    assert main(["report", str(tmp_path / "rooms"), "--out", str(out), "--photos", "1"]) == 0
    assert capsys.readouterr().out == f"{out / 'index.html'}\n"
    assert text_of(out / "index.html").count("Labels of rooms") == 2
    check_error(capsys, 6, "exists", "report", str(tmp_path / "rooms"), "--out", str(out))
