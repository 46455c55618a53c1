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
from autolabel.crawling.records import CrawlRequest, Ended, Kind, Photo, State
from autolabel.crawling.report import write_crawl_report
from distill.commands.evaluate import evaluate
from distill.evaluation.error_analysis import analyze_errors, read_categories
from distill.evaluation.error_page import write_error_page
from distill.evaluation.page import write_page
from surfaces.datasets import Labels, MemorySample, Sample
from surfaces.detections import Detection, Image
from surfaces.drawing.web_page import PAGE_NAME, is_web_url, render_page
from surfaces.images.load import load_image
from surfaces.store.label_store import LabelStore, Source
from tests.autolabel.crawling.drawn_pictures import jpeg
from tests.autolabel.label_stores import ROOMS, rooms_store
from tests.chromium import needs_chromium
from tests.page_checks import Page, open_viewer, visible
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
    """A crawl of two photos that were kept, a copy, a small one, one that failed and one that waits."""
    folder = tmp_path_factory.mktemp("corpus")
    scene = SceneShares(wall=0.3, floor=0.2, table=0.0, room=0.9)
    image_filter = ImageFilter(FilterSettings(side_min=100), scene_of=lambda _: scene)
    rooms = sorted((ROOMS / "images").iterdir())[:2]
    image = load_image(str(rooms[0]))
    photos = [*(room.read_bytes() for room in rooms), jpeg(image, 40), jpeg(image[:90])]
    with CrawlDatabase.open(folder, create=True) as database:
        urls = [f"https://a.example/{number}" for number in range(len(photos) + 1)]
        database.add(CrawlRequest(f"{url}.jpg", Kind.PHOTO, "pages", url, "t", "a", "l", "u") for url in urls)
        for number in range(len(urls)):
            request = database.next_request("a.example", 0)
            assert request
            if number == len(photos):
                database.end(request, Ended(State.FAILED, "http 404", "gone"))
                continue
            stats = image_filter.measure(photos[number])
            result = image_filter.classify(stats)
            time = END_OF_TIME if number else 0
            photo = Photo(stats, "photos/x" if result.kept else "", time, {"a": "b"}, result.duplicate_of)
            database.end(request, Ended(State.DONE, str(result.reason), result.detail, photo=photo))
        database.add([CrawlRequest("https://b.example/later.jpg", Kind.PHOTO, "urls")])
    return folder


@dataclass(frozen=True)
class Attacker:
    """Puts markup and their name before texts, except those with the names `spared`."""

    markup: str
    spared: frozenset[str] = frozenset()

    def text(self, name: str, value: str = "") -> str:
        name = REFERENCES.get(name, name)
        if name in self.spared:
            return value
        before = f"/corpus/{self.markup.removesuffix(UNSEEN)}" if name in PATHS else self.markup
        return f"{before}@{name} {value}"

    def shown(self, name: str) -> str:
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


every_text = pytest.mark.parametrize(
    "attacker",
    [
        pytest.param(Attacker(SCRIPT), id="script_everywhere"),
        pytest.param(Attacker(SCRIPT, DECISIVE), id="script_beside_reasons"),
        pytest.param(Attacker(JAVASCRIPT, DECISIVE), id="javascript_beside_reasons"),
        pytest.param(Attacker(WEB, DECISIVE), id="web_beside_reasons"),
        pytest.param(Attacker(NO_URL, DECISIVE), id="broken_address_beside_reasons"),
    ],
)


def label_page(store: Path, out: Path, title: str) -> Page:
    with LabelStore.open(store) as opened:
        return Page(write_report(opened, out, title))


def crawl_page(corpus: Path, out: Path, title: str) -> Page:
    with CrawlDatabase.open(corpus) as opened:
        return Page(write_crawl_report(opened, out, title))


def predict_nothing(_: Image) -> list[Detection]:
    return []


def data_set(name: str) -> list[Sample]:
    semantic = np.ones((40, 60), np.uint8)
    return [MemorySample(name, np.zeros((40, 60, 3), np.uint8), Labels(semantic, np.zeros_like(semantic)))]


