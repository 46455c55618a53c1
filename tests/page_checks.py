"""Checks that every page must pass, whatever untrusted text is in it, and a headless Chromium that opens pages."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import sync_playwright

from tests.chromium import CHROMIUM

_TAGS = """html meta title style h1 h2 h3 p pre b br code a img figure figcaption ul li table tr th td div span details
summary svg rect path text polyline g"""
_VOID = frozenset(("meta", "img", "br"))
_URLS = frozenset(("src", "href", "xlink:href", "srcset", "data", "action", "formaction", "poster"))
_ATTRIBUTES = """lang charset http-equiv content name class alt loading rel id open width height rx fill x y d src href
text-anchor viewbox role aria-label stroke stroke-width stroke-dasharray points font-size"""


class Page(HTMLParser):
    """A page's text with the descriptions of pictures, links to the web, and the files it shows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.pictures: set[Path] = set()
        self._folder = path.parent
        self._open: list[str] = []
        self._policies: list[str] = []
        self._styles: list[str] = []
        self.feed(path.read_text("utf-8"))
        self.close()
        assert self._open == []
        self._check_policy()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS.split()
        values = {name: value or "" for name, value in attrs}
        assert values.keys() <= set(_ATTRIBUTES.split())
        if "http-equiv" in values:
            assert self._styles == [], "the policy comes first"
            self._policies.append(values["content"])
        for name in _URLS & values.keys():
            self._check_url(name, values)
        self.text += f" {values.get('alt', '')}"
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["style"]:
            self._styles.append(data)
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def _check_url(self, name: str, values: dict[str, str]) -> None:
        url = urlsplit(values[name])
        if url.scheme in ("http", "https") and name == "href":
            assert values["rel"].split() == ["noopener", "noreferrer", "nofollow"]
            self.links.append(values[name])
            return
        assert (url.scheme, url.netloc, url.query, url.fragment) == ("", "", "", "")
        path = self._folder / unquote(url.path)
        assert path.parent == self._folder / "images"
        assert path.is_file()
        self.pictures.add(path)

    def _check_policy(self) -> None:
        (policy,), (style,) = self._policies, self._styles
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert allowed == {
            "default-src": "'none'",
            "img-src": "'self' file:",
            "style-src": f"'sha256-{digest}'",
            "base-uri": "'none'",
            "form-action": "'none'",
        }


def visible(text: str) -> str:
    """Untrusted text as a page shows it: control characters and what reorders text are escaped."""
    unseen = "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff\\ufffe\\uffff]"
    return re.sub(unseen, lambda sign: repr(sign[0])[1:-1], text)


_WIDTHS = """() => Promise.all([...document.images].map(async image => {
    image.loading = 'eager';
    await image.decode().catch(() => {});
    return image.naturalWidth;
}))"""


class Viewer:
    """One browser page, its console messages and requests since the last file was opened."""

    def __init__(self, page: BrowserPage) -> None:
        self._page = page
        self.messages: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path) -> None:
        self.messages.clear()
        self.requests.clear()
        self._page.goto(path.as_uri())

    def evaluate(self, script: str) -> object:
        """The value of an expression, for which the page's own policy does not hold."""
        return self._page.evaluate(script)

    def picture_widths(self) -> list[int]:
        """In pixels; 0 of pictures that cannot be loaded."""
        return list(self._page.evaluate(_WIDTHS))


@contextmanager
def open_viewer() -> Iterator[Viewer]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield Viewer(browser.new_page())
        finally:
            browser.close()
