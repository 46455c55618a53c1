"""Every page, with markup in every text that strangers may have written: it is shown, and does nothing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel.commands.report import write_report
from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.filters.image_filter import FilterSettings, ImageFilter
from autolabel.crawling.filters.interiors import SceneShares
from autolabel.crawling.records import Ended, Photo, State
from autolabel.crawling.report import write_crawl_report
from autolabel.crawling.requests import CrawlRequest, Kind
from distill.commands.evaluate import evaluate
from distill.commands.worst import find_worst, write_worst
from distill.evaluation.error_categories import read_causes
from distill.evaluation.page import write_page
from surfaces.datasets import Labels, MemorySample, Sample
from surfaces.detections import Detection, Image
from surfaces.drawing.web_page import PAGE_NAME, is_web_url, render_page
from surfaces.images.load import load_image
from surfaces.store.label_store import LabelStore, Source
from tests.autolabel.crawling.drawn_pictures import jpeg
from tests.autolabel.label_stores import ROOMS, rooms_store
from tests.browsers import needs_chromium, open_viewer
from tests.page_checks import Page, visible
from tests.photo_servers import PhotoServer

pytestmark = pytest.mark.security

SEEN = """<script>ran=1</script><img src=x onerror=ran=1>" onload="ran=1" ' &lt; {{7*7}} {% x %} {# y #}"""
UNSEEN = "\x00\x1b\u202e"
SCRIPT = f"<script>ran={SEEN}{UNSEEN}"
JAVASCRIPT = f"javascript:ran=1//{SEEN}{UNSEEN}"
WEB = f"https://a.example/{SEEN}"
NO_URL = f"https://[{SEEN}{UNSEEN}"

END_OF_TIME = 253_402_300_799  # the last second of the year 9999

# Words and hashes of our own, packed masks, and where photos are: the stores' readers may refuse other values.
CONSTRAINED = {
    *("photos.origin", "photos.unsure", "photos.sha256", "photos.near_hash", "photos.duplicate_of", "photos.path"),
    *("segments.class", "segments.mask", "segments.sha256", "sources.sha256", "sources.path", "leads.kind"),
    *("leads.state", "facts.sha256", "facts.near_hash"),
}
JSON_COLUMNS = {"details", "qualities", "headers", "facts"}
REFERENCES = {"settings": "fingerprint"}
PATHS = {"path", "corpus"}
# What decides whether a photo is shown.
DECISIVE = frozenset(("reason",))

