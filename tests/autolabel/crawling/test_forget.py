"""`python -m autolabel crawl --forget`: what is removed, what is never kept again, and what is left to do."""

from __future__ import annotations

import hashlib
import io
import signal
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path

import fsspec
import pyarrow.parquet
import pytest
from PIL import Image

from autolabel.__main__ import main
from autolabel.commands.crawl import SOME_WAIT, UNKNOWN_PHOTO
from autolabel.crawling.database import DATABASE_NAME, CrawlDatabase
from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.engines.shards import LabelledPhoto, Shard, ShardFolder
from distill.__main__ import main as distill
from labelstudio.sync.review_log import LoggedAnnotation, LoggedTask, Outcome, ReviewLog
from surfaces.store.forgetting import Copy, CopyKind
from surfaces.store.label_store import STORE_NAME, LabelStore
from surfaces.store.records import Source
from tests.autolabel.corpora import check_error, finish, start, teacher_file
from tests.autolabel.crawling.crawls import crawl, ends
from tests.autolabel.crawling.sites import Reply, Site, photo_bytes
from tests.autolabel.label_stores import SETTINGS

Capture = pytest.CaptureFixture[str]


def _forget(corpus: Path, *arguments: str | Path) -> int:
    return main(["crawl", "--out", str(corpus), "--forget", *map(str, arguments)])


def _sha256(seed: int) -> str:
    return hashlib.sha256(photo_bytes(seed)).hexdigest()


def _seeds(corpus: Path) -> set[int]:
    """The numbers of the photos that manifest and storage have."""
    main(["crawl", "--out", str(corpus), "--manifest"])
    seeds = {_sha256(seed): seed for seed in range(10)}
    listed = {seeds[sha256] for sha256 in pyarrow.parquet.read_table(corpus / "manifest.parquet")["sha256"].to_pylist()}
    assert {seeds[path.stem] for path in (corpus / "photos").rglob("*.jpg")} == listed
    return listed


def _smaller_copy(seed: int) -> bytes:
    """A near-duplicate with fewer pixels."""
    data = io.BytesIO()
    with Image.open(io.BytesIO(photo_bytes(seed))) as photo:
        photo.resize((56, 42)).save(data, "JPEG", quality=90)
    return data.getvalue()


def _label(corpus: Path, out: Path, photos: Path | None = None) -> Path:
    teacher = teacher_file(out.parent)
    arguments = ["run", str(photos or corpus / "manifest.parquet"), "--out", str(out), "--teacher", str(teacher)]
    assert main([*arguments, "--allow-python", "--quiet"]) == 0
    return out


def _labelled(folder: Path) -> set[str]:
    with LabelStore.open(folder) as store:
        return {photo.sha256 for photo in store.photos()}


def test_a_photo_is_removed_and_nothing_but_hashes_stays(site: Site, corpus: Path, capsys: Capture) -> None:
    url = site.serve_photo(0, "/secret-name.jpg", 1)
    request = CrawlRequest(url, Kind.PHOTO, "urls", title="Secret title", author="Secret author")
    crawl(corpus, [request, site.serve_photo(1, "/2.jpg", 2)])
    assert _seeds(corpus) == {1, 2}
    capsys.readouterr()
    assert _forget(corpus, url) == 0
    assert capsys.readouterr().out == f"{url}: 1 photo forgotten, 1 file removed\n"
    assert _seeds(corpus) == {2}
    kept = b"".join(path.read_bytes() for path in corpus.glob(f"{DATABASE_NAME}*"))
    assert b"ecret" not in kept
    assert bytes(_sha256(1), "ascii") in kept
    assert _forget(corpus, url) == 0  # once more changes nothing
    crawl(corpus, [request])
    assert (_seeds(corpus), site.times_asked()[site.hosts[0], "/secret-name.jpg"]) == ({2}, 1)


