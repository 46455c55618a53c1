"""A headless Chromium that looks at files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_chromium = pytest.mark.skipif(
    _CHROMIUM is None, reason="needs Chromium: expected chromium, chromium-browser or google-chrome on PATH"
)

_WIDTHS = """() => Promise.all([...document.images].map(async image => {
    image.loading = 'eager';
    await image.decode().catch(() => {});
    return image.naturalWidth;
}))"""


class Viewer:
    """One browser page.

    Attributes:
        complaints: what the browser wrote to its console since the last file was opened.
        asked: URLs that were asked for since then, the file's own left out.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path: Path) -> None:
        """Opens a file."""
        self.complaints.clear()
        self.asked.clear()
        self._page.goto(path.as_uri())

    def evaluate(self, script: str) -> object:
        """What an expression gives in the page; the page's own policy does not hold for it."""
        return self._page.evaluate(script)

    def picture_widths(self) -> list[int]:
        """Of all pictures, loaded, pixels; 0 of those that can't be."""
        return list(self._page.evaluate(_WIDTHS))


@contextmanager
def open_viewer() -> Iterator[Viewer]:
    """Starts a browser and ends it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield Viewer(browser.new_page())
        finally:
            browser.close()
