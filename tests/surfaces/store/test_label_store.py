from __future__ import annotations

import hashlib
import io
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from surfaces.classes import DINING_TABLE, FLOOR, IGNORE, WALL
from surfaces.datasets import open_dataset
from surfaces.datasets.sample import Labels
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.errors import DatasetError, OutputError
from surfaces.store.label_store import (
    STORE_NAME,
    LabelSettings,
    LabelStore,
    SettingsChangedError,
    Source,
    StoredFailure,
    StoredPhoto,
)
from surfaces.store.merging import Merged
from surfaces.store.records import ScoredLabels, ScoredSegment
from tests.surfaces.datasets.label_strategies import assert_same_labels
from tests.surfaces.datasets.label_strategies import labels as random_labels

SETTINGS = LabelSettings("a" * 64, "teacher", {"rules": ["one", "two"]})
OTHERS = LabelSettings("b" * 64, "teacher")


def sha_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def source_of(name: str, corpus: str = "/corpus") -> Source:
    return Source(f"{corpus}/{name}.jpg", name, corpus)


def graded_wall(mask: Mask | None = None, score: float = 0.75) -> ScoredLabels:
    if mask is None:
        mask = np.zeros((6, 9), bool)
        mask[1:4, 2:8], mask[2, 4] = True, False
    wall = ScoredSegment(Detection(WALL, score, box_of_mask(mask), mask), {"detector": score, "agreement": 1 / 3})
    ignore_mask = np.zeros_like(mask)
    ignore_mask[-1] = ~mask[-1]
    return ScoredLabels((wall,), ignore_mask, {"score": 0.1, "flips": 2 / 3})


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    store = LabelStore.create(tmp_path / "set")
    store.use_settings(SETTINGS)
    return store


def _photos(store: LabelStore) -> list[StoredPhoto]:
    return list(store.photos())


def test_labels_round_trip(store: LabelStore) -> None:
    labels = graded_wall()
    assert store.add(source_of("a/room"), sha_of("1"), labels, SETTINGS.fingerprint)
    size_wh, made_by = (9, 6), ("auto", "", "teacher", "a" * 64, dict(labels.quality_scores))
    assert _photos(store) == [StoredPhoto(sha_of("1"), "a/room", "/corpus/a/room.jpg", *size_wh, *made_by)]
    back = store.labels(sha_of("1"))
    assert back.quality_scores == labels.quality_scores
    np.testing.assert_array_equal(back.ignore_mask, labels.ignore_mask)
    (found,), (expected,) = back.segments, labels.segments
    assert (found.detection.surface, found.detection.score) == (WALL, 0.75)
    assert found.quality_scores == expected.quality_scores
    assert found.detection.box_xyxy.dtype == np.float32
    np.testing.assert_array_equal(found.detection.box_xyxy, [2, 1, 8, 4])
    np.testing.assert_array_equal(found.detection.mask, expected.detection.mask)
    (segment,) = store.segments(sha_of("1"))
    assert (segment.surface, segment.score, segment.area, segment.rle["size"]) == (WALL, 0.75, 17, [6, 9])


