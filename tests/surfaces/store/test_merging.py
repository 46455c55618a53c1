"""Labels of several stores become one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from surfaces.errors import DatasetError
from surfaces.store.label_store import LabelSettings, LabelStore, SettingsChangedError
from surfaces.store.merging import Merged
from tests.surfaces.store.store_samples import OTHERS, SETTINGS, graded_wall, sha_of, source_of


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
