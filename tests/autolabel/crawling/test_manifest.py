"""The manifest: one row a kept photo, which `autolabel run` labels."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet
import pytest

from autolabel.__main__ import main
from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.facts import Facts
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.manifest import MANIFEST_NAME, SCHEMA, write_manifest
from autolabel.crawling.records import Ended, Photo, State
from surfaces.dataset.store import LabelStore
from surfaces.errors import OutputError

_TIME = 1_800_000_000.25


def _ledger(corpus: Path, ended: list[tuple[str, str]]) -> CrawlDatabase:
    """A ledger of photos with the paths and reasons that are given."""
    ledger = CrawlDatabase.open(corpus, create=True)
    for number, (path, reason) in enumerate(ended):
        url = f"http://a.example/{number}.jpg"
        ledger.add([Lead(url, Kind.PHOTO, "openverse", "http://a.example/", "T", "A", "CC0 1.0", "http://cc.example")])
        request = ledger.next_request("a.example", _TIME)
        assert request is not None
        facts = Facts(f"{number:064x}", 1000 + number, 640, 480, near_hash="0f")
        photo = Photo(facts, path, _TIME, {"etag": '"7"'})
        ledger.end(request, Ended(State.DONE, reason, photo=photo))
    return ledger


def test_a_row_tells_all(tmp_path: Path) -> None:
    with _ledger(tmp_path, [("photos/a.jpg", "kept"), ("", "grey")]) as ledger:
        path = write_manifest(ledger, tmp_path)
    assert path == tmp_path / MANIFEST_NAME
    table = pyarrow.parquet.read_table(path)
    assert table.schema.equals(SCHEMA)
    (row,) = table.to_pylist()
    headers = json.loads(row.pop("headers"))
    assert headers == {"etag": '"7"'}
    assert row == {
        "path": "photos/a.jpg",
        "sha256": "0" * 64,
        "near_hash": "0f",
        "bytes": 1000,
        "width": 640,
        "height": 480,
        "url": "http://a.example/0.jpg",
        "final_url": "http://a.example/0.jpg",
        "time": datetime.fromtimestamp(_TIME, UTC),
        "source": "openverse",
        "page": "http://a.example/",
        "title": "T",
        "author": "A",
        "licence": "CC0 1.0",
        "licence_url": "http://cc.example",
    }


def test_without_photos_it_is_empty(tmp_path: Path) -> None:
    with _ledger(tmp_path, []) as ledger:
        table = pyarrow.parquet.read_table(write_manifest(ledger, tmp_path))
    assert (table.num_rows, table.schema.equals(SCHEMA)) == (0, True)


def test_it_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autolabel.crawling.manifest._BATCH", 3)
    with _ledger(tmp_path, [(f"photos/{n}.jpg", "kept") for n in range(8)]) as ledger:
        file = pyarrow.parquet.ParquetFile(write_manifest(ledger, tmp_path))
    assert file.num_row_groups == 3
    assert file.read().column("path").to_pylist() == [f"photos/{n}.jpg" for n in range(8)]


def test_an_older_one_stays_where_a_new_one_cannot_be_written(tmp_path: Path) -> None:
    with _ledger(tmp_path, [("photos/a.jpg", "kept")]) as ledger:
        path = write_manifest(ledger, tmp_path)
        before = path.read_bytes()
        path.unlink()
        path.mkdir()
        (path / "file").write_bytes(before)
        with pytest.raises(OutputError, match=r"could not write .*manifest\.parquet"):
            write_manifest(ledger, tmp_path)
    assert (path / "file").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))


def test_what_was_crawled_can_be_labelled(room_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rooms").mkdir()
    for name in ("room_01.jpg", "room_02.jpg"):
        shutil.copy(room_path.with_name(name), tmp_path / "rooms")
    corpus, labels = tmp_path / "corpus", tmp_path / "labels"
    kept = ("--min-side", "100", "--any-picture", "--quiet")
    assert main(["crawl", "--out", str(corpus), "--folder", str(tmp_path / "rooms"), *kept]) == 0
    manifest = capsys.readouterr().out.strip()
    assert manifest == str(corpus / MANIFEST_NAME)
    assert main(["run", manifest, "--out", str(labels), "--teacher", "student", "--quiet"]) == 0
    with LabelStore.open(labels) as store:
        photos = [photo.sha256 for photo in store.photos()]
        sources = {path for sha256 in photos for path in store.sources(sha256)}
    assert len(photos) == 2
    assert sources == {str(corpus / "photos" / sha256[:2] / f"{sha256}.jpg") for sha256 in photos}
