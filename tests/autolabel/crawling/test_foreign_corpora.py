"""Corpora of others: links and rows of the database reach nothing outside of the corpus."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel.__main__ import main
from autolabel.crawling.blob_store import open_blob_store
from autolabel.crawling.database import DATABASE_NAME, CrawlDatabase
from autolabel.crawling.filters.image_filter import FilterSettings, ImageFilter
from autolabel.crawling.filters.statistics import ImageStats
from autolabel.crawling.manifest import MANIFEST_NAME, write_manifest
from autolabel.crawling.records import CrawlRequest, Ended, Kind, Photo, QueuedRequest, RobotsRequest, RobotsText, State
from autolabel.crawling.report import write_crawl_report
from surfaces.errors import DatasetError, OutputError, SurfacesError
from tests.autolabel.crawling.sites import photo_bytes

pytestmark = pytest.mark.security

_TIME = 1_800_000_000.0
_SHA256 = "ab" * 32
_REQUEST = CrawlRequest("http://a.example/1.jpg", Kind.PHOTO, "urls")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """The corpus of a crawl that kept one photo and has one pending request."""
    return _write_corpus(tmp_path / "corpus")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file outside of the corpus."""
    path = tmp_path / "outside" / "7"
    path.parent.mkdir()
    path.write_bytes(b"precious")
    return path


def _write_corpus(corpus: Path) -> Path:
    corpus.mkdir()
    stats = ImageStats(_SHA256, 1000, 640, 480, thumbnail=b"\xff\xd8small", near_hash="0f" * 64, entropy=7.5)
    photo = Photo(stats, f"photos/ab/{_SHA256}.jpg", _TIME, {"etag": '"7"'})
    with CrawlDatabase.open(corpus, create=True) as database:
        database.add([_REQUEST, replace(_REQUEST, url="http://a.example/2.jpg")])
        database.end(QueuedRequest(1, _REQUEST, _REQUEST.url), Ended(State.DONE, "kept", photo=photo))
        database.request_robots("http://a.example")
        robots = RobotsRequest("http://a.example", "http://a.example/robots.txt")
        database.store_robots(robots, RobotsText(200, b"User-agent: *"), _TIME)
        database.set_cooldown("b.example", _TIME)
    return corpus


@pytest.mark.parametrize("name", [f".{MANIFEST_NAME}.tmp", MANIFEST_NAME])
def test_the_manifest_replaces_links(corpus: Path, victim: Path, name: str) -> None:
    (corpus / name).symlink_to(victim)
    with CrawlDatabase.open(corpus) as database:
        path = write_manifest(database, corpus)
    assert victim.read_bytes() == b"precious"
    assert path.read_bytes().startswith(b"PAR1")
    assert not path.is_symlink()


def test_photos_replace_links(corpus: Path, victim: Path) -> None:
    data = photo_bytes(1)
    name = f"ab/{_SHA256}.jpg"
    store = open_blob_store(corpus, None)
    photo = corpus / store.put(name, data)
    photo.unlink()
    victim.write_bytes(bytes(len(data)))
    photo.symlink_to(victim)
    store.put(name, data)
    assert (photo.is_symlink(), photo.read_bytes(), victim.read_bytes()) == (False, data, bytes(len(data)))
    photo.unlink()
    photo.parent.rmdir()
    photo.parent.symlink_to(victim.parent)
    with pytest.raises(DatasetError, match=f"ab inside .*photos, got a link to {victim.parent}"):
        store.put(name, data)
    assert list(victim.parent.iterdir()) == [victim]


def test_a_folder_of_photos_that_leaves_the_corpus_is_refused(corpus: Path, victim: Path) -> None:
    leftover = victim.parent / f".{'0f' * 16}.tmp"
    leftover.write_bytes(b"of another program")
    (corpus / "photos").symlink_to(victim.parent)
    with pytest.raises(DatasetError, match=f"photos inside .*, got a link to {victim.parent}: --store"):
        open_blob_store(corpus, None)
    assert leftover.is_file()
    open_blob_store(corpus, str(corpus / "photos")).put("ab/x.jpg", b"x")  # named by the user, so followed
    assert (victim.parent / "ab" / "x.jpg").read_bytes() == b"x"


def test_only_unfinished_files_of_crawls_are_removed(corpus: Path, victim: Path) -> None:
    photos = corpus / "photos"
    (photos / ".0f.tmp").mkdir(parents=True)
    (photos / ".notes.tmp").write_bytes(b"mine")
    (photos / f".{'0f' * 16}.tmp").symlink_to(victim)
    (photos / f".{'1f' * 16}.tmp").write_bytes(b"unfinished")
    open_blob_store(corpus, None)
    assert sorted(path.name for path in photos.iterdir()) == sorted([".0f.tmp", ".notes.tmp", f".{'0f' * 16}.tmp"])
    assert victim.is_file()


