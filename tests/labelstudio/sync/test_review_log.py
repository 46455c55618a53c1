"""The log of what was pushed and pulled."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from labelstudio.sync.review_log import LOG_NAME, LoggedAnnotation, LoggedTask, Outcome, ReviewLog
from surfaces.errors import DatasetError, OutputError

TASK = LoggedTask("1 of monday", 7, "a" * 64, "2026-01-02", "2026-01-01", Outcome.CORRECTED, {"wall": 0.5})
ANNOTATIONS = [
    LoggedAnnotation(3, "ann@example.com", "2026-01-01", Outcome.CORRECTED, 12.5, {"wall": 0.25}, "hm"),
    LoggedAnnotation(4, "ben@example.com", "2026-01-01", Outcome.SKIPPED),
]


def test_records_are_kept_and_replaced(tmp_path: Path) -> None:
    with ReviewLog.of(tmp_path) as log:
        log.record(TASK, ANNOTATIONS)
    with ReviewLog.of(tmp_path) as log:
        assert log.tasks(TASK.project) == [TASK]
        assert log.annotations(TASK.project) == ANNOTATIONS
        assert log.tasks("2 of monday") == log.annotations("2 of monday") == []

        newer = replace(TASK, updated_at="2026-01-03", outcome=Outcome.REJECTED)
        log.record(newer, ANNOTATIONS[:1])
        log.record(replace(TASK, task=8), [])
        assert log.tasks(TASK.project) == [newer, replace(TASK, task=8)]
        assert log.annotations(TASK.project) == ANNOTATIONS[:1]


def test_the_review_in_the_labels_is_the_newest_that_changes_them(tmp_path: Path) -> None:
    with ReviewLog.of(tmp_path) as log:
        assert log.in_labels(TASK.sha256) is None
        newest = replace(TASK, project="2 of monday", decided_at="2026-03-01", outcome=Outcome.PENDING)
        log.record(TASK, [])
        log.record(newest, [])
        log.record(replace(TASK, task=9, decided_at="2026-04-01", outcome=Outcome.SUPERSEDED), [])
        log.record(replace(TASK, task=10, decided_at="2026-04-01", outcome=Outcome.UNSURE), [])
        assert log.in_labels(TASK.sha256) == newest
        assert log.in_labels("b" * 64) is None


def test_pushed_photos_are_remembered_by_project(tmp_path: Path) -> None:
    with ReviewLog.of(tmp_path) as log:
        log.note_pushed("one", ["a", "b"])
        log.note_pushed("one", ["b", "c"])
        log.note_pushed("two", [])
        assert log.pushed("one") == {"a", "b", "c"}
        assert log.pushed("two") == set()


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"x" * 4096, "another version"])
def test_a_file_that_is_no_log_is_an_error(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / LOG_NAME
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 9")
    before = path.read_bytes()
    with pytest.raises(DatasetError, match=LOG_NAME if isinstance(content, bytes) else "version 1"):
        ReviewLog.of(tmp_path)
    assert path.read_bytes() == before
    with pytest.raises(OutputError):
        ReviewLog.of(tmp_path / "nowhere")