every_text = pytest.mark.parametrize(
    ("markup", "spared"),
    [
        pytest.param(SCRIPT, frozenset(), id="script_everywhere"),
        pytest.param(SCRIPT, DECISIVE, id="script_beside_reasons"),
        pytest.param(JAVASCRIPT, DECISIVE, id="javascript_beside_reasons"),
        pytest.param(WEB, DECISIVE, id="web_beside_reasons"),
        pytest.param(NO_URL, DECISIVE, id="broken_address_beside_reasons"),
    ],
)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a row in each table, a photo at two paths, a reviewed one, and one that is called by markup."""
    folder = rooms_store(tmp_path_factory.mktemp("labels") / "store", 2)
    odd = folder.parent / """a"b#?%<script>{{7*7}}.jpg"""
    with LabelStore.open(folder) as store:
        first, second = store.photos()
        shutil.copyfile(first.source, odd)
        store.add_source(Source(str(odd), odd.stem, str(folder)), first.sha256)
        store.add_failure(Source("/corpus/a.jpg", "a", "/corpus"), "unreadable", "no photo")
        store.add_review(second.sha256, store.labels(second.sha256), "Ann")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of two photos that were kept, a copy, a small one, one that failed and one that waits."""
    folder = tmp_path_factory.mktemp("corpus")
    judge = ImageFilter(
        FilterSettings(side_min=100), scene_of=lambda _: SceneShares(wall=0.3, floor=0.2, table=0.0, room=0.9)
    )
    rooms = sorted((ROOMS / "images").iterdir())[:2]
    image = load_image(str(rooms[0]))
    photos = [*(room.read_bytes() for room in rooms), jpeg(image, 40), jpeg(image[:90])]
    with CrawlDatabase.open(folder, create=True) as ledger:
        ledger.add(
            CrawlRequest(
                f"https://a.example/{n}.jpg", Kind.PHOTO, "pages", f"https://a.example/{n}", "t", "a", "l", "u"
            )
            for n in range(len(photos) + 1)
        )
        for number in range(len(photos) + 1):
            request = ledger.next_request("a.example", 0)
            assert request
            if number == len(photos):
                ledger.end(request, Ended(State.FAILED, "http 404", "gone"))
                continue
            stats = judge.measure(photos[number])
            result = judge.classify(stats)
            time = END_OF_TIME if number else 0
            photo = Photo(stats, "photos/x" if result.kept else "", time, {"a": "b"}, result.duplicate_of)
            ledger.end(request, Ended(State.DONE, str(result.reason), result.detail, photo=photo))
        ledger.add([CrawlRequest("https://b.example/later.jpg", Kind.PHOTO, "urls")])
    return folder


@dataclass(frozen=True)
class Attacker:
    """Puts markup before texts, followed by the name of what they are.

    Attributes:
        markup: what is put there.
        spared: names of what is left as it is.
    """

    markup: str
    spared: frozenset[str] = frozenset()

    def text(self, name: str, value: str = "") -> str:
        name = REFERENCES.get(name, name)
        if name in self.spared:
            return value
        before = f"/corpus/{self.markup.removesuffix(UNSEEN)}" if name in PATHS else self.markup
        return f"{before}@{name} {value}"

    def shown(self, name: str) -> str:
        """What the page should show."""
        return visible(self.text(name)).strip()

    def json(self, name: str, value: Any) -> Any:
        """The same of JSON: of all text in it; names are kept, and headers and measures get one more."""
        if isinstance(value, dict):
            texts = {key: self.json(key, of) for key, of in value.items() if f"{name}.{key}" not in CONSTRAINED}
            more = {self.text(name): self.markup if name == "headers" else 0.5}
            return value | texts | more
        if isinstance(value, list):
            return [self.json(name, inner) for inner in value]
        return self.text(name, value) if isinstance(value, str) else value

    def column(self, name: str, value: str) -> str:
        if name not in JSON_COLUMNS:
            return self.text(name, value)
        return json.dumps(self.json(name, json.loads(value)))

    def store(self, folder: Path, out: Path) -> Path:
        """Copies a store and puts markup into every column of text that it has."""
        shutil.copytree(folder, out)
        (path,) = out.glob("*.sqlite")
        with closing(sqlite3.connect(path)) as connection:
            connection.create_function("poison", 2, self.column)
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
                    if kind == "TEXT" and f"{table}.{column}" not in CONSTRAINED:
                        connection.execute(f"UPDATE {table} SET {column} = poison('{column}', {column})")
            connection.commit()
        return out


def label_page(store: Path, out: Path, title: str) -> Page:
    with LabelStore.open(store) as opened:
        return Page(write_report(opened, out, title))


def crawl_page(corpus: Path, out: Path, title: str) -> Page:
    with CrawlDatabase.open(corpus) as opened:
        return Page(write_crawl_report(opened, out, title))


def wrong_everywhere(_: Image) -> list[Detection]:
    """A model that says nothing."""
    return []


def data_set(name: str) -> list[Sample]:
    semantic = np.ones((40, 60), np.uint8)
    return [MemorySample(name, np.zeros((40, 60, 3), np.uint8), Labels(semantic, np.zeros_like(semantic)))]


def evaluation_page(name: str, out: Path, title: str) -> Page:
    samples = data_set(name)
    return Page(write_page(out, title, evaluate(wrong_everywhere, samples), samples, wrong_everywhere))


def worst_page(name: str, out: Path, title: str, note: str) -> Page:
    causes_file = out.with_suffix(".toml")
    causes_file.write_text(f"[photos.{json.dumps(name)}]\nwall = 'rug'\nnote = {json.dumps(note)}\n", "utf-8")
    samples = data_set(name)
    findings = find_worst(wrong_everywhere, samples, 5, causes=read_causes(causes_file))
    return Page(write_worst(out, title, findings, samples, wrong_everywhere))


@every_text
def test_labels(labels: Path, tmp_path: Path, markup: str, spared: frozenset[str]) -> None:
    attacker = Attacker(markup, spared)
    page = label_page(attacker.store(labels, tmp_path / "store"), tmp_path / "page", attacker.text("title"))
    for name in ("title", "teacher", "qualities", "name", "kind", "reviewer"):
        assert attacker.shown(name) in page.text
    for name in {"path", "reason"} - spared:
        assert attacker.shown(name) in page.text
    assert visible(markup[:12]) in page.text, "the fingerprint"
    assert json.dumps(attacker.text("details"))[1:-1] in page.text
    assert len(page.pictures) == 4
    assert page.links == []


@every_text
def test_a_crawl(corpus: Path, tmp_path: Path, markup: str, spared: frozenset[str]) -> None:
    attacker = Attacker(markup, spared)
    page = crawl_page(attacker.store(corpus, tmp_path / "corpus"), tmp_path / "page", attacker.text("title"))
    shown = ("author", "detail") if spared else ("reason",)
    for name in ("title", "licence", "source", *shown):
        assert attacker.shown(name) in page.text
    assert len(page.pictures) == (4 if spared else 0)
    linked = [f"{attacker.text('page')}https://a.example/{number}" for number in range(4)]
    assert (set(linked) <= set(page.links)) == (markup == WEB)
    assert (attacker.shown("page") in page.text) == (spared != frozenset() and markup != WEB)


def test_links_and_pictures_of_a_crawl(corpus: Path, tmp_path: Path) -> None:
    page = crawl_page(corpus, tmp_path / "page", "Crawl")
    assert {f"https://a.example/{number}" for number in range(4)} <= set(page.links)
    assert {path.name for path in page.pictures} == {f"{number:04d}.jpg" for number in range(1, 5)}


@every_text
def test_an_evaluation(tmp_path: Path, markup: str, spared: frozenset[str]) -> None:
    attacker = Attacker(markup, spared)
    page = evaluation_page(attacker.text("name"), tmp_path / "page", attacker.text("title"))
    assert attacker.shown("name") in page.text
    assert attacker.shown("title") in page.text
    assert len(page.pictures) == 1


@every_text
def test_worst_photos(tmp_path: Path, markup: str, spared: frozenset[str]) -> None:
    attacker = Attacker(markup, spared)
    page = worst_page(attacker.text("name"), tmp_path / "page", attacker.text("title"), attacker.text("note"))
    for name in ("name", "title", "note"):
        assert attacker.shown(name) in page.text
    assert len(page.pictures) == 1


@needs_chromium
def test_in_a_browser(labels: Path, corpus: Path, tmp_path: Path) -> None:
    attacker = Attacker(SCRIPT, DECISIVE)
    name, title = attacker.text("name"), attacker.text("title")
    label_page(attacker.store(labels, tmp_path / "store"), tmp_path / "labels", title)
    crawl_page(attacker.store(corpus, tmp_path / "corpus"), tmp_path / "crawl", title)
    evaluation_page(name, tmp_path / "evaluation", title)
    worst_page(name, tmp_path / "worst", title, attacker.text("note"))
    with open_viewer() as viewer:
        for page, pictures in (("labels", 18), ("crawl", 5), ("evaluation", 1), ("worst", 1)):
            viewer.open(tmp_path / page / PAGE_NAME)
            widths = viewer.picture_widths()
            assert len(widths) == pictures
            assert min(widths) > 100
            assert viewer.evaluate("typeof ran") == "undefined"
            assert viewer.evaluate("document.styleSheets.length") == 1
            assert viewer.complaints == []
            assert all(url.startswith(tmp_path.as_uri()) for url in viewer.asked)


@needs_chromium
def test_the_policy_stops_what_no_template_escaped(tmp_path: Path, photo_server: PhotoServer) -> None:
    asked = photo_server.url("/asked.jpg")
    evaluation_page("name", tmp_path / "page", "title")
    page = tmp_path / "page" / PAGE_NAME
    attack = (
        f"<script>ran=1</script><img src=x onerror='ran=1'><img src='{asked}'><link rel=stylesheet href='{asked}'>"
        f"<style>body {{ background: url({asked}) }}</style><iframe src='{asked}'></iframe><base href='{asked}'>"
    )
    page.write_text(page.read_text("utf-8").replace("<pre>", f"{attack}<pre>"), "utf-8")
    with open_viewer() as viewer:
        viewer.open(page)
        viewer.picture_widths()
        assert viewer.evaluate("typeof ran") == "undefined"
        assert viewer.evaluate("document.baseURI") == page.as_uri()
        assert any("Content Security Policy" in line for line in viewer.complaints)
    assert photo_server.asked == []


any_text = st.text(st.characters(categories=None) | st.sampled_from("<>&\"'{}%#\x00\r\n\u202e\ud800"))


@settings(max_examples=60, deadline=None)
@given(any_text, any_text)
def test_any_text_is_shown_and_nothing_else(title: str, text: str) -> None:
    html = render_page("distill/worst.html", title, table=f".{text}", key={text: (1, 2, 3)}, figures=[])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PAGE_NAME
        path.write_bytes(html.encode())
        page = Page(path)
    assert page.text.count(visible(title)) >= 2
    assert f".{visible(text)}" in page.text
    assert page.text.count(visible(text)) >= 2


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(("http://", "https://", "https:", " https://", "java\tscript:", "javascript:", "//", "")), any_text
)
def test_only_urls_of_the_web_are_links(start: str, rest: str) -> None:
    url = start + rest
    if is_web_url(url):
        assert url.split("://")[0] in ("http", "https")
        assert visible(url) == url


def test_names_that_are_no_text_are_shown(tmp_path: Path) -> None:
    name = os.fsdecode(b"room \xff.jpg")
    assert "room \\udcff.jpg" in evaluation_page(name, tmp_path / "evaluation", name).text
    samples = data_set(name)
    findings = find_worst(wrong_everywhere, samples, 5)
    page = Page(write_worst(tmp_path / "worst", name, findings, samples, wrong_everywhere))
    assert "1. room \\udcff.jpg" in page.text
