"""The page in headless Chromium: what each control changes, pixel by pixel, and whether everyone can use it."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image as Pillow
from playwright.sync_api import Browser, ConsoleMessage, Download, Page, expect, sync_playwright

from models import Segmenter
from surfaces.classes import CLASSES
from surfaces.detections import Image
from surfaces.images.load import load_image
from tests.chromium import ARGUMENTS, ARTEFACTS, CHROMIUM, LOOPBACK, needs_chromium
from tests.interior_surfaces.web.conftest import ROOM, ROOMS
from tests.photo_servers import PhotoServer

pytestmark = needs_chromium

WIDE, PHONE = (1280, 900), (390, 844)
OPACITY = 0.4
Pixels = npt.NDArray[np.int64]
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, url: str) -> Iterator[Open]:
    """Opens the page; at the end, holds that no script failed and that nobody but this machine was asked."""
    faults: list[str] = []
    contexts = []

    def open_page(size_wh: tuple[int, int] = WIDE, scheme: str = "light", check_csp: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": size_wh[0], "height": size_wh[1]},
            color_scheme=scheme,  # type: ignore[arg-type]
            bypass_csp=not check_csp,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if _is_fault(message) else None)
        page.on("request", lambda request: faults.append(request.url) if not _allowed(request.url) else None)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def _is_fault(message: ConsoleMessage) -> bool:
    return message.type == "error" and "status of 422" not in message.text


def _allowed(url: str) -> bool:
    return url.startswith(("data:", "blob:")) or any(f"//{host}:" in url for host in LOOPBACK)


def add(page: Page, *photos: Path) -> Page:
    page.set_input_files("#files", list(photos))
    expect(page.locator("#status")).to_contain_text(f"{photos[-1].name}: ", timeout=30_000)
    return page


def canvas(page: Page) -> Pixels:
    """What the canvas shows, HxWx3."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    data = str(page.evaluate("() => document.getElementById('stage').toDataURL('image/png')"))
    return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB")).astype(int)


def slide(page: Page, control: str, value: int) -> None:
    page.locator(f"#{control}").fill(str(value))


def downloaded(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).click()
    download: Download = waiting.value
    return download.suggested_filename, Path(download.path()).read_bytes()


@pytest.fixture(scope="module")
def photo() -> Image:
    return load_image(str(ROOM))


@pytest.fixture(scope="module")
def masks(segmenter: Segmenter, photo: Image) -> dict[str, npt.NDArray[np.bool_]]:
    found = segmenter.predict(photo)
    return {
        surface.name: np.any([d.mask for d in found if d.surface == surface] or [np.zeros(photo.shape[:2], bool)], 0)
        for surface in CLASSES
    }


def test_classes_are_tinted_where_they_are(
    open_page: Open, photo: Image, masks: dict[str, npt.NDArray[np.bool_]]
) -> None:
    page = add(open_page(), ROOM)
    shown = canvas(page)
    assert shown.shape == photo.shape
    nothing = ~np.any(list(masks.values()), 0)
    labels = np.all(shown == 255, 2) | np.all(shown == 0, 2)  # words over the segments may reach beyond them
    assert (np.abs(shown - photo).max(2)[nothing & ~labels] <= 2).mean() > 0.99
    for surface in CLASSES:
        expected = photo + OPACITY * (np.array(surface.colour_rgb) - photo)
        near = np.abs(shown - expected).max(2)[masks[surface.name]] <= 3
        assert near.mean() > 0.5, surface.name  # elsewhere there are the pattern, the outline and the word


def test_boxes_switch_classes_off(open_page: Open, photo: Image, masks: dict[str, npt.NDArray[np.bool_]]) -> None:
    page = add(open_page(), ROOM)
    for surface in CLASSES:
        page.get_by_role("checkbox", name=surface.name).uncheck()
        shown = canvas(page)
        assert (np.abs(shown - photo).max(2)[masks[surface.name]] <= 2).mean() > 0.9
    assert np.abs(canvas(page) - photo).max() <= 2
    assert page.locator("#segments button.off").count() == page.locator("#segments button").count() > 0
    page.get_by_role("checkbox", name="floor").check()
    assert np.abs(canvas(page) - photo).max(2)[masks["floor"]].mean() > 10


def test_opacity_and_minimum_score(open_page: Open, photo: Image, masks: dict[str, npt.NDArray[np.bool_]]) -> None:
    page = add(open_page(), ROOM)
    slide(page, "opacity", 0)
    assert np.abs(canvas(page) - photo).max() <= 2
    slide(page, "opacity", 100)
    colour = np.array(CLASSES[0].colour_rgb)
    assert (np.abs(canvas(page) - colour).max(2)[masks["wall"]] <= 2).mean() > 0.95
    expect(page.locator("#opacity-value")).to_have_text("100 %")
    slide(page, "min-score", 100)
    assert np.abs(canvas(page) - photo).max() <= 2
    expect(page.locator("#min-score-value")).to_have_text("1.00")