def evaluation_page(name: str, out: Path, title: str) -> Page:
    samples = data_set(name)
    return Page(write_page(out, title, evaluate(predict_nothing, samples), samples, predict_nothing))


def error_page(name: str, out: Path, title: str, note: str | None = None) -> Page:
    categories = {}
    if note is not None:
        file = out.with_suffix(".toml")
        file.write_text(f"[photos.{json.dumps(name)}]\nwall = 'rug'\nnote = {json.dumps(note)}\n", "utf-8")
        _, categories = read_categories(file)
    samples = data_set(name)
    analysis = analyze_errors(predict_nothing, samples, 5, categories=categories)
    return Page(write_error_page(out, title, analysis, samples, predict_nothing))


@every_text
def test_labels(labels: Path, tmp_path: Path, attacker: Attacker) -> None:
    page = label_page(attacker.store(labels, tmp_path / "store"), tmp_path / "page", attacker.text("title"))
    for name in ("title", "teacher", "qualities", "name", "kind", "reviewer"):
        assert attacker.shown(name) in page.text
    for name in {"path", "reason"} - attacker.spared:
        assert attacker.shown(name) in page.text
    assert visible(attacker.markup[:12]) in page.text, "the fingerprint"
    assert json.dumps(attacker.text("details"))[1:-1] in page.text
    assert len(page.pictures) == 4
    assert page.links == []


@every_text
def test_a_crawl(corpus: Path, tmp_path: Path, attacker: Attacker) -> None:
    page = crawl_page(attacker.store(corpus, tmp_path / "corpus"), tmp_path / "page", attacker.text("title"))
    shown = ("author", "detail") if attacker.spared else ("reason",)
    for name in ("title", "licence", "source", *shown):
        assert attacker.shown(name) in page.text
    assert len(page.pictures) == (4 if attacker.spared else 0)
    linked = [f"{attacker.text('page')}https://a.example/{number}" for number in range(4)]
    assert (set(linked) <= set(page.links)) == (attacker.markup == WEB)
    assert (attacker.shown("page") in page.text) == (attacker.spared != frozenset() and attacker.markup != WEB)


def test_links_and_pictures_of_a_crawl(corpus: Path, tmp_path: Path) -> None:
    page = crawl_page(corpus, tmp_path / "page", "Crawl")
    assert {f"https://a.example/{number}" for number in range(4)} <= set(page.links)
    assert {path.name for path in page.pictures} == {f"{number:04d}.jpg" for number in range(1, 5)}


@every_text
def test_an_evaluation(tmp_path: Path, attacker: Attacker) -> None:
    page = evaluation_page(attacker.text("name"), tmp_path / "page", attacker.text("title"))
    for name in ("name", "title"):
        assert attacker.shown(name) in page.text
    assert len(page.pictures) == 1


@every_text
def test_an_error_analysis(tmp_path: Path, attacker: Attacker) -> None:
    page = error_page(attacker.text("name"), tmp_path / "page", attacker.text("title"), attacker.text("note"))
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
    error_page(name, tmp_path / "errors", title, attacker.text("note"))
    with open_viewer() as viewer:
        for page, pictures in (("labels", 18), ("crawl", 5), ("evaluation", 1), ("errors", 1)):
            viewer.open(tmp_path / page / PAGE_NAME)
            widths = viewer.picture_widths()
            assert len(widths) == pictures
            assert min(widths) > 100
            assert viewer.evaluate("typeof ran") == "undefined"
            assert viewer.evaluate("document.styleSheets.length") == 1
            assert viewer.messages == []
            assert all(url.startswith(tmp_path.as_uri()) for url in viewer.requests)


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
        assert any("Content Security Policy" in line for line in viewer.messages)
    assert photo_server.asked == []


any_text = st.text(st.characters(categories=None) | st.sampled_from("<>&\"'{}%#\x00\r\n\u202e\ud800"))


@settings(max_examples=60, deadline=None)
@given(any_text, any_text)
def test_any_text_is_shown_and_nothing_else(title: str, text: str) -> None:
    html = render_page("distill/errors.html", title, table=f".{text}", key={text: (1, 2, 3)}, figures=[])
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
    assert "1. room \\udcff.jpg" in error_page(name, tmp_path / "errors", name).text
