"""The report of a crawl: counts, examples, and text of hostile pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.filters.image_filter import FilterSettings, ImageFilter, Reason
from autolabel.crawling.filters.interiors import SceneShares
from autolabel.crawling.records import CrawlRequest, Ended, Kind, Photo, QueuedRequest, State
from autolabel.crawling.report import UNKNOWN, summarize_crawl, write_crawl_report
from surfaces.errors import OutputError
from surfaces.images.load import load_image
from tests.autolabel.crawling.drawn_pictures import jpeg, page, plan
from tests.autolabel.label_stores import ROOMS
from tests.page_checks import Page

_NOON = 1_800_000_000.0
_TITLE = "<script>alert(1)</script>"


def _fetched() -> list[tuple[CrawlRequest, bytes]]:
    """Four rooms (one a file), an identical copy, a near copy, two pictures with text, a small one, a broken one."""
    rooms = [path.read_bytes() for path in sorted((ROOMS / "images").iterdir())[:4]]
    copy = jpeg(load_image(str(sorted((ROOMS / "images").iterdir())[0])), 40)
    photos = [*rooms, rooms[0], copy, jpeg(page(0)), jpeg(plan(0)), jpeg(page(1)[:90]), b"broken"]
    requests = []
    for number in range(len(photos)):
        url, page_url = f"https://{'ab'[number % 2]}.example/{number}.jpg", f"https://pages.example/{number}"
        licence = "CC BY 4.0" if number < 3 else ""
        requests.append(CrawlRequest(url, Kind.PHOTO, "pages", page_url, _TITLE, "Ann <b>", licence))
    requests[0] = replace(requests[0], page="javascript:alert(1)")
    requests[3] = replace(requests[3], url="/photos/3.jpg", kind=Kind.FILE)
    return list(zip(requests, photos, strict=True))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl of these photos, with a page and requests that failed, were refused and are pending."""
    corpus = tmp_path_factory.mktemp("corpus")
    image_filter = ImageFilter(FilterSettings(side_min=100), scene_of=lambda _: SceneShares(0.3, 0.2, 0.0, 0.9))
    fetched = {request.url: data for request, data in _fetched()}
    others = {
        "gone.jpg": (Kind.PHOTO, Ended(State.FAILED, "http 404")),
        "private.jpg": (Kind.PHOTO, Ended(State.REFUSED, "robots.txt")),
        "page": (Kind.PAGE, Ended(State.DONE, "read")),
    }
    with CrawlDatabase.open(corpus, create=True) as database:
        database.add(request for request, _ in _fetched())
        database.add(CrawlRequest(f"https://c.example/{name}", kind, "urls") for name, (kind, _) in others.items())
        for host in database.waiting_hosts():
            while isinstance(request := database.next_request(host, _NOON), QueuedRequest):
                if request.url in fetched:
                    stats = image_filter.measure(fetched[request.url])
                    result = image_filter.classify(stats)
                    path, time = "photos/x" if result.kept else "", _NOON + 600 * request.number
                    photo = Photo(stats, path, time, {}, result.duplicate_of)
                    database.end(request, Ended(State.DONE, str(result.reason), result.detail, photo=photo))
                else:
                    database.end(request, others[request.url.rpartition("/")[2]][1])
        database.add([CrawlRequest("https://d.example/later.jpg", Kind.PHOTO, "urls")])
    return corpus


@pytest.fixture
def database(corpus: Path) -> Iterator[CrawlDatabase]:
    with CrawlDatabase.open(corpus) as database:
        yield database


def test_each_photo_is_lost_once(database: CrawlDatabase) -> None:
    steps = summarize_crawl(database, 10).steps()
    assert [(step.name, step.left, dict(step.lost)) for step in steps] == [
        ("found", 13, {}),
        ("asked for", 11, {"robots.txt": 1, "waiting": 1}),
        ("came", 10, {"http 404": 1}),
        ("read as a photo", 8, {"duplicate": 1, "unreadable": 1}),
        ("large enough", 7, {"too-small": 1}),
        ("one photo, in colour", 5, {"text": 2}),
        ("of an interior", 5, {}),
        ("kept", 4, {"near-duplicate": 1}),
    ]


def test_shares_add_up(database: CrawlDatabase) -> None:
    summary = summarize_crawl(database, 10)
    for shares in (*summary.shares.values(), summary.minutes):
        assert sum(share.came for share in shares.values()) == summary.total.came == 10
        assert sum(share.kept for share in shares.values()) == summary.total.kept == 4
        assert sum(share.kept_bytes for share in shares.values()) == summary.total.kept_bytes > 0
    assert set(summary.shares["host"]) == {"a.example", "b.example", "files"}
    assert (summary.shares["licence"]["CC BY 4.0"].came, summary.shares["licence"][UNKNOWN].came) == (3, 7)


def test_examples_are_bounded_and_deterministic(database: CrawlDatabase) -> None:
    summary, again = summarize_crawl(database, 2), summarize_crawl(database, 2)
    shown = [entry.photo.stats.sha256 for entry in summary.shown[Reason.KEPT]]
    everything = [entry.photo.stats.sha256 for entry in database.photos(Reason.KEPT)]
    assert shown == sorted(everything)[:2]
    assert summary.shown == again.shown


def test_the_page_shows_counts_and_photos(database: CrawlDatabase, tmp_path: Path) -> None:
    path = write_crawl_report(database, tmp_path / "report", "Corpus of <rooms>")
    page = Page(path)
    for words in ("Corpus of <rooms>", "kept: 4", "text: 2", "too-small: 1", "collage: none", "near-duplicate: 1"):
        assert words in page.text
    for words in ("13", "http 404", "CC BY 4.0", "a.example", "2027-01-15 08:10", _TITLE, "Ann <b>"):
        assert words in page.text
    assert len(page.pictures) == 4 + 2 + 1 + 1, "kept, text, too small, a copy"
    assert "what was kept before" in page.text, "the original beside its copy"
    for picture in page.pictures:
        assert max(load_image(str(picture)).shape) == 160
    assert "https://pages.example/1" in page.links


def test_an_empty_crawl_has_a_page(tmp_path: Path) -> None:
    with CrawlDatabase.open(tmp_path, create=True) as empty:
        page = Page(write_crawl_report(empty, tmp_path / "report", "Nothing"))
    assert "kept: none" in page.text
    assert page.pictures == set()


def test_a_report_replaces_nothing(database: CrawlDatabase, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    with pytest.raises(OutputError):
        write_crawl_report(database, tmp_path / "report", "Corpus")
    assert list((tmp_path / "report").iterdir()) == []
