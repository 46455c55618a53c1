"""`python -m autolabel report`: the content and links of its page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from autolabel.__main__ import main
from autolabel.report.gallery import choose_galleries
from autolabel.report.page import write_report
from autolabel.report.statistics import BINS, Distribution, gather_statistics
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.datasets import open_dataset
from surfaces.store.label_store import LabelStore, Source
from surfaces.store.records import ScoredLabels
from tests.autolabel.label_stores import ROOMS, add_photo, rooms_store, scored_labels, segment


class Page(HTMLParser):
    """A page's text, its links, and its tags that are open."""

    _VOID = ("meta", "img", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: set[str] = set()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._VOID:
            self.open.append(tag)
        self.links |= {value or "" for name, value in attrs if name in ("src", "href")}

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(store: Path, out: Path, photos: int = 24) -> Page:
    with LabelStore.open(store) as opened:
        path = write_report(opened, out, "Labels of <rooms>", photos)
    assert path == out / "index.html"
    return Page(path.read_text(encoding="utf-8"))


def one_photo(folder: Path, labels: ScoredLabels, name: str = "photo") -> Path:
    folder.mkdir(exist_ok=True)
    Pillow.fromarray(np.full((*labels.ignore_mask.shape, 3), len(name), np.uint8)).save(folder / f"{name}.png")
    with LabelStore.create(folder) as store:
        add_photo(store, folder / f"{name}.png", labels)
    return folder


def test_the_page_needs_nothing_outside_its_folder(tmp_path: Path) -> None:
    page = page_of(rooms_store(tmp_path / "store"), tmp_path / "out")
    assert page.open == []
    assert len(page.links) == 2 * 4
    pictures = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out" / "images").iterdir()}
    assert page.links == pictures
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
    text = page_of(store, tmp_path / "out").text
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
    tables = statistics.classes["dining table"]
    assert (tables.area_shares.count, tables.scores.count) == (1, 2)
    assert tables.area_shares.mean == pytest.approx(0.1)
    assert tables.scores.counts[8] == tables.scores.counts[BINS - 1] == 1
    assert statistics.classes["wall"].area_shares.total == pytest.approx(0.5)
    assert statistics.classes["floor"].area_shares.count == 0
    assert {name: values.count for name, values in statistics.quality_scores.items()} == {"score": 2, "sure_share": 1}
    text = page_of(tmp_path / "store", tmp_path / "out").text
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
    page = page_of(tmp_path / "store", tmp_path / "out")
    assert "gone or has changed" in page.text
    assert page.links == set()


def test_a_store_without_photos(tmp_path: Path) -> None:
    LabelStore.create(tmp_path / "store").close()
    text = page_of(tmp_path / "store", tmp_path / "out").text
    assert "0 photos labelled" in text
    assert text.count("There are none.") == 6


def test_histograms(tmp_path: Path) -> None:
    values = Distribution()
    for value in (0.0, 0.01, 0.5, 1.0):
        values.add(value)
    with LabelStore.create(tmp_path / "store") as store:
        for index, value in enumerate((0.0, 0.01, 0.5, 1.0)):
            photo = tmp_path / f"{index}.png"
            Pillow.fromarray(np.full((20, 20, 3), index, np.uint8)).save(photo)
            add_photo(store, photo, ScoredLabels((), np.zeros((20, 20), bool), {"a_<_b": value}))
        assert gather_statistics(store).quality_scores["a_<_b"] == values
    page_of(tmp_path / "store", tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text()
    assert "<b>a &lt; b</b> 4 · mean 0.38</figcaption>" in html
    bars = re.findall(r'<rect x="(.+?)" y="(.+?)" width="14" height="(.+?)" .*?<title>(.+?)</title>', html)
    assert [label for *_, label in bars] == ["0.00 to 0.05: 2", "0.50 to 0.55: 1", "0.95 to 1.00: 1"]
    assert [float(height) for _, _, height, _ in bars] == [90, 45, 45]
    assert [float(y) for _, y, _, _ in bars] == [14, 59, 59]
    assert float(bars[1][0]) == pytest.approx(4 + 150 + 0.5)
    assert "<b>wall</b> none</figcaption>" in html


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rooms_store(tmp_path / "rooms", 3)
    out = tmp_path / "new" / "page"
    assert main(["report", str(tmp_path / "rooms"), "--out", str(out), "--photos", "1"]) == 0
    assert capsys.readouterr().out == f"{out / 'index.html'}\n"
    assert Page((out / "index.html").read_text()).text.count("Labels of rooms") == 2
    assert main(["report", str(tmp_path / "rooms"), "--out", str(out)]) == 6
    assert main(["report", str(tmp_path / "nowhere"), "--out", str(tmp_path / "other")]) == 8
    shown = capsys.readouterr()
    assert [line.split(":")[0] for line in shown.err.splitlines()] == ["autolabel", "autolabel"]
    assert shown.out == ""
    assert not (tmp_path / "other").exists()