@settings(deadline=None)
@given(labels=random_labels(), scores=st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_any_labels_round_trip(tmp_path_factory: pytest.TempPathFactory, labels: Labels, scores: list[float]) -> None:
    labels.semantic[labels.semantic == 4] = IGNORE  # graded labels know no other tables
    found = [(WALL, labels.semantic == 1), (FLOOR, labels.semantic == 2)]
    found += [(DINING_TABLE, labels.tables == number) for number in range(1, int(labels.tables.max(initial=0)) + 1)]
    segments = [
        ScoredSegment(Detection(surface, score, box_of_mask(mask), mask), {"detector": score})
        for (surface, mask), score in zip(found, scores, strict=False)
        if mask.any()
    ]
    with LabelStore.create(tmp_path_factory.mktemp("set")) as store:
        store.use_settings(SETTINGS)
        scored_labels = ScoredLabels(tuple(segments), labels.semantic == IGNORE, {"score": scores[-1]})
        store.add(source_of("a"), sha_of("1"), scored_labels, SETTINGS.fingerprint)
        back = store.labels(sha_of("1"))
    assert_same_labels(back.labels(), labels)
    assert [segment.detection.score for segment in back.segments] == [s.detection.score for s in segments]
    assert back.quality_scores == {"score": scores[-1]}


def test_photos_are_ordered_by_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surfaces.store.label_store._PAGE", 7)
    listed = []
    for folder, order in (("one", range(30)), ("two", reversed(range(30)))):
        with LabelStore.create(tmp_path / folder) as store:
            store.use_settings(SETTINGS)
            for number in order:
                store.add(source_of(f"room_{number}"), sha_of(str(number)), graded_wall(), SETTINGS.fingerprint)
                store.add_failure(source_of(f"broken_{number:02d}"), "broken", "")
            listed.append([_photos(store), list(store.failures())])
    assert listed[0] == listed[1]
    assert [photo.sha256 for photo in listed[0][0]] == sorted(sha_of(str(number)) for number in range(30))
    assert [failure.source for failure in listed[0][1]] == [f"/corpus/broken_{n:02d}.jpg" for n in range(30)]


def test_several_paths_of_one_photo(store: LabelStore) -> None:
    store.add(source_of("b/copy"), sha_of("1"), graded_wall(), SETTINGS.fingerprint)
    assert not store.add(source_of("a/room"), sha_of("1"), graded_wall(score=0.5), SETTINGS.fingerprint)
    store.add_source(source_of("c"), sha_of("1"))
    (photo,) = _photos(store)
    assert (photo.name, photo.source) == ("a/room", "/corpus/a/room.jpg")
    assert store.sources(sha_of("1")) == ["/corpus/a/room.jpg", "/corpus/b/copy.jpg", "/corpus/c.jpg"]
    assert store.labels(sha_of("1")).segments[0].detection.score == 0.75
    assert store.counts().duplicates == 2


def test_names_are_unique_ignoring_case(store: LabelStore) -> None:
    sources = (source_of("room", "/x"), source_of("room", "/y"), source_of("Room"), source_of("other"))
    for number, source in enumerate(sources):
        store.add(source, sha_of(str(number)), graded_wall(), SETTINGS.fingerprint)
    names = {photo.sha256: photo.name for photo in store.photos()}
    assert names == {
        sha_of("0"): f"room-{sha_of('0')[:12]}",
        sha_of("1"): f"room-{sha_of('1')[:12]}",
        sha_of("2"): f"Room-{sha_of('2')[:12]}",
        sha_of("3"): "other",
    }


def test_path_with_another_photo(store: LabelStore) -> None:
    store.add(source_of("a"), sha_of("old"), graded_wall(), SETTINGS.fingerprint)
    store.add(source_of("a"), sha_of("new"), graded_wall(), SETTINGS.fingerprint)
    assert [photo.sha256 for photo in store.photos()] == [sha_of("new")]
    assert store.counts().gone == 1
    assert store.is_labelled(sha_of("old"), SETTINGS.fingerprint)  # found elsewhere, it needs no teacher
    store.add_source(source_of("b"), sha_of("old"))
    assert store.counts().gone == 0


def test_reviews_win_over_teachers(store: LabelStore) -> None:
    store.add(source_of("a"), sha_of("1"), graded_wall(), SETTINGS.fingerprint)
    corrected = ScoredLabels((), np.zeros((6, 9), bool), {"score": 1.0})
    store.add_review(sha_of("1"), corrected, "ann")
    store.use_settings(OTHERS, relabel=True)
    assert store.is_labelled(sha_of("1"), OTHERS.fingerprint)
    assert not store.add(source_of("b"), sha_of("1"), graded_wall(), OTHERS.fingerprint)
    (photo,) = _photos(store)
    assert (photo.origin, photo.reviewer, photo.settings) == ("reviewed", "ann", SETTINGS.fingerprint)
    assert store.labels(sha_of("1")).segments == ()
    assert store.counts().reviewed == 1
    store.add_review(sha_of("1"), graded_wall(), "bob")
    assert (_photos(store)[0].reviewer, len(store.segments(sha_of("1")))) == ("bob", 1)


def test_invalid_reviews(store: LabelStore) -> None:
    with pytest.raises(DatasetError, match="expected labels of the photo"):
        store.add_review(sha_of("1"), graded_wall(), "ann")
    store.add(source_of("a"), sha_of("1"), graded_wall(), SETTINGS.fingerprint)
    with pytest.raises(DatasetError, match="expected labels of 9x6 pixels, got 9x7"):
        store.add_review(sha_of("1"), graded_wall(np.ones((7, 9), bool)), "ann")
    assert _photos(store)[0].origin == "auto"


def test_reviews_drop_soft_labels(store: LabelStore) -> None:
    soft_labels = np.random.default_rng(0).integers(0, 256, (4, 5, 7), np.uint8)
    store.add(source_of("a"), sha_of("1"), replace(graded_wall(), soft_labels=soft_labels), SETTINGS.fingerprint)
    store.add(source_of("b"), sha_of("2"), graded_wall(), SETTINGS.fingerprint)
    np.testing.assert_array_equal(store.labels(sha_of("1")).labels().soft_labels, soft_labels)
    assert store.labels(sha_of("2")).soft_labels is None
    store.add_review(sha_of("1"), graded_wall(), "somebody")
    assert store.labels(sha_of("1")).soft_labels is None


def _rows(store: LabelStore) -> list[object]:
    """All that a store holds, byte for byte."""
    with sqlite3.connect(store.path) as connection:
        names = ("settings", "photos", "segments", "sources", "failures")
        return [sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names]


def test_restore_is_exact(store: LabelStore) -> None:
    soft_labels = np.random.default_rng(0).integers(0, 256, (4, 5, 7), np.uint8)
    store.add(
        source_of("a"), sha_of("1"), replace(graded_wall(score=1 / 3), soft_labels=soft_labels), SETTINGS.fingerprint
    )
    store.add(source_of("b"), sha_of("2"), graded_wall(), SETTINGS.fingerprint)
    before = _rows(store)
    for _ in range(2):
        store.add_review(sha_of("1"), ScoredLabels((), np.zeros((6, 9), bool)), "ann")
        store.add_review(sha_of("1"), graded_wall(score=1.0), "bob")
        assert store.replaced() == {sha_of("1")}
        assert store.restore(sha_of("1"))
        assert _rows(store) == before
        assert store.replaced() == set()
        assert not store.restore(sha_of("1"))
        assert not store.restore(sha_of("2"))
    assert _rows(store) == before


def test_stores_without_tables_of_replaced_labels(store: LabelStore) -> None:
    for name in ("1", "2"):
        store.add(source_of(name), sha_of(name), graded_wall(), SETTINGS.fingerprint)
    store.add_review(sha_of("1"), graded_wall(score=1.0), "ann")
    store.close()
    with sqlite3.connect(store.path) as connection:
        for table in ("photos", "segments"):
            connection.execute(f"DROP TABLE replaced_{table}")
    with LabelStore.open(store.path.parent) as old:
        before = _rows(old)
        assert old.replaced() == set()
        assert not old.restore(sha_of("1"))
        old.add_review(sha_of("2"), graded_wall(score=1.0), "ann")
        assert old.replaced() == {sha_of("2")}
        assert old.restore(sha_of("2"))
        assert _rows(old) == before


@pytest.mark.parametrize("ask", [LabelStore.labels, LabelStore.segments])
def test_unknown_photo(store: LabelStore, ask: object) -> None:
    with pytest.raises(DatasetError, match="got none"):
        ask(store, sha_of("1"))  # type: ignore[operator]


def test_changed_settings(store: LabelStore) -> None:
    store.use_settings(OTHERS)  # nothing is labelled yet
    store.use_settings(SETTINGS)
    store.add(source_of("a"), sha_of("1"), graded_wall(), SETTINGS.fingerprint)
    store.use_settings(SETTINGS)
    with pytest.raises(SettingsChangedError, match=r"teacher, a{12}.*others \(teacher, b{12}\); --relabel"):
        store.use_settings(OTHERS)
    assert store.settings_in_use() == SETTINGS
    store.use_settings(OTHERS, relabel=True)
    store.use_settings(OTHERS)  # a relabelling run that was interrupted goes on
    assert not store.is_labelled(sha_of("1"), OTHERS.fingerprint)
    assert store.add(source_of("a"), sha_of("1"), graded_wall(score=0.5), OTHERS.fingerprint)
    assert _photos(store)[0].settings == OTHERS.fingerprint
    assert len(store.segments(sha_of("1"))) == 1
    assert store.counts().settings == {OTHERS.fingerprint: 1}
    assert store.settings() == [SETTINGS, OTHERS]


def test_failures_are_kept_until_the_path_is_labelled(store: LabelStore) -> None:
    for name, reason in (("b", "first"), ("a", "other"), ("b", "second")):
        store.add_failure(source_of(name), "broken", reason)
    assert list(store.failures()) == [
        StoredFailure("/corpus/a.jpg", "other", "broken"),
        StoredFailure("/corpus/b.jpg", "second", "broken"),
    ]
    assert store.counts().failures == {"broken": 2}
    store.add(source_of("a"), sha_of("1"), graded_wall(), SETTINGS.fingerprint)
    store.add_source(source_of("b"), sha_of("1"))
    assert list(store.failures()) == []


def test_failures_of_changed_files(store: LabelStore) -> None:
    store.add(source_of("a"), sha_of("1"), graded_wall(), SETTINGS.fingerprint)
    store.add_failure(source_of("a"), "unreadable", "no permission")
    assert len(_photos(store)) == 1  # the photo may well be the same
    store.add_failure(source_of("a"), "teacher failed", "on these very bytes", sha_of("1"))
    assert len(_photos(store)) == 1
    store.add_failure(source_of("a"), "not a usable photo", "truncated", sha_of("2"))
    assert _photos(store) == []


def test_forget_absent_keeps_labels(store: LabelStore, tmp_path: Path) -> None:
    there, gone = tmp_path / "there.jpg", tmp_path / "gone.jpg"
    there.write_bytes(b"")
    for path in (there, gone):
        store.add(Source(str(path), path.stem, "/corpus"), sha_of(path.stem), graded_wall(), SETTINGS.fingerprint)
    store.add(source_of("elsewhere", "/other"), sha_of("elsewhere"), graded_wall(), SETTINGS.fingerprint)
    for name in ("mended", "still"):
        store.add_failure(source_of(name), "broken", "")
    assert store.forget_absent("/corpus", {"/corpus/still.jpg"}) == 1
    assert {photo.name for photo in store.photos()} == {"there", "elsewhere"}
    assert [failure.source for failure in store.failures()] == ["/corpus/still.jpg"]
    assert store.is_labelled(sha_of("gone"), SETTINGS.fingerprint)


def test_read_photo_from_any_path(store: LabelStore, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.jpg", "b.jpg")]
    for path in paths:
        path.write_bytes(b"photo")
        store.add(Source(str(path), path.stem, str(tmp_path)), sha_of("photo"), graded_wall(), SETTINGS.fingerprint)
    (photo,) = _photos(store)
    assert store.read_photo(photo) == b"photo"
    paths[0].write_bytes(b"another")
    assert store.read_photo(photo) == b"photo"
    paths[1].unlink()
    with pytest.raises(DatasetError, match=r"a\.jpg.*gone or has changed"):
        store.read_photo(photo)


def test_add_is_atomic(store: LabelStore) -> None:
    store.add(source_of("a"), sha_of("1"), graded_wall(), SETTINGS.fingerprint)
    (good,) = graded_wall().segments
    nameless = replace(good, detection=replace(good.detection, surface=replace(WALL, name=None)))
    broken = replace(graded_wall(), segments=(good, nameless))
    store.use_settings(OTHERS, relabel=True)
    with pytest.raises(sqlite3.IntegrityError):
        store.add(source_of("b"), sha_of("1"), broken, OTHERS.fingerprint)
    (photo,) = _photos(store)
    assert (photo.settings, photo.source) == (SETTINGS.fingerprint, "/corpus/a.jpg")
    assert len(store.segments(sha_of("1"))) == 1
    assert store.add(source_of("c"), sha_of("2"), graded_wall(), OTHERS.fingerprint)  # and the store can still be used


def test_killed_transactions_are_rolled_back(store: LabelStore) -> None:
    """The journal that a killed process leaves is what the next one begins with."""
    store.add(source_of("a"), sha_of("1"), graded_wall(), SETTINGS.fingerprint)
    folder = store.path.parent
    store._database.run("PRAGMA cache_size = 1")
    store._database.run("BEGIN IMMEDIATE")
    for number in range(200):  # more than the cache holds: pages reach the file before the commit
        store.add(source_of(f"x{number}"), sha_of(f"x{number}"), graded_wall(), SETTINGS.fingerprint)
    killed = folder.parent / "killed"
    killed.mkdir()
    for file in folder.iterdir():
        (killed / file.name).write_bytes(file.read_bytes())
    assert {file.name for file in killed.iterdir()} == {STORE_NAME, f"{STORE_NAME}-journal"}
    with LabelStore.open(killed) as left:
        assert [photo.sha256 for photo in left.photos()] == [sha_of("1")]
        assert left.counts().gone == 0


def test_concurrent_writers(tmp_path: Path) -> None:
    def write(writer: int) -> None:
        with LabelStore.create(tmp_path) as store:
            store.use_settings(SETTINGS)
            for number in range(20):
                store.add(source_of(f"{writer}_{number}"), sha_of(f"{number}"), graded_wall(), SETTINGS.fingerprint)
                next(store.photos(), None)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with LabelStore.open(tmp_path) as store:
        assert len(_photos(store)) == 20
        assert store.counts().duplicates == 60


def test_concurrent_reader_and_writer(store: LabelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surfaces.store.label_store._PAGE", 2)
    for number in range(3):
        store.add(source_of(str(number)), sha_of(str(number)), graded_wall(), SETTINGS.fingerprint)
    with LabelStore.open(store.path.parent) as reader:
        photos = reader.photos()
        first = next(photos)
        store._database.run("PRAGMA busy_timeout = 10")
        for number in range(3, 20):
            store.add(source_of(str(number)), sha_of(str(number)), graded_wall(), SETTINGS.fingerprint)
        assert [first.sha256, *(photo.sha256 for photo in photos)] == sorted(sha_of(str(number)) for number in range(3))
        assert len(list(reader.photos())) == 20


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _: None, "got no such file"),
        (lambda path: path.write_bytes(b"no database" * 100), "not a database"),
        (lambda path: path.write_bytes(b""), "version 1 .*got 0"),
        (lambda path: _sqlite(path, "PRAGMA user_version = 7"), "version 1 .*got 7"),
    ],
    ids=["absent", "something else", "empty", "newer"],
)
def test_invalid_stores(tmp_path: Path, make: object, told: str) -> None:
    make(tmp_path / STORE_NAME)  # type: ignore[operator]
    with pytest.raises(DatasetError, match=told):
        LabelStore.open(tmp_path)


