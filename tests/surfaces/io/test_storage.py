"""Where photos are: paths and addresses, and which files of a folder are photos."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from pathlib import Path, PurePath

import fsspec
import numpy as np
import pytest
from PIL import Image as Pillow

from surfaces.errors import DecodeError, FetchError
from surfaces.images.load import load_image
from surfaces.io.photo_lists import (
    CRAWL_NAME,
    LINK_OUTSIDE,
    PHOTO_SUFFIXES,
    find_photos,
    is_photo_file,
    passed_over_lines,
)
from surfaces.io.storage import find_bytes, is_remote, is_there, local_path, name_of, read_bytes
from surfaces.segmenting.naming import Signature, stems
from tests.surfaces.images.photo_files import saved


@pytest.fixture
def bucket() -> str:
    return f"memory://{uuid.uuid4().hex}"


def _put(address: str, data: bytes) -> str:
    files, inside = fsspec.core.url_to_fs(address)
    files.pipe_file(inside, data)
    return address


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("s3://bucket/rooms/a.jpg", "rooms/a"),
        ("s3://bucket/../..//./etc/passwd", "etc/passwd"),
        ("gs://bucket/a.b/c", "a.b/c"),
        ("memory://a.jpg", "a"),
        ("s3://", ""),
    ],
)
def test_names_of_objects(address: str, name: str) -> None:
    assert name_of(address) == name


def test_is_remote() -> None:
    remote = ["s3://b/k", "gs://b", "S3://b/k", "simplecache::s3://b/k", "memory://x", "HTTPS://a/b.jpg", "file:///a"]
    local = ["a.jpg", "/a/b.jpg", "C:\\rooms\\a.jpg", "a::b.jpg", "rooms/s3://x", "./http:/a.jpg", ""]
    assert [place for place in remote + local if is_remote(place)] == remote


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("file:///a%20b/c.jpg", "/a b/c.jpg"),
        ("FILE://localhost/a%23b%3F.jpg", "/a#b?.jpg"),
        ("file:/a/K%C3%BCche.jpg", "/a/Küche.jpg"),
        ("file:///caf%E9.jpg", "/caf\udce9.jpg"),
        ("file:///Küche b.jpg", "/Küche b.jpg"),
        ("s3://b/a%20b", "s3://b/a%20b"),
        ("a%20b.jpg", "a%20b.jpg"),
    ],
)
def test_paths_of_file_urls(place: str, path: str) -> None:
    assert local_path(place) == path


@pytest.mark.parametrize("place", ["file://server/a.jpg", "file://a.jpg", "file://", "file://[::1/a.jpg"])
def test_files_of_other_machines_are_refused(place: str) -> None:
    with pytest.raises(FetchError, match="file:///path, got"):
        local_path(place)


def test_find_bytes(tmp_path: Path, bucket: str) -> None:
    data = b"a photo"
    sha256 = hashlib.sha256(data).hexdigest()
    other, there = _put(f"{bucket}/other.jpg", b"other"), _put(f"{bucket}/room.jpg", data)
    assert find_bytes([str(tmp_path / "gone.jpg"), other, there], sha256) == (there, data)
    with pytest.raises(FetchError, match="other bytes are there"):
        find_bytes([str(tmp_path / "gone.jpg"), other], sha256)
    with pytest.raises(FetchError, match="no place"):
        find_bytes([], sha256)


def test_limits_and_invalid_locations(tmp_path: Path, bucket: str) -> None:
    (tmp_path / "a").write_bytes(b"123")
    for place in (str(tmp_path / "a"), _put(f"{bucket}/a", b"123")):
        assert read_bytes(place, 3) == b"123"
        with pytest.raises(DecodeError, match="expected at most 2 bytes"):
            read_bytes(place, 2)
    for place in ("nul\0", str(tmp_path), "nowhere://a/b", f"{bucket}/none"):
        with pytest.raises(FetchError) as told:
            read_bytes(place)
        assert "\n" not in str(told.value)
    found = [is_there(place) for place in (str(tmp_path), f"{bucket}/a", f"{bucket}/b", "nowhere://x")]
    assert found == [True, True, False, True]


KINDS = {".mpo": "MPO", ".png": "PNG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP", ".avif": "AVIF"}
KINDS |= dict.fromkeys((".tif", ".tiff"), "TIFF") | dict.fromkeys((".heic", ".heif", ".hif"), "HEIF")
KINDS |= dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG")


def test_is_photo_file() -> None:
    photos = ["a.jpg", "A.JPEG", "b.jpe", "b.jfif", "b.mpo", "IMG_1.HEIC", "c.heif", "d.avif"]
    others = ["._a.jpg", ".hidden.png", "a.txt", "a.jpg.json", "jpg", "a.svg"]
    assert [name for name in photos + others if is_photo_file(name)] == photos


def test_readme_lists_every_suffix() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
    assert [suffix for suffix in PHOTO_SUFFIXES if suffix not in readme.replace("`", " ").split()] == []


@pytest.mark.parametrize("suffix", sorted(PHOTO_SUFFIXES))
def test_every_suffix_is_decoded(tmp_path: Path, suffix: str) -> None:
    photo = Pillow.new("RGB", (32, 24), "red")
    options = {"save_all": True, "append_images": [Pillow.new("RGB", (32, 24))]} if suffix == ".mpo" else {}
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(saved(photo, KINDS[suffix], **options))
    assert find_photos(str(tmp_path)).photos == (str(path),)
    image = load_image(str(path))
    assert image.shape == (24, 32, 3)
    assert np.abs(image.astype(int) - (255, 0, 0)).max() < 6


def test_results_of_segmenting_are_skipped(tmp_path: Path) -> None:
    stem = next(stems(Signature("A", "B-c"), datetime(2026, 11, 28, 1, 2, 3)))
    for name in (f"{stem}.jpg", f"{stem}_wall.png", "kitchen__2026-11-28.jpg"):
        (tmp_path / name).write_bytes(b"")
    found = find_photos(str(tmp_path))
    assert [PurePath(path).name for path in found.photos] == ["kitchen__2026-11-28.jpg"]
    assert passed_over_lines(found.passed_over, []) == ["2 files passed over: 2 of segment.py"]


@pytest.mark.parametrize("base", ["", "corpus", "corpus/photos"], ids=["above", "corpus", "photos"])
def test_links_out_of_a_crawled_corpus_are_not_followed(tmp_path: Path, base: str) -> None:
    photos = tmp_path / "in" / "corpus" / "photos"
    (tmp_path / "home").mkdir()
    photos.mkdir(parents=True)
    for path in (photos / "a.jpg", tmp_path / "home" / "private.jpg"):
        path.write_bytes(b"")
    (photos / "b.jpg").symlink_to(tmp_path / "home" / "private.jpg")
    (photos / "c").symlink_to(tmp_path / "home")
    (photos / "d.jpg").symlink_to("a.jpg")
    folder = str(tmp_path / "in" / base)
    assert len(find_photos(folder).photos) == 4
    (photos.parent / CRAWL_NAME).write_bytes(b"")
    found = find_photos(folder)
    assert [PurePath(path).name for path in found.photos] == ["a.jpg", "d.jpg"]
    assert found.unreadable == tuple((str(photos / name), LINK_OUTSIDE) for name in ("b.jpg", "c/private.jpg"))
