"""Storage of photos in folders and at fsspec URLs."""

from __future__ import annotations

import hashlib
import sys
import uuid
from pathlib import Path

import fsspec
import pytest

from autolabel.crawling.blob_store import blob_name, open_blob_store
from surfaces.errors import MissingExtraError, OutputError
from tests.autolabel.crawling.sites import photo_bytes

_DATA = photo_bytes(1)
_SHA256 = hashlib.sha256(_DATA).hexdigest()
_NAME = f"{_SHA256[:2]}/{_SHA256}.jpg"


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"\x89PNG\r\n\x1a\n", ".png"),
        (b"GIF89a", ".gif"),
        (b"BM\x00\x00", ".bmp"),
        (b"II*\0", ".tif"),
        (b"MM\0*", ".tif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ".webp"),
        (b"\0\0\0\x1cftypavif", ".avif"),
        (b"\0\0\0\x18ftypheic", ".heic"),
        (b"something", ".img"),
    ],
)
def test_the_suffix_depends_on_the_bytes(head: bytes, suffix: str) -> None:
    assert blob_name("ab" + "0" * 62, head) == f"ab/ab{'0' * 62}{suffix}"


def test_the_default_is_a_folder_of_the_corpus(tmp_path: Path) -> None:
    assert open_blob_store(tmp_path, None).put(blob_name(_SHA256, _DATA), _DATA) == f"photos/{_NAME}"
    assert (tmp_path / "photos" / _NAME).read_bytes() == _DATA
    assert [path.name for path in (tmp_path / "photos").rglob("*") if path.is_file()] == [f"{_SHA256}.jpg"]


@pytest.mark.parametrize("place", ["{}/else where", "file://{}/else%20where"])
def test_another_folder(tmp_path: Path, place: str) -> None:
    path = open_blob_store(tmp_path / "corpus", place.format(tmp_path)).put(_NAME, _DATA)
    assert path == f"{tmp_path}/else where/{_NAME}"
    assert Path(path).read_bytes() == _DATA


def test_only_truncated_files_are_written_again(tmp_path: Path) -> None:
    store = open_blob_store(tmp_path, None)
    path = tmp_path / store.put(_NAME, _DATA)
    written = path.stat()
    store.put(_NAME, _DATA)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    path.write_bytes(_DATA[:100])
    store.put(_NAME, _DATA)
    assert path.read_bytes() == _DATA


def test_an_fsspec_url(tmp_path: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}/corpus/"
    path = open_blob_store(tmp_path, place).put(_NAME, _DATA)
    assert path == f"{place}{_NAME}"
    with fsspec.open(path) as file:
        assert file.read() == _DATA
    files, inside = fsspec.core.url_to_fs(path)
    files.pipe_file(inside, _DATA[:10])
    assert open_blob_store(tmp_path, place).put(_NAME, _DATA) == path
    assert files.cat_file(inside) == _DATA
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    install = rf"nstall {package} .*pip install 'interior-surfaces\[{scheme}\]'"
    with pytest.raises(MissingExtraError, match=rf"photos at {scheme}:// need another package: .*{install}") as raised:
        open_blob_store(tmp_path, f"{scheme}://bucket/corpus")
    assert "\n" not in str(raised.value)


def test_half_written_files_of_a_killed_crawl_are_removed(tmp_path: Path) -> None:
    path = tmp_path / open_blob_store(tmp_path, None).put(_NAME, _DATA)
    for leftover in (path.parent / ".0123456789abcdef.tmp", tmp_path / "photos" / ".fedcba.tmp"):
        leftover.write_bytes(_DATA[:10])
    open_blob_store(tmp_path, None)
    assert [found for found in (tmp_path / "photos").rglob("*") if found.is_file()] == [path]
    other = tmp_path / "shared" / ".0123456789abcdef.tmp"  # another crawl may be writing there
    other.parent.mkdir()
    other.write_bytes(_DATA)
    open_blob_store(tmp_path, str(other.parent))
    assert other.is_file()


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="could not use nowhere://a: expected a path or an address of ") as raised:
        open_blob_store(tmp_path, "nowhere://a")
    assert "\n" not in str(raised.value)
    (tmp_path / "photos").write_text("a file")
    with pytest.raises(OutputError, match="could not write"):
        open_blob_store(tmp_path, None)
    place = f"memory://{uuid.uuid4().hex}"
    files, inside = fsspec.core.url_to_fs(place)
    files.pipe_file(f"{inside}/{_SHA256[:2]}", b"a file in place of a folder")
    with pytest.raises(OutputError, match=r"could not write memory://.*/[0-9a-f]{64}\.jpg"):
        open_blob_store(tmp_path, place).put(_NAME, _DATA)