def test_patterns_tell_classes_apart_without_colour(open_page: Open) -> None:
    page = open_page()
    swatches = page.evaluate("() => [...document.querySelectorAll('.swatch')].map(s => s.toDataURL())")
    patterns = []
    for swatch in swatches:
        grey = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(swatch.partition(",")[2]))).convert("L"))
        patterns.append(grey < (int(grey.min()) + int(grey.max())) / 2)
    for number, one in enumerate(patterns):
        assert 0.05 < one.mean() < 0.6
        assert all((one != other).mean() > 0.1 for other in patterns[:number])


def test_the_tint_has_the_pattern(open_page: Open, photo: Image, masks: dict[str, npt.NDArray[np.bool_]]) -> None:
    page = add(open_page(), ROOM)
    shown = canvas(page)
    for surface in CLASSES[:2]:
        strong = photo + 1.6 * OPACITY * (np.array(surface.colour_rgb) - photo)
        marked = (np.abs(shown - strong).max(2) <= 3)[masks[surface.name]].mean()
        assert 0.03 < marked < 0.45, surface.name
        assert surface.name in page.locator("#segments").inner_text()


def test_before_and_after(open_page: Open, photo: Image) -> None:
    page = add(open_page(), ROOM)
    after = canvas(page)
    slide(page, "split", 50)
    shown, middle = canvas(page), photo.shape[1] // 2
    assert np.abs(shown - photo)[:, : middle - 2].max() <= 2
    assert np.array_equal(shown[:, middle + 2 :], after[:, middle + 2 :])
    page.locator("#split").press("End")
    assert np.abs(canvas(page) - photo)[:, :-2].max() <= 2


def test_hovering_names_a_segment(open_page: Open, masks: dict[str, npt.NDArray[np.bool_]]) -> None:
    page = add(open_page(), ROOM)
    before = canvas(page)
    frame = page.locator("#stage").bounding_box()
    assert frame
    rows, columns = np.nonzero(masks["floor"])
    middle = len(rows) // 2
    height, width = masks["floor"].shape
    scale = min(frame["width"] / width, frame["height"] / height)
    left, top = frame["x"] + (frame["width"] - width * scale) / 2, frame["y"] + (frame["height"] - height * scale) / 2
    page.mouse.move(left + (columns[middle] + 0.5) * scale, top + (rows[middle] + 0.5) * scale)
    expect(page.locator("#tip")).to_contain_text("floor, score 0.")
    expect(page.locator("#tip")).to_contain_text("% of the photo")
    changed = np.abs(canvas(page) - before).max(2) > 0
    assert changed[masks["floor"]].mean() > 0.8
    assert changed[masks["wall"]].mean() < 0.05
    page.mouse.move(1, 1)
    expect(page.locator("#tip")).to_be_hidden()
    assert np.array_equal(canvas(page), before)


def test_a_segment_is_found_by_keyboard(open_page: Open) -> None:
    page = add(open_page(), ROOM)
    before = canvas(page)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.closest('#segments') !== null"):
            break
    assert "score" in str(page.evaluate("() => document.activeElement.textContent"))
    assert not np.array_equal(canvas(page), before)
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.id"))
    assert {"surface", "color", "recolor", "save-jpg", "save-masks", "save-json"} <= reached


def test_recolouring(open_page: Open, photo: Image, masks: dict[str, npt.NDArray[np.bool_]]) -> None:
    page = add(open_page(), ROOM)
    page.locator("#color").fill("#008080")
    page.get_by_role("button", name="Recolour").click()
    expect(page.locator("#status")).to_contain_text("the wall is #008080 now")
    assert np.abs(np.median(canvas(page)[masks["wall"]], axis=0) - (0, 128, 128)).max() < 12
    page.locator("#surface").select_option("floor")
    page.locator("#color").fill("#ff0000")
    page.locator("#recolor").press("Enter")
    expect(page.locator("#status")).to_contain_text("the floor is #ff0000 now")
    assert page.evaluate("() => document.activeElement.id") == "recolor"
    both = canvas(page)
    assert np.abs(np.median(both[masks["wall"]], axis=0) - (0, 128, 128)).max() < 12
    assert np.abs(np.median(both[masks["floor"]], axis=0) - (255, 0, 0)).max() < 12
    page.get_by_role("button", name="Original colours").click()
    assert np.abs(canvas(page) - photo).max() <= 2  # opacity is 0 since the recolouring
    expect(page.locator("#original")).to_have_attribute("aria-disabled", "true")


def test_downloads(open_page: Open, photo: Image, segmenter: Segmenter) -> None:
    page = add(open_page(), ROOM)
    slide(page, "opacity", 80)
    page.get_by_role("checkbox", name="wall").uncheck()
    name, content = downloaded(page, "Picture (JPG)")
    picture = np.asarray(Pillow.open(io.BytesIO(content)))
    assert (name, picture.shape) == ("room_01.surfaces.jpg", photo.shape)
    assert np.abs(picture - canvas(page)).mean() < 4
    name, content = downloaded(page, "JSON")
    classes = [segment["class"] for segment in json.loads(content)["segments"]]
    wanted = [found.surface.name for found in segmenter.predict(photo) if found.surface.name != "wall"]
    assert (name, classes) == ("room_01.surfaces.json", wanted)
    name, content = downloaded(page, "Masks (PNG)")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert name == "room_01.surfaces.masks.zip"
        assert "floor.png" in archive.namelist()
        assert "wall.png" not in archive.namelist()


