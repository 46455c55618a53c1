"""Files of shards: what is written is read, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from autolabel.engines.shards import LabelledPhoto, Shard, ShardFolder, ShardRow, forget_in_shards, split_corpus
from autolabel.labelling.corpus import Corpus, Failure
from surfaces.datasets import open_dataset
from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.errors import DatasetError, OutputError
from surfaces.io.storage import write_bytes
from surfaces.store.label_store import LabelStore
from surfaces.store.packed import pack_labels
from surfaces.store.records import Source
from tests.autolabel.label_stores import ROOMS, SETTINGS, scored_labels
from tests.storage_servers import s3_server

PHOTOS = tuple(Source(f"/photos/{number}.jpg", f"{number}", "/photos") for number in range(4))
NO_TABLE = LabelScope(absent=frozenset({3}), present=frozenset({1, 2}))
SHARD = Shard(3, PHOTOS, {PHOTOS[2].path: NO_TABLE})


def rows_of(shard: Shard) -> list[ShardRow]:
    scopes = [ALL_LABELLED, NO_TABLE]
    rooms = [scored_labels(room.labels()) for room in open_dataset(ROOMS)[:2]]
    labels = [pack_labels(replace(room, scope=scope)) for room, scope in zip(rooms, scopes, strict=True)]
    return [
        LabelledPhoto(shard.photos[0], "a" * 64, labels[0]),
        Failure(shard.photos[1], "unreadable", "no such file"),
        LabelledPhoto(shard.photos[2], "b" * 64, labels[1]),
        LabelledPhoto(shard.photos[3], "a" * 64, None),
    ]


@pytest.fixture(params=["folder", "address"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "shards") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/shards"


def test_rows_are_read_as_they_were_written(place: str) -> None:
    folder = ShardFolder(place, SETTINGS.fingerprint)
    assert folder.read(SHARD) is None
    folder.write(SHARD, rows_of(SHARD)[::-1])
    assert folder.read(SHARD) == rows_of(SHARD)
    folder.write(SHARD, rows_of(SHARD)[1:])
    assert folder.read(SHARD) == rows_of(SHARD)[1:]
    folder.write(SHARD, [])
    assert folder.read(SHARD) == []
    folder.remove(SHARD)
    assert folder.read(SHARD) is None


def test_files_that_hold_a_photo_are_removed(place: str) -> None:
    folders = [ShardFolder(place, settings * 64) for settings in ("1", "2")]
    first, second = SHARD, Shard(7, PHOTOS[1:2])
    for folder in folders:
        folder.write(first, rows_of(SHARD))
        folder.write(second, rows_of(SHARD)[1:2])
    assert forget_in_shards(place, {"c" * 64}) == 0
    assert forget_in_shards(place, {"b" * 64, "c" * 64}) == 2
    assert [folder.read(shard) is None for folder in folders for shard in (first, second)] == [True, False] * 2
    write_bytes(folders[0].path(first), b"damaged")
    assert forget_in_shards(place, {"b" * 64}) == 1
    assert forget_in_shards(f"{place}-elsewhere", {"b" * 64}) == 0
    folders[0].write(first, rows_of(SHARD))
    assert forget_in_shards(place.replace("shards", "shard[s]"), {"a" * 64}) == 0, "a name is no pattern"
    assert forget_in_shards(place, {"a" * 64}) == 1


def test_a_file_for_other_photos_or_settings_is_not_taken(tmp_path: Path) -> None:
    folder = ShardFolder(str(tmp_path), SETTINGS.fingerprint)
    folder.write(SHARD, rows_of(SHARD))
    assert folder.read(Shard(3, PHOTOS[:2])) is None
    folder.write(Shard(3, PHOTOS[:2]), rows_of(SHARD)[:2])
    assert folder.read(SHARD) == rows_of(SHARD), "runs of other parts of a corpus share a folder"
    assert folder.read(Shard(3, PHOTOS)) is None, "other image-level labels"
    assert folder.read(Shard(4, PHOTOS)) is None
    assert ShardFolder(str(tmp_path), SETTINGS.fingerprint[:16] + "0" * 48).read(SHARD) is None


@given(keep=st.floats(0, 1), flipped=st.booleans())
def test_a_damaged_file_is_reported(tmp_path_factory: pytest.TempPathFactory, keep: float, flipped: bool) -> None:
    place = tmp_path_factory.getbasetemp() / "damaged"
    folder = ShardFolder(str(place), SETTINGS.fingerprint)
    folder.write(SHARD, rows_of(SHARD))
    file = Path(folder.path(SHARD))
    data = bytearray(file.read_bytes())
    at = min(int(keep * len(data)), len(data) - 1)
    file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if flipped else data[:at])
    with suppress(DatasetError):
        rows = folder.read(SHARD)
        assert flipped, "a truncated file was read"
        assert rows is None or rows == rows_of(SHARD)


def test_the_line_about_a_damaged_file(tmp_path: Path) -> None:
    folder = ShardFolder(str(tmp_path), SETTINGS.fingerprint)
    folder.write(SHARD, rows_of(SHARD))
    file = Path(folder.path(SHARD))
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"^expected a shard in .*/0000003-\w{12}\.parquet, got a damaged file: .+$"):
        folder.read(SHARD)


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="could not write"):
        ShardFolder(str(tmp_path / "file"), SETTINGS.fingerprint).prepare(SETTINGS)


@pytest.fixture
def s3_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """S3, which checks keys once a test has asked for it."""
    with s3_server(monkeypatch) as endpoint:
        yield endpoint
        requests.post(f"{endpoint}/moto-api/reset-auth", data="inf", timeout=10)


def test_a_bucket_with_and_without_rights(s3_endpoint: str) -> None:
    bucket = f"s3://rooms-{uuid.uuid4().hex}"
    with pytest.raises(OutputError, match=f"^could not write {bucket}/") as absent:
        ShardFolder(bucket, SETTINGS.fingerprint).prepare(SETTINGS)
    fsspec.filesystem("s3").mkdir(bucket.removeprefix("s3://"))
    folder = ShardFolder(bucket, SETTINGS.fingerprint)
    folder.prepare(SETTINGS)
    folder.write(SHARD, rows_of(SHARD))
    assert folder.read(SHARD) == rows_of(SHARD)
    requests.post(f"{s3_endpoint}/moto-api/reset-auth", data="0", timeout=10)  # from now on, keys are checked
    with pytest.raises(OutputError, match=f"^could not write {bucket}/") as refused:
        folder.prepare(SETTINGS)
    assert "\n" not in f"{absent.value}{refused.value}"


def test_labels_are_those_that_the_store_writes_itself(tmp_path: Path) -> None:
    labels = scored_labels(open_dataset(ROOMS)[0].labels())
    with LabelStore.create(tmp_path / "one") as one, LabelStore.create(tmp_path / "two") as two:
        for store in (one, two):
            store.use_settings(SETTINGS)
        assert one.add(PHOTOS[0], "a" * 64, labels, SETTINGS.fingerprint)
        folder = ShardFolder(str(tmp_path), SETTINGS.fingerprint)
        shard = Shard(0, PHOTOS[:1])
        folder.write(shard, [LabelledPhoto(PHOTOS[0], "a" * 64, pack_labels(labels))])
        (row,) = folder.read(shard) or ()
        assert isinstance(row, LabelledPhoto)
        assert row.labels
        assert two.add_packed(row.source, row.sha256, row.labels, SETTINGS.fingerprint)
        assert not two.add_packed(row.source, row.sha256, row.labels, SETTINGS.fingerprint)
        assert two.labelled_at(PHOTOS[0], SETTINGS.fingerprint) == "a" * 64
        assert two.labelled_at(PHOTOS[0], SETTINGS.fingerprint, NO_TABLE) is None
        assert two.labelled_at(PHOTOS[0], "0" * 64) is None
        for sha256 in ("a" * 64,):
            assert list(map(vars, one.photos())) == list(map(vars, two.photos()))
            assert [segment.rle for segment in one.segments(sha256)] == [
                segment.rle for segment in two.segments(sha256)
            ]


@given(count=st.integers(0, 50), size=st.integers(1, 20))
def test_shards_are_the_corpus_in_its_order(count: int, size: int) -> None:
    photos = tuple(Source(str(number), "", "") for number in range(count))
    shards = split_corpus(Corpus("", photos), size)
    assert [photo for shard in shards for photo in shard.photos] == list(photos)
    assert all(0 < len(shard.photos) <= size for shard in shards)
    assert [shard.number for shard in shards] == list(range(-(-count // size)))
