"""Where photos lie: paths and addresses, and the one way to read both."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import fsspec
import pytest

from surfaces.errors import DecodeError, FetchError
from surfaces.io.storage import find_bytes, is_remote, is_there, local_path, name_of, read_bytes


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
    assert all(
        map(
            is_remote,
            ["s3://b/k", "gs://b", "S3://b/k", "simplecache::s3://b/k", "memory://x", "HTTPS://a/b.jpg", "file:///a"],
        )
    )
    assert not any(
        map(is_remote, ["a.jpg", "/a/b.jpg", "C:\\rooms\\a.jpg", "a::b.jpg", "rooms/s3://x", "./http:/a.jpg", ""])
    )


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
    assert [is_there(place) for place in (str(tmp_path), f"{bucket}/a", f"{bucket}/b", "nowhere://x")] == [
        True, True, False, True,
    ]  # fmt: skip