def test_several_photos_and_dropped_ones(open_page: Open) -> None:
    page = add(open_page(), ROOM, ROOMS / "room_02.jpg")
    data = base64.b64encode((ROOMS / "room_03.jpg").read_bytes()).decode()
    page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), sign => sign.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], 'dropped.jpg', {type: 'image/jpeg'}));
            document.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, cancelable: true}));
        }""",
        data,
    )
    expect(page.locator("#status")).to_contain_text("dropped.jpg: ", timeout=30_000)
    buttons = page.locator("#photos button")
    assert [buttons.nth(index).get_attribute("title") for index in range(3)] == [
        ROOM.name,
        "room_02.jpg",
        "dropped.jpg",
    ]
    third = canvas(page)
    buttons.nth(0).press("Enter")
    expect(buttons.nth(0)).to_have_attribute("aria-pressed", "true")
    expect(buttons.nth(2)).to_have_attribute("aria-pressed", "false")
    assert not np.array_equal(canvas(page), third)


def test_photos_wait_for_their_turn_and_none_is_lost(open_page: Open) -> None:
    page = open_page()
    page.set_input_files("#files", [ROOMS / "room_01.jpg", ROOMS / "room_02.jpg"])
    page.set_input_files("#files", [ROOMS / f"room_0{number}.jpg" for number in (3, 4, 5)])
    expect(page.locator("#photos button")).to_have_count(5, timeout=30_000)


def test_errors_of_a_batch_stay_to_be_read(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"hello")
    (tmp_path / "worse.jpg").write_bytes(b"")
    page = add(open_page(), tmp_path / "bad.jpg", tmp_path / "worse.jpg", ROOM)
    lines = page.locator("#error").inner_text().splitlines()
    assert [line.partition(":")[0] for line in lines if line] == ["bad.jpg", "worse.jpg"]


def test_who_works_at_a_photo_keeps_it(open_page: Open) -> None:
    page = add(open_page(), ROOM)
    page.locator("#segments button").first.focus()
    page.evaluate("() => { window.before = document.activeElement; }")
    add(page, ROOMS / "room_02.jpg")
    assert page.evaluate("() => document.activeElement === window.before")
    expect(page.locator("#photos button").first).to_have_attribute("aria-pressed", "true")
    page.locator("#photos button").nth(1).click()
    assert canvas(page).shape[:2] == (440, 440)


def test_addresses_and_formats_that_the_browser_cannot_show(
    open_page: Open, photo_server: PhotoServer, tmp_path: Path, photo: Image
) -> None:
    page = open_page()
    page.locator("#url").fill(photo_server.serve("/far.jpg?size=large", ROOM.read_bytes()))
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#status")).to_contain_text("far.jpg: ", timeout=30_000)
    slide(page, "opacity", 0)
    assert np.abs(canvas(page) - photo).mean() < 3
    Pillow.fromarray(photo).save(tmp_path / "scan.tif")
    add(page, tmp_path / "scan.tif")
    assert np.abs(canvas(page) - photo).mean() < 3


def test_photos_are_shown_upright(open_page: Open, tmp_path: Path, photo: Image) -> None:
    turned = Pillow.fromarray(np.rot90(photo))  # counter-clockwise; the orientation 6 turns it back
    exif = Pillow.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", quality=95, exif=exif)
    page = add(open_page(), tmp_path / "turned.jpg")
    slide(page, "opacity", 0)
    assert np.abs(canvas(page) - photo).mean() < 3


def test_errors_are_said_and_leave_the_photo(open_page: Open, tmp_path: Path) -> None:
    page = add(open_page(), ROOM)
    before = canvas(page)
    (tmp_path / "<b>notes.jpg").write_bytes(b"hello")
    page.set_input_files("#files", tmp_path / "<b>notes.jpg")
    expect(page.locator("#error")).to_contain_text("<b>notes.jpg: ")
    (tmp_path / "huge.jpg").write_bytes(b"x" * 2_100_000)
    page.set_input_files("#files", tmp_path / "huge.jpg")
    expect(page.locator("#error")).to_contain_text("expected a file of at most 2 MB, got 2.1 MB")
    assert np.array_equal(canvas(page), before)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size_wh", [WIDE, PHONE], ids=["wide", "phone"])
def test_everyone_can_use_it(open_page: Open, size_wh: tuple[int, int], scheme: str) -> None:
    page = open_page(size_wh, scheme, check_csp=False)  # axe is a script of another origin
    assert faults(page) == []
    add(page, ROOM)
    assert faults(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size_wh[0]
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"page-{size_wh[0]}-{scheme}.png", full_page=True)


def faults(page: Page) -> list[str]:
    """What axe-core finds, of any impact."""
    return [fault["id"] for fault in Axe().run(page).response["violations"]]