def test_a_lock_that_is_a_link_is_one_line(corpus: Path, victim: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (corpus / ".crawl.lock").symlink_to(victim)
    assert main(["crawl", "--any-picture", "--out", str(corpus)]) == OutputError.exit_code
    assert capsys.readouterr().err.count("\n") == 1
    assert victim.read_bytes() == b"precious"


_FACTS = {
    "climbs": {"sha256": "../../x"},
    "absolute": {"sha256": "/etc/passwd"},
    "upper case": {"sha256": "AB" * 32},
    "number": {"sha256": 3},
    "width": {"width": 2**40},
    "height": {"height": -1},
    "size": {"size": "1000"},
    "entropy": {"entropy": float("nan")},
    "hash": {"near_hash": "xyz"},
}


@pytest.mark.parametrize("changed", _FACTS.values(), ids=_FACTS)
def test_statistics_are_checked(corpus: Path, tmp_path: Path, changed: dict[str, object]) -> None:
    stats = json.dumps({"sha256": _SHA256, "size": 1000, "width": 640, "height": 480} | changed)
    _set(corpus, "photos", "facts", stats)
    with CrawlDatabase.open(corpus) as database:
        for use in (
            lambda: list(database.kept_stats()),
            lambda: write_manifest(database, corpus),
            lambda: write_crawl_report(database, tmp_path / "page", "Crawl"),
        ):
            with pytest.raises(DatasetError, match=rf"a crawl database in .*{DATABASE_NAME}, got a damaged one:"):
                use()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus"]


_CELLS: dict[str, tuple[str, str, object]] = {
    "path climbs": ("photos", "path", "photos/../../secret.jpg"),
    "path with backslashes": ("photos", "path", "photos\\..\\..\\secret.jpg"),
    "path of bytes": ("photos", "path", b"photos/a.jpg"),
    "time": ("photos", "time", float("inf")),
    "headers": ("photos", "headers", "[1]"),
    "thumbnail": ("photos", "thumbnail", b"-----BEGIN OPENSSH PRIVATE KEY-----"),
    "copy": ("photos", "duplicate_of", "../x"),
    "kind": ("leads", "kind", "virus"),
    "title": ("leads", "title", b"bytes"),
}


@pytest.mark.parametrize(("table", "column", "value"), _CELLS.values(), ids=_CELLS)
def test_a_row_is_checked(corpus: Path, table: str, column: str, value: object) -> None:
    _set(corpus, table, column, value)
    with CrawlDatabase.open(corpus) as database, pytest.raises(DatasetError, match="got a damaged one: "):
        list(database.photos())


def test_hashes_of_another_length_are_one_line(corpus: Path) -> None:
    _set(corpus, "photos", "facts", json.dumps({"sha256": _SHA256, "size": 1, "near_hash": "0f"}))
    with CrawlDatabase.open(corpus) as database, pytest.raises(DatasetError, match="expected pairs of hashes"):
        ImageFilter(FilterSettings(any_picture=True), database.kept_stats())


_COLUMNS = {
    "leads": "url kind source title state reason address host redirects tries not_before",
    "photos": "sha256 near_hash path time headers duplicate_of facts thumbnail",
    "robots": "origin address host redirects tries not_before time status body",
    "hosts": "host not_before",
}
_VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.sampled_from(["todo", "done", "photo", "../../x", "/etc/passwd", "{}", "[]", "null", "1e999", _SHA256]),
)


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(
        st.sampled_from([(table, name) for table, names in _COLUMNS.items() for name in names.split()]),
        min_size=1,
        max_size=2,
    ),
    values=st.tuples(_VALUES, _VALUES),
)
def test_any_row_gives_values_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], values: tuple[object, object]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    corpus = _write_corpus(folder / "corpus")
    for (table, column), value in zip(cells, values, strict=False):
        with suppress(sqlite3.IntegrityError):  # NaN is NULL, and two leads may not share a url
            _set(corpus, table, column, value)
    _use(corpus, folder / "page")
    assert {path.name for path in folder.iterdir()} <= {"corpus", "page"}


@settings(max_examples=40, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), piece=st.binary(min_size=1, max_size=8), cut=st.booleans())
def test_any_bytes_as_a_database(
    tmp_path_factory: pytest.TempPathFactory, place: float, piece: bytes, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    path = _write_corpus(folder / "corpus") / DATABASE_NAME
    data = path.read_bytes()
    at = int(place * len(data))
    path.write_bytes(data[:at] + (b"" if cut else piece + data[at + len(piece) :]))
    with suppress(SurfacesError):
        _use(folder / "corpus", folder / "page")
    assert {path.name for path in folder.iterdir()} <= {"corpus", "page"}


def _use(corpus: Path, page: Path) -> None:
    """Reads everything in a crawl database; errors of the project are ignored."""
    with CrawlDatabase.open(corpus) as database:
        uses: list[Callable[[], object]] = [
            lambda: [database.next_request(host, _TIME) for host in database.waiting_hosts()],
            lambda: [database.next_time(host) for host in database.waiting_hosts()],
            database.cooldowns,
            lambda: database.robots_text("http://a.example"),
            lambda: database.next_request("a.example", _TIME),
            lambda: main(["crawl", "--out", str(corpus), "--status"]),
            lambda: ImageFilter(FilterSettings(any_picture=True), database.kept_stats()),
            lambda: write_manifest(database, corpus),
            lambda: write_crawl_report(database, page, "Crawl"),
        ]
        for use in uses:
            with suppress(SurfacesError):
                use()


def _set(corpus: Path, table: str, column: str, value: object) -> None:
    with closing(sqlite3.connect(corpus / DATABASE_NAME)) as file, file:
        file.execute(f"UPDATE {table} SET {column} = ?", (value,))