@pytest.mark.parametrize("named_by", ["sha256", "path"])
def test_a_photo_is_named_by_its_hash(site: Site, corpus: Path, named_by: str) -> None:
    crawl(corpus, [site.serve_photo(0, "/1.jpg", 1), site.serve_photo(1, "/2.jpg", 2)])
    assert _forget(corpus, _sha256(1) if named_by == "sha256" else next(corpus.rglob(f"{_sha256(1)}.jpg"))) == 0
    assert _seeds(corpus) == {2}


def test_a_file_of_a_crawled_folder_is_named_by_its_path_and_stays(corpus: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.jpg" for seed in (1, 2)]
    for seed, path in enumerate(paths, 1):
        path.write_bytes(photo_bytes(seed))
    crawl(corpus, [CrawlRequest(str(path), Kind.FILE, "folder") for path in paths])
    assert _forget(corpus, paths[0]) == 0
    assert (_seeds(corpus), paths[0].exists()) == ({2}, True)


def test_no_copy_is_kept_later(site: Site, corpus: Path) -> None:
    url = site.serve_photo(0, "/1.jpg", 1)
    crawl(corpus, [url])
    assert _forget(corpus, url) == 0
    crawl(
        corpus,
        [
            site.serve_photo(1, "/same-bytes.jpg", 1),
            site.serve(2, "/scaled.jpg", Reply(_smaller_copy(1))),
            site.serve(3, "/moved.jpg", Reply(status=301, headers={"Location": url})),
            site.serve_photo(1, "/2.jpg", 2),
        ],
    )
    assert (_seeds(corpus), ends(corpus)) == ({2}, {"kept": 1})
    database = (corpus / DATABASE_NAME).read_bytes()
    assert not [word for word in (b"same-bytes", b"scaled.jpg", b"moved.jpg") if word in database]
    assert _forget(corpus, site.url(3, "/moved.jpg")) == 0  # known as an address of the removed photo


@pytest.mark.parametrize("named", ["/large.jpg", "/small.jpg", "/alias.jpg"])
def test_copies_go_with_the_photo(site: Site, corpus: Path, named: str) -> None:
    small = site.serve(0, "/small.jpg", Reply(_smaller_copy(1)))
    large = site.serve_photo(0, "/large.jpg", 1)
    alias = site.serve(0, "/alias.jpg", Reply(status=302, headers={"Location": large}))
    for url in (small, large, alias, site.serve_photo(0, "/2.jpg", 2)):
        crawl(corpus, [url])
    assert ends(corpus) == {"kept": 2, "near-duplicate": 1, "duplicate": 1}
    assert len(list((corpus / "photos").rglob("*.jpg"))) == 3  # labels may refer to the smaller one
    assert _forget(corpus, site.url(0, named)) == 0
    assert (_seeds(corpus), ends(corpus)) == ({2}, {"kept": 1})
    crawl(corpus, [small, large, alias])
    assert (_seeds(corpus), ends(corpus)) == ({2}, {"kept": 1})


def test_an_unknown_address_is_never_fetched(site: Site, corpus: Path, capsys: Capture) -> None:
    crawl(corpus, [site.serve_photo(0, "/1.jpg", 1)])
    url = site.serve_photo(1, "/2.jpg", 2)
    assert _forget(corpus, url) == UNKNOWN_PHOTO == 25
    assert capsys.readouterr().err == f"autolabel: {url}: no photo of this corpus, it will never be fetched\n"
    assert _forget(corpus, _sha256(3)) == UNKNOWN_PHOTO
    crawl(corpus, [url, site.serve_photo(2, "/3.jpg", 3)])
    assert _seeds(corpus) == {1}
    assert site.times_asked()[site.hosts[1], "/2.jpg"] == 0


def test_the_address_of_a_page_is_refused(site: Site, corpus: Path, capsys: Capture) -> None:
    photo = site.serve_photo(0, "/1.jpg", 1)
    html = f'<img src="{photo}" width="800" height="600">'.encode()
    page = site.serve(0, "/", Reply(html, headers={"Content-Type": "text/html"}))
    crawl(corpus, [CrawlRequest(page, Kind.PAGE, "pages")])
    found = "got that of a page, 1 photo found there (column `page` of the manifest)"
    check_error(capsys, 8, found, "crawl", "--out", str(corpus), "--forget", page)
    assert _seeds(corpus) == {1}


def test_files_in_object_storage_are_removed(site: Site, corpus: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}/photos"
    urls = corpus.parent / "urls.txt"
    urls.write_text("\n".join(site.serve_photo(0, f"/{seed}.jpg", seed) for seed in (1, 2)))
    options = ("--allow-private", "--any-picture", "--min-side", "16", "--rate", "50", "--quiet")
    assert main(["crawl", "--out", str(corpus), "--urls", str(urls), "--store", place, *options]) == 0
    assert _forget(corpus, site.url(0, "/1.jpg")) == 0
    left = fsspec.filesystem("memory").glob(f"{place}/**/*.jpg")
    assert [Path(path).stem for path in left] == [_sha256(2)]


def test_labels_are_removed_and_never_made_again(site: Site, corpus: Path, tmp_path: Path, capsys: Capture) -> None:
    url = site.serve_photo(0, "/1.jpg", 1)
    crawl(corpus, [url, site.serve_photo(1, "/2.jpg", 2)])
    _seeds(corpus)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.jpg").write_bytes(photo_bytes(1))
    labels, other = _label(corpus, tmp_path / "labels"), _label(corpus, tmp_path / "other", elsewhere)
    assert main(["merge", str(labels), "--out", str(tmp_path / "merged")]) == 0
    with LabelStore.open(labels) as store, ReviewLog.of(labels) as log:
        store.add_review(_sha256(1), store.labels(_sha256(1)), "ann")
        log.note_pushed("project-7", [_sha256(1)])
        task = LoggedTask("project-7", 1, _sha256(1), "2026", "2026", Outcome.ACCEPTED)
        log.record(task, [LoggedAnnotation(1, "ann@example.com", "2026", Outcome.ACCEPTED, comment="mine")])
    capsys.readouterr()
    assert _forget(corpus, url, "--labels", other) == 0
    out = capsys.readouterr().out
    for folder in (labels, other, tmp_path / "merged"):
        assert f"{url}: labels removed: {folder}\n" in out
        with closing(sqlite3.connect(folder / STORE_NAME)) as file:
            dumped = "\n".join(line for line in file.iterdump() if "forgotten" not in line)
        assert _sha256(1) not in dumped
    assert f"delete its task in Label Studio: project project-7 of {labels}\n" in out
    with closing(sqlite3.connect(labels / "reviews.sqlite")) as file:
        assert "ann@example.com" not in "\n".join(file.iterdump())
    _label(corpus, labels, elsewhere)
    assert _labelled(labels) == {_sha256(2)}
    assert main(["merge", str(_label(corpus, tmp_path / "third", elsewhere)), "--out", str(labels)]) == 0
    assert _labelled(labels) == {_sha256(2)}


def test_labels_of_a_photo_that_the_corpus_never_had(site: Site, corpus: Path, tmp_path: Path) -> None:
    crawl(corpus, [site.serve_photo(0, "/1.jpg", 1)])
    (tmp_path / "mine").mkdir()
    for seed in (2, 3):
        (tmp_path / "mine" / f"{seed}.jpg").write_bytes(photo_bytes(seed))
    labels = _label(corpus, tmp_path / "labels", tmp_path / "mine")
    assert _forget(corpus, _sha256(2), "--labels", labels) == 0
    assert (_labelled(labels), _seeds(corpus)) == ({_sha256(3)}, {1})


def test_a_store_made_by_another_list_is_recorded(site: Site, corpus: Path, tmp_path: Path) -> None:
    url = site.serve_photo(0, "/1.jpg", 1)
    crawl(corpus, [url, site.serve_photo(1, "/2.jpg", 2)])
    lists = tmp_path / "some" / "lists"
    lists.mkdir(parents=True)
    (lists / "all.txt").write_text("\n".join(map(str, (corpus / "photos").rglob("*.jpg"))))
    labels = _label(corpus, tmp_path / "labels", lists / "all.txt")
    assert _forget(corpus, url) == 0
    assert _labelled(labels) == {_sha256(2)}


def test_what_waits_at_its_addresses_is_not_fetched(site: Site, corpus: Path) -> None:
    final = site.serve_photo(0, "/1.jpg", 1)
    url = site.serve(1, "/moved.jpg", Reply(status=302, headers={"Location": final}))
    crawl(corpus, [url, site.serve_photo(2, "/2.jpg", 2)])
    times = site.times_asked()
    with CrawlDatabase.open(corpus) as database:  # as an older crawl may have left it
        database.run(
            "INSERT INTO leads (url, kind, source, page, title, author, licence, licence_url, state, address, host)"
            " VALUES (?1, 'photo', 'urls', '', '', '', '', '', 'todo', ?1, ?2)",
            *(final, site.hosts[0]),
        )
    assert _forget(corpus, url) == 0
    crawl(corpus, [])
    assert (site.times_asked(), ends(corpus)) == (times, {"kept": 1})


def test_exports_that_hold_the_photo_are_named(site: Site, corpus: Path, tmp_path: Path, capsys: Capture) -> None:
    url = site.serve_photo(0, "/1.jpg", 1)
    crawl(corpus, [url, site.serve_photo(1, "/2.jpg", 2)])
    _seeds(corpus)
    labels = _label(corpus, tmp_path / "labels")
    holders = [tmp_path / name for name in ("coco", "yolo", "packed", "shrunk")]
    for folder in holders[:2]:
        assert main(["export", str(labels), "--format", folder.name, "--out", str(folder)]) == 0
    assert distill(["pack", str(labels), "--out", str(tmp_path / "packed")]) == 0
    assert distill(["pack", str(tmp_path / "coco"), "--out", str(tmp_path / "shrunk"), "--longest-side", "60"]) == 0
    assert _forget(corpus, site.url(1, "/2.jpg"), "--exports", tmp_path / "shrunk") == 0
    assert main(["export", str(labels), "--format", "png", "--out", str(tmp_path / "png")]) == 0
    capsys.readouterr()
    assert _forget(corpus, url, "--exports", tmp_path / "shrunk") == 0
    out = capsys.readouterr().out
    for folder in (*holders, tmp_path / "png"):
        assert f"{url}: holds the photo, delete it or make it again: {folder}\n" in out
    # The one of only the first photo does not hold the second.
    assert _forget(corpus, site.url(1, "/2.jpg")) == 0
    assert str(tmp_path / "png") not in capsys.readouterr().out
    assert _forget(corpus, url, "--exports", tmp_path / "nothing") == SOME_WAIT
    assert "expected a dataset at" in capsys.readouterr().err


def test_a_label_store_that_is_away_is_named(site: Site, corpus: Path, tmp_path: Path, capsys: Capture) -> None:
    url = site.serve_photo(0, "/1.jpg", 1)
    crawl(corpus, [url, site.serve_photo(1, "/2.jpg", 2)])
    _seeds(corpus)
    labels = _label(corpus, tmp_path / "labels")
    labels.rename(tmp_path / "away")
    assert _forget(corpus, url) == SOME_WAIT
    assert f"expected labels at {labels / STORE_NAME}, got no such file; repeat the command" in capsys.readouterr().err
    assert _seeds(corpus) == {2}
    (tmp_path / "away").rename(labels)
    assert _forget(corpus, url) == 0
    assert _labelled(labels) == {_sha256(2)}


def test_a_kill_while_labels_are_removed_is_made_good(site: Site, corpus: Path, tmp_path: Path) -> None:
    url = site.serve_photo(0, "/1.jpg", 1)
    crawl(corpus, [url, site.serve_photo(1, "/2.jpg", 2)])
    _seeds(corpus)
    labels = _label(corpus, tmp_path / "labels")
    with closing(sqlite3.connect(labels / STORE_NAME, isolation_level=None)) as blocking:
        blocking.execute("BEGIN EXCLUSIVE")  # the command waits here
        process = start("crawl", "--out", corpus, "--forget", url)
        while pyarrow.parquet.read_table(corpus / "manifest.parquet").num_rows == 2 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert len(list((corpus / "photos").rglob("*.jpg"))) == 2
    crawl(corpus, [site.serve_photo(2, "/copy.jpg", 1)])  # marked before anything was removed
    assert ends(corpus) == {"kept": 1, "forgotten": 1}
    assert finish(start("crawl", "--out", corpus, "--forget", url))[0] == 0
    assert (_seeds(corpus), _labelled(labels), ends(corpus)) == ({2}, {_sha256(2)}, {"kept": 1})


def test_a_file_that_cannot_be_removed_is_removed_by_the_next_command(
    site: Site, corpus: Path, capsys: Capture
) -> None:
    url = site.serve_photo(0, "/1.jpg", 1)
    crawl(corpus, [url, site.serve_photo(1, "/2.jpg", 2)])
    in_the_way = corpus / "photos" / _sha256(1)[:2] / f"{_sha256(1)}.folder"
    in_the_way.mkdir()
    assert _forget(corpus, url) == SOME_WAIT
    assert "could not remove" in capsys.readouterr().err
    in_the_way.rmdir()
    assert _forget(corpus, url) == 0
    assert (_seeds(corpus), ends(corpus)) == ({2}, {"kept": 1})


def test_options_without_forget_are_refused(corpus: Path, capsys: Capture) -> None:
    arguments = ["crawl", "--out", str(corpus), "--labels", str(corpus)]
    check_error(capsys, 3, "expected --forget beside --labels or --exports, got none", *arguments)


def test_shards_of_a_run_on_ray_are_removed(site: Site, corpus: Path, tmp_path: Path, capsys: Capture) -> None:
    crawl(corpus, [site.serve_photo(0, "/1.jpg", 1), site.serve_photo(0, "/2.jpg", 2)])
    assert _seeds(corpus) == {1, 2}
    store = _label(corpus, tmp_path / "labels")
    shards = f"memory://{uuid.uuid4().hex}/shards"
    folder = ShardFolder(shards, SETTINGS.fingerprint)
    for number in (1, 2):
        photo = Source(f"/{number}.jpg", f"{number}", "/")
        folder.write(Shard(number, (photo,)), [LabelledPhoto(photo, _sha256(number), None)])
    with LabelStore.open(store) as opened:
        opened.note_copy(Copy(shards, CopyKind.SHARDS))
    capsys.readouterr()
    assert _forget(corpus, site.url(0, "/1.jpg")) == 0
    assert "1 photo forgotten, 2 files removed" in capsys.readouterr().out
    files = fsspec.filesystem("memory").find(shards.removeprefix("memory:/"))
    assert [Path(path).name[:7] for path in files] == ["0000002"]


def test_shards_of_a_moved_label_store_are_removed(site: Site, corpus: Path, tmp_path: Path, capsys: Capture) -> None:
    crawl(corpus, [site.serve_photo(0, "/1.jpg", 1)])
    assert _seeds(corpus) == {1}
    moved = _label(corpus, tmp_path / "labels").rename(tmp_path / "moved")
    folder, photo = ShardFolder(str(moved / "shards"), SETTINGS.fingerprint), Source("/1.jpg", "1", "/")
    folder.write(Shard(0, (photo,)), [LabelledPhoto(photo, _sha256(1), None)])
    _forget(corpus, site.url(0, "/1.jpg"), "--labels", moved)
    assert list((moved / "shards").rglob("*.parquet")) == []
    assert f"labels removed: {moved}" in capsys.readouterr().out
