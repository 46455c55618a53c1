"""The documents' site: it builds without a warning, its links lead somewhere, and it asks nobody."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tools.docs_site import PAGES, rewrite_links

ROOT = Path(__file__).parents[2]


class Links(HTMLParser):
    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag == "a" and given.get("href"):
            self.found.append(given["href"])
        elif tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loaded.append(given["src"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preconnect"):
            self.loaded.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def test_links_lead_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {page: Links(page) for page in site.rglob("*.html") if page.name != "404.html"}
    assert len(pages) > 20
    faults = []
    for page, links in pages.items():
        faults += [f"{page.name} loads {address}" for address in links.loaded if urlsplit(address).netloc]
        for address in links.found:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.is_file():
                faults.append(f"{page.name} links to {address}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                faults.append(f"{page.name} links to {address}, which has no such part")
    assert faults == []
    assert not re.search(r"url\(.?https?:", "".join(path.read_text("utf-8") for path in site.rglob("*.css")))


def test_the_reference_has_the_interface(site: Path) -> None:
    ids = Links(site / "api.html").ids
    for name in ("Segmenter.predict", "Result.masks", "Result.to_supervision", "Result.recolor", "Result.save"):
        assert f"interior_surfaces.{name}" in ids


def test_every_page_is_in_the_navigation(site: Path) -> None:
    shown = {urlsplit(address).path for address in Links(site / "index.html").found}
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")} - {"404.html", "index.html"}
    assert pages <= shown


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("README.md", "[a](docs/serve.md#load)", "[a](serve.md#load)"),
        ("README.md", "![a](docs/images/page.jpg)", "![a](images/page.jpg)"),
        ("README.md", "[`x`](examples/README.md) [b](https://example.com)", "`x` [b](https://example.com)"),
        ("docs/results.md", "[card](../MODEL_CARD.md)", "[card](MODEL_CARD.md)"),
        ("docs/results.md", "[start](../README.md#quick-start)", "[start](index.md#quick-start)"),
        ("docs/results/README.md", "[up](../results.md) [x](a.json)", "[up](../results.md) [x](a.json)"),
        ("docs/autolabel.md", "[classes](../autolabel/labelling/classes.toml)", "classes"),
    ],
)
def test_links_fit_the_site(source: str, text: str, expected: str) -> None:
    assert rewrite_links(text, source) == expected


def test_pages_beside_the_documents_exist() -> None:
    assert all((ROOT / source).is_file() for source in PAGES)
