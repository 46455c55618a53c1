"""A person at Label Studio's editor, played by a headless Chromium; points are x, y in the photo's own pixels."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from PIL import Image as Pillow
from playwright.sync_api import Page, Response, Route, sync_playwright

from surfaces.detections import Image
from tests.chromium import ARGUMENTS, ARTEFACTS, CHROMIUM, LOOPBACK

SIZE_WH = (1440, 900)
_KEPT_SIZE_WH = (1152, 720)
OVERLAY_OPACITY = 0.6  # of brush masks on a photo

_PATIENCE_MS = 60_000
_INSTRUCTIONS = "[class*=modal-ls__body]"
_READY = """() => {
    const store = window.Htx, annotation = store?.annotationStore?.selected, photo = annotation?.names?.get('photo');
    if (!photo?.stageRef || !photo.currentImageEntity?.imageLoaded || store.isLoading) return false;
    return annotation.regions.every(r => r.type !== 'brushregion' || r.layerRef?.canvas);
}"""
_PLACE = """() => {
    const photo = window.Htx.annotationStore.selected.names.get('photo'), stage = photo.stageRef;
    const box = stage.container().getBoundingClientRect();
    return [box.x + stage.x(), box.y + stage.y(), photo.stageZoom * photo.zoomScale,
            photo.naturalWidth, photo.naturalHeight];
}"""
_REGIONS = """() => window.Htx.annotationStore.selected.regions.filter(r => r.type).map(
    r => [r.type, r.labels.join(), !!r.selected, r.touches?.length || 0, !!r.closed, !!r.isDrawing])"""
_LABELS = """() => window.Htx.annotationStore.selected.toNames.get('photo').flatMap(
    control => control.isLabelsControl || /labels$/.test(control.type) ? control.selectedValues() : [])"""
_BRUSH = """() => {
    const photo = window.Htx.annotationStore.selected.names.get('photo');
    return photo.getToolsManager().findSelectedTool()?.strokeWidth / photo.stageZoom;
}"""


class Place(NamedTuple):
    """Where a photo lies on the page: its corner and scale in page pixels, its size in its own pixels."""

    left: float
    top: float
    scale: float
    width: int
    height: int

    def on_page(self, point_xy: tuple[float, float]) -> tuple[float, float]:
        return self.left + point_xy[0] * self.scale, self.top + point_xy[1] * self.scale


class Region(NamedTuple):
    """A region as the editor holds it: `brushregion` or `polygonregion`, its label, and what is done with it."""

    kind: str
    label: str
    selected: bool
    strokes: int
    closed: bool
    drawing: bool


class Editor:
    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.asked_outside: list[str] = []
        self._url = url.rstrip("/")
        page.set_default_timeout(_PATIENCE_MS)
        page.route("**/*", self._pass_loopback)

    def sign_in(self, email: str, password: str) -> None:
        self.page.goto(f"{self._url}/user/login/")
        self.page.fill("input[name=email]", email)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit], input[type=submit]")
        self.page.wait_for_url(lambda url: "/user/login" not in url)

    def open_stream(self, project: int) -> int:
        """Begins to label all tasks as Label Studio hands them out, instructions over the first; returns its id."""
        self.page.goto(f"{self._url}/projects/{project}/data")
        self.page.get_by_role("button", name="Label All Tasks", exact=True).click()
        self.page.locator(_INSTRUCTIONS).wait_for(state="visible")
        return self.wait_ready()

    def open_first(self, project: int, screenshot: str | None = None) -> None:
        """Opens the first task of the list, of which a picture may be kept."""
        self.page.goto(f"{self._url}/projects/{project}/data")
        row = self.page.locator("[data-testid=table-row]").first
        row.wait_for(state="visible")
        if screenshot:
            self.screenshot(screenshot)
        row.click()
        self.wait_ready()

    def wait_ready(self) -> int:
        """Waits until a task's photo and its regions are drawn; returns the task's id."""
        self.page.wait_for_function(_READY)
        self._settle()
        return int(self.page.evaluate("() => window.Htx.task.id"))

    def data(self, column: str) -> str:
        return str(self.page.evaluate("column => window.Htx.task.dataObj[column]", column))

    def instructions(self) -> str:
        return self.page.locator(_INSTRUCTIONS).inner_text()

    def close_instructions(self) -> None:
        self.page.get_by_label("Close modal").click()
        self.page.locator(_INSTRUCTIONS).wait_for(state="detached")

    def wait_next(self, task: int) -> int:
        self.page.wait_for_function("task => window.Htx.task && window.Htx.task.id !== task", arg=task)
        return self.wait_ready()

    def regions(self) -> list[Region]:
        return [Region(*row) for row in self.page.evaluate(_REGIONS)]

    def chosen_labels(self) -> list[str]:
        return list(self.page.evaluate(_LABELS))

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self._settle()

    def select(self, label: str, number: int = 0) -> None:
        """Selects, in the list of regions, the one of this label and number, from 0."""
        self.page.locator(".lsf-outliner-item").filter(has_text=label).nth(number).click()
        self._wait_regions(lambda regions: any(region.selected for region in regions))

    def delete_selected(self) -> None:
        before = len(self.regions())
        self.page.keyboard.press("Backspace")
        self._wait_regions(lambda regions: len(regions) == before - 1)

    def stroke(self, points_xy: Sequence[tuple[float, float]]) -> float:
        """Draws (or wipes, with the eraser) along these points; returns the stroke's width in the photo's pixels."""
        before = sum(region.strokes for region in self.regions())
        self._drag(points_xy)
        self._wait_regions(
            lambda regions: sum(r.strokes for r in regions) == before + 1 and not any(r.drawing for r in regions)
        )
        return float(self.page.evaluate(_BRUSH))

    def polygon(self, points_xy: Sequence[tuple[float, float]]) -> None:
        closed = sum(region.closed for region in self.regions())
        place = self.place()
        for point in [*points_xy, points_xy[0]]:
            x, y = place.on_page(point)
            self.page.mouse.move(x, y, steps=2)
            self.page.mouse.click(x, y, delay=30)
            self._settle()
        self._wait_regions(lambda regions: sum(region.closed for region in regions) == closed + 1)

    def click(self, point_xy: tuple[float, float]) -> None:
        self.page.mouse.click(*self.place().on_page(point_xy))

    def choose(self, verdict: str) -> None:
        self.page.locator(f".lsf-choices input[name={verdict!r}]").check()
        self._settle()

    def annotate_automatically(self) -> None:
        """Has clicks and boxes answered by the backend, and its answers taken as they come."""
        for name in ("auto-annotation", "auto-accept"):
            self.page.locator(f"[data-testid=bottombar-{name}-toggle]").check(force=True)
        # While a switch has the focus, Label Studio hears no hotkeys.
        self.page.get_by_text("Whole photo").click()

    def wait_for_label(self, label: str) -> None:
        self._wait_regions(lambda regions: any((r.kind, r.label) == ("brushregion", label) for r in regions))

    def verdict(self) -> list[str]:
        ticked = self.page.locator(".lsf-choices input:checked")
        return [str(box.get_attribute("name")) for box in ticked.all()]

    def comment(self, text: str) -> None:
        self.page.locator("textarea[name=comment], input[name=comment]").first.fill(text)

    def submit(self) -> dict[str, Any]:
        """Submits, or updates what was submitted; returns what the server made of it."""
        return self._send("[data-testid=bottombar-submit-button], [data-testid=bottombar-update-button]")

    def skip(self) -> dict[str, Any]:
        return self._send("[data-testid=bottombar-skip-button]")

    def _send(self, button: str) -> dict[str, Any]:
        def is_answer(response: Response) -> bool:
            is_annotation = re.search(r"/api/(tasks/\d+/)?annotations", response.url)
            return is_annotation is not None and response.request.method in ("POST", "PATCH")

        with self.page.expect_response(is_answer) as answer:
            self.page.locator(button).first.click()
        assert answer.value.ok, answer.value.text()
        return dict(answer.value.json())

    def place(self) -> Place:
        return Place(*self.page.evaluate(_PLACE))

    def shown(self) -> Image:
        """The photo as the screen shows it, uint8 HxWx3, sampled at the middle of each of its own pixels."""
        screen, place = np.asarray(self._screen()), self.place()
        rows = np.floor(place.top + (np.arange(place.height) + 0.5) * place.scale).astype(int)
        columns = np.floor(place.left + (np.arange(place.width) + 0.5) * place.scale).astype(int)
        assert min(rows.min(), columns.min()) >= 0, f"expected the whole photo on the screen, it lies at {place}"
        return np.ascontiguousarray(screen[np.ix_(rows, columns)])

    def screenshot(self, name: str) -> Path:
        """Keeps a picture of the page, small enough for documents; returns its path."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTEFACTS / f"{name}.png"
        small = self._screen().resize(_KEPT_SIZE_WH, Pillow.Resampling.LANCZOS)
        small.quantize(256, Pillow.Quantize.FASTOCTREE, dither=Pillow.Dither.NONE).save(path, optimize=True)
        return path

    def _screen(self) -> Pillow.Image:
        self.page.mouse.move(SIZE_WH[0] - 2, SIZE_WH[1] - 2)
        self._settle()
        return Pillow.open(io.BytesIO(self.page.screenshot())).convert("RGB")

    def _drag(self, points_xy: Sequence[tuple[float, float]]) -> None:
        place, mouse = self.place(), self.page.mouse
        mouse.move(*place.on_page(points_xy[0]))
        mouse.down()
        for point in points_xy[1:]:
            mouse.move(*place.on_page(point), steps=8)
        mouse.up()

    def _wait_regions(self, wanted: Any) -> None:
        for _ in range(600):
            if wanted(self.regions()):
                return self._settle()
            self.page.wait_for_timeout(100)
        raise AssertionError(f"waited a minute for other regions than {self.regions()}")

    def _settle(self) -> None:
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def _pass_loopback(self, route: Route) -> None:
        if urlsplit(route.request.url).hostname in LOOPBACK:
            route.continue_()
        else:
            self.asked_outside.append(route.request.url)
            route.abort()


@contextmanager
def open_editor(url: str, profile: Path) -> Iterator[Editor]:
    """Opens a browser at a Label Studio; on leaving, holds that it asked nobody but this machine."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=ARGUMENTS,
            viewport={"width": SIZE_WH[0], "height": SIZE_WH[1]},
        )
        try:
            editor = Editor(context.pages[0], url)
            yield editor
        finally:
            context.close()
    assert editor.asked_outside == []