def _sqlite(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.close()


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / STORE_NAME).write_bytes(b"no database" * 100)
    with pytest.raises(DatasetError, match="not a database"):
        LabelStore.create(tmp_path)
    assert (tmp_path / STORE_NAME).read_bytes() == b"no database" * 100
    with pytest.raises(OutputError, match="could not write"):
        LabelStore.create(tmp_path / STORE_NAME)


def test_full_disk(store: LabelStore) -> None:
    store.add(source_of("a"), sha_of("a"), graded_wall(), SETTINGS.fingerprint)
    [(pages,)] = store._database.rows("PRAGMA page_count")
    store._database.run(f"PRAGMA max_page_count = {pages}")
    rng = np.random.default_rng(0)
    with pytest.raises(OutputError, match=r"could not use .*labels\.sqlite: database or disk is full"):
        store.add(source_of("b"), sha_of("b"), graded_wall(rng.random((400, 400)) > 0.5), SETTINGS.fingerprint)
    assert [photo.name for photo in store.photos()] == ["a"]
    store._database.run("PRAGMA max_page_count = 100000")
    store.add(source_of("b"), sha_of("b"), graded_wall(), SETTINGS.fingerprint)
    assert {photo.name for photo in store.photos()} == {"a", "b"}


def _photo(path: Path, orientation: int | None = None) -> bytes:
    image = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    exif = Pillow.Exif()
    if orientation:
        exif[0x0112] = orientation
    image.save(path, exif=exif, quality=95)
    return path.read_bytes()


