"""The report of a crawl: its counts, its galleries, and what hostile pages may not do to it."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from drawn_pictures import jpeg, page, plan
from label_stores import ROOMS

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.judging import Judge, JudgeSettings, Reason
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.records import Ended, Photo, State
from autolabel.crawling.report import UNKNOWN, gather_funnel, write_crawl_report
from autolabel.crawling.rooms import Scene
from surfaces.errors import OutputError
from surfaces.images import load_image

NOON = 1_800_000_000.0
TITLE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """A page's text, pictures and links, and whether its tags close."""

    _VOID = ("meta", "img", "br")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = ""
        self.pictures: list[str] = []
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self._open: list[str] = []
        self.feed(path.read_text("utf-8"))
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append(values["src"] or "")
        if "href" in values:
            self.links.add(values["href"] or "")
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f" {data.strip()}"


def photo_leads() -> list[tuple[Lead, bytes]]:
    """Leads to photos with what comes: four rooms, a copy of each kind, text, something small, something broken."""
    rooms = [path.read_bytes() for path in sorted((ROOMS / "images").iterdir())[:4]]
    copy = jpeg(load_image(str(sorted((ROOMS / "images").iterdir())[0])), 40)
    photos = [*rooms, rooms[0], copy, jpeg(page(0)), jpeg(plan(0)), jpeg(page(1)[:90]), b"broken"]
    return [
        (
            Lead(
                f"https://{'ab'[number % 2]}.example/{number}.jpg",
                Kind.PHOTO,
                "pages",
                page="javascript:alert(1)" if number == 0 else f"https://pages.example/{number}",
                title=TITLE,
                author="Ann <b>",
                licence="CC BY 4.0" if number < 3 else "",
            ),
            data,
        )
        for number, data in enumerate(photos)
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of photos that were judged, of one that failed, one that was refused and one that waits."""
    corpus = tmp_path_factory.mktemp("corpus")
    judge = Judge(JudgeSettings(side_min=100), scene_of=lambda _: Scene(wall=0.3, floor=0.2, table=0.0, room=0.9))
    came = {lead.url: data for lead, data in photo_leads()}
    with CrawlDatabase.open(corpus, create=True) as ledger:
        ledger.add(lead for lead, _ in photo_leads())
        ledger.add(Lead(f"https://c.example/{name}.jpg", Kind.PHOTO, "urls") for name in ("gone", "private"))
        ledger.add([Lead("https://c.example/page", Kind.PAGE, "pages")])
        for host in ledger.waiting_hosts():
            while request := ledger.next_request(host, NOON):
                data = came.get(request.address)
                if data is not None:
                    facts = judge.look(data)
                    verdict = judge.decide(facts)
                    time = NOON + 600 * request.number
                    photo = Photo(facts, "photos/x" if verdict.kept else "", time, {}, verdict.duplicate_of)
                    ledger.end(request, Ended(State.DONE, str(verdict.reason), verdict.detail, photo=photo))
                elif request.lead.kind is Kind.PAGE:
                    ledger.end(request, Ended(State.DONE, "read"))
                elif "gone" in request.address:
                    ledger.end(request, Ended(State.FAILED, "http 404"))
                else:
                    ledger.end(request, Ended(State.REFUSED, "robots.txt"))
        ledger.add([Lead("https://d.example/later.jpg", Kind.PHOTO, "urls")])
    return corpus


@pytest.fixture
def ledger(corpus: Path) -> Iterator[CrawlDatabase]:
    with CrawlDatabase.open(corpus) as opened:
        yield opened


def test_each_photo_is_lost_once(ledger: CrawlDatabase) -> None:
    stages = gather_funnel(ledger, 10).stages()
    assert [(stage.name, stage.left, dict(stage.lost)) for stage in stages] == [
        ("found", 13, {}),
        ("asked for", 11, {"robots.txt": 1, "waiting": 1}),
        ("came", 10, {"http 404": 1}),
        ("read as a photo", 8, {"duplicate": 1, "unreadable": 1}),
        ("large enough", 7, {"too-small": 1}),
        ("one photo, in colour", 5, {"text": 2}),
        ("of an interior", 5, {}),
        ("kept", 4, {"near-duplicate": 1}),
    ]


def test_shares_add_up(ledger: CrawlDatabase) -> None:
    funnel = gather_funnel(ledger, 10)
    for shares in (funnel.hosts, funnel.licences, funnel.sources, funnel.minutes):
        assert sum(share.came for share in shares.values()) == funnel.whole.came == 10
        assert sum(share.kept for share in shares.values()) == funnel.whole.kept == 4
        assert sum(share.kept_bytes for share in shares.values()) == funnel.whole.kept_bytes > 0
    assert set(funnel.hosts) == {"a.example", "b.example"}
    assert (funnel.licences["CC BY 4.0"].came, funnel.licences[UNKNOWN].came) == (3, 7)


def test_galleries_are_bounded_and_the_same_each_time(ledger: CrawlDatabase) -> None:
    funnel, again = gather_funnel(ledger, 2), gather_funnel(ledger, 2)
    shown = [entry.photo.facts.sha256 for entry in funnel.shown[Reason.KEPT]]
    everything = [entry.photo.facts.sha256 for entry in ledger.photos(Reason.KEPT)]
    assert shown == sorted(everything)[:2]
    assert funnel.shown == again.shown


def test_the_page_tells_counts_and_shows_photos(ledger: CrawlDatabase, tmp_path: Path) -> None:
    path = write_crawl_report(ledger, tmp_path / "report", "Corpus of <rooms>")
    page = Page(path)
    for words in ("Corpus of <rooms>", "kept: 4", "text: 2", "too-small: 1", "collage: none", "near-duplicate: 1"):
        assert words in page.text
    for words in ("13", "http 404", "CC BY 4.0", "a.example", "2027-01-15 08:10"):
        assert words in page.text
    assert len(page.pictures) == 4 + 2 + 1 + 2, "kept, text, too small, a copy beside what was kept"
    for picture in page.pictures:
        assert max(load_image(str(path.parent / picture)).shape) == 160


def test_what_pages_said_is_only_text(ledger: CrawlDatabase, tmp_path: Path) -> None:
    page = Page(write_crawl_report(ledger, tmp_path / "report", "Corpus"))
    assert TITLE in page.text
    assert "Ann <b>" in page.text
    assert "script" not in page.tags
    assert all(link.startswith("https://") for link in page.links)
    assert "https://pages.example/1" in page.links


def test_a_crawl_that_found_nothing_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    with CrawlDatabase.open(tmp_path / "corpus", create=True) as empty:
        page = Page(write_crawl_report(empty, tmp_path / "report", "Nothing"))
    assert "kept: none" in page.text
    assert page.pictures == []


def test_a_report_replaces_nothing(ledger: CrawlDatabase, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    with pytest.raises(OutputError):
        write_crawl_report(ledger, tmp_path / "report", "Corpus")
    assert list((tmp_path / "report").iterdir()) == []
