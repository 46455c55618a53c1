"""Where photos lie: folders and addresses of fsspec."""

from __future__ import annotations

import hashlib
import importlib.util
import uuid
from pathlib import Path

import fsspec
import pytest
from sites import photo_bytes

from autolabel.crawling.vault import open_vault, photo_name
from surfaces.errors import MissingExtraError, OutputError

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
def test_the_suffix_comes_from_the_bytes(head: bytes, suffix: str) -> None:
    assert photo_name("ab" + "0" * 62, head) == f"ab/ab{'0' * 62}{suffix}"


def test_photos_lie_in_the_corpus(tmp_path: Path) -> None:
    vault = open_vault(tmp_path, None)
    assert vault.put(photo_name(_SHA256, _DATA), _DATA) == f"photos/{_NAME}"
    assert (tmp_path / "photos" / _NAME).read_bytes() == _DATA
    assert [path.name for path in (tmp_path / "photos").rglob("*") if path.is_file()] == [f"{_SHA256}.jpg"]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_another_folder(tmp_path: Path, scheme: str) -> None:
    vault = open_vault(tmp_path / "corpus", f"{scheme}{tmp_path}/else where".replace(" ", "%20" if scheme else " "))
    path = vault.put(_NAME, _DATA)
    assert path == f"{tmp_path}/else where/{_NAME}"
    assert Path(path).read_bytes() == _DATA


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    vault = open_vault(tmp_path, None)
    path = tmp_path / vault.put(_NAME, _DATA)
    written = path.stat()
    vault.put(_NAME, _DATA)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_what_was_cut_off_is_written_again(tmp_path: Path) -> None:
    vault = open_vault(tmp_path, None)
    path = tmp_path / vault.put(_NAME, _DATA)
    path.write_bytes(_DATA[:100])
    vault.put(_NAME, _DATA)
    assert path.read_bytes() == _DATA


def test_an_address_of_fsspec(tmp_path: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}/corpus/"
    path = open_vault(tmp_path, place).put(_NAME, _DATA)
    assert path == f"{place}{_NAME}"
    with fsspec.open(path) as file:
        assert file.read() == _DATA
    files, inside = fsspec.core.url_to_fs(path)
    created = files.created(inside)
    assert open_vault(tmp_path, place).put(_NAME, _DATA) == path
    assert files.created(inside) == created
    files.pipe_file(inside, _DATA[:10])
    open_vault(tmp_path, place).put(_NAME, _DATA)
    assert files.cat_file(inside) == _DATA
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_scheme_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"expected a place that fsspec knows, got nowhere://a: .*") as told:
        open_vault(tmp_path, "nowhere://a")
    assert "\n" not in str(told.value)


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_missing_package_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match="s3fs") as told:
        open_vault(tmp_path, "s3://bucket/corpus")
    assert "\n" not in str(told.value)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "photos").write_text("a file")
    with pytest.raises(OutputError, match="could not write"):
        open_vault(tmp_path, None)


def test_a_file_system_that_refuses(tmp_path: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}"
    files, inside = fsspec.core.url_to_fs(place)
    files.pipe_file(f"{inside}/{_SHA256[:2]}", b"a file where a folder should be")
    with pytest.raises(OutputError, match=r"could not write memory://.*/[0-9a-f]{64}\.jpg"):
        open_vault(tmp_path, place).put(_NAME, _DATA)