def test_store_as_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    with LabelStore.create(folder) as store:
        store.use_settings(SETTINGS)
        for name, orientation, shape in (("b.jpg", None, (20, 30)), ("a.jpg", 6, (30, 20)), ("c.webp", None, (20, 30))):
            data = _photo(tmp_path / name, orientation)
            mask = np.zeros(shape, bool)
            mask[: shape[0] // 2] = True
            source = Source(str(tmp_path / name), Path(name).stem, str(tmp_path))
            store.add(source, hashlib.sha256(data).hexdigest(), graded_wall(mask), SETTINGS.fingerprint)
    turned, plain, webp = open_dataset(folder)
    assert [sample.name for sample in (turned, plain, webp)] == ["a", "b", "c"]
    for sample in (turned, plain, webp):
        semantic = sample.labels().semantic
        assert sample.image().shape[:2] == semantic.shape
        assert (semantic[: len(semantic) // 2] == WALL.coco_id).all()
        with Pillow.open(io.BytesIO(sample.encoded_image())) as file:  # as readers see it that know no EXIF
            assert file.size == semantic.shape[::-1]
            assert file.format == "JPEG"
    assert plain.encoded_image() == (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(DatasetError, match="gone"):
        plain.image()


# Labels of several stores become one


def _store_of(folder: Path, settings: LabelSettings = SETTINGS, **scores: float) -> LabelStore:
    store = LabelStore.create(folder)
    store.use_settings(settings)
    for name, score in scores.items():
        store.add(source_of(name, str(folder)), sha_of(name), graded_wall(score=score), settings.fingerprint)
    return store


def _scores(store: LabelStore) -> dict[str, float]:
    return {photo.name: store.labels(photo.sha256).segments[0].detection.score for photo in store.photos()}


def test_merge(tmp_path: Path) -> None:
    one = _store_of(tmp_path / "1", a=0.1, both=0.2)
    two = _store_of(tmp_path / "2", both=0.2, c=0.4)
    one.add_failure(source_of("x"), "broken", "here")
    one.add_failure(source_of("c", str(tmp_path / "2")), "broken", "mended there")
    two.add_failure(source_of("y"), "broken", "there")
    with LabelStore.create(tmp_path / "all") as merged:
        assert [merged.merge(tmp_path / number).taken for number in "12"] == [2, 1]
        assert [merged.merge(tmp_path / number).taken for number in "12"] == [0, 0]
        assert _scores(merged) == {"a": 0.1, "both": 0.2, "c": 0.4}
        assert len(merged.sources(sha_of("both"))) == 2
        assert [failure.reason for failure in merged.failures()] == ["here", "there"]
        assert merged.settings_in_use() == SETTINGS
    with pytest.raises(SettingsChangedError):
        one.merge(_store_of(tmp_path / "3", OTHERS, d=0.5).path.parent)
    assert set(_scores(one)) == {"a", "both"}


def test_merge_keeps_reviews(tmp_path: Path) -> None:
    mine, theirs = (_store_of(tmp_path / name, a=0.1, b=0.1, c=0.1) for name in ("mine", "theirs"))
    mine.add_review(sha_of("a"), graded_wall(score=0.2), "me")
    mine.add_review(sha_of("b"), graded_wall(score=0.2), "me")
    other_wall = np.zeros((6, 9), bool)
    other_wall[:3, :3] = True
    theirs.add_review(sha_of("b"), graded_wall(other_wall, score=0.3), "they")
    theirs.add_review(sha_of("c"), graded_wall(score=0.3), "they")
    assert mine.merge(tmp_path / "theirs") == Merged(taken=1, conflicts=1)
    assert {photo.name: photo.reviewer for photo in mine.photos()} == {"a": "me", "b": "me", "c": "they"}
    assert _scores(mine) == {"a": 0.2, "b": 0.2, "c": 0.3}
    assert all(mine.restore(sha_of(name)) for name in "abc")
    assert _scores(mine) == {"a": 0.1, "b": 0.1, "c": 0.1}


def test_merge_replaces_labels_of_older_settings(tmp_path: Path) -> None:
    mine = _store_of(tmp_path / "mine", a=0.1)
    mine.use_settings(OTHERS, relabel=True)
    _store_of(tmp_path / "theirs", OTHERS, a=0.4)
    assert mine.merge(tmp_path / "theirs").taken == 1
    assert _scores(mine) == {"a": 0.4}


def test_equal_reviews_are_no_conflict(tmp_path: Path) -> None:
    mine, theirs = (_store_of(tmp_path / name, a=0.1) for name in ("mine", "theirs"))
    for store in (mine, theirs):
        store.add_review(sha_of("a"), graded_wall(), "me")
    assert mine.merge(tmp_path / "theirs") == Merged(taken=0, conflicts=0)


def test_merge_into_itself_is_refused(tmp_path: Path) -> None:
    store = _store_of(tmp_path / "one", a=0.1)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    with pytest.raises(DatasetError, match="expected another store"):
        store.merge(tmp_path / "link")
    assert _scores(store) == {"a": 0.1}
