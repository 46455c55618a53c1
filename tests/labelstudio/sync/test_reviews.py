"""From a task's JSON to what its people say, without a server; and the log of what was pushed and pulled."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labelstudio.sync.agreement import same_labels
from labelstudio.sync.regions import labels_to_prediction
from labelstudio.sync.review_log import LOG_NAME, LoggedAnnotation, LoggedTask, Outcome, ReviewLog
from labelstudio.sync.reviews import decide, read_reviews
from surfaces.errors import DatasetError, OutputError
from surfaces.store.records import ScoredLabels
from tests.labelstudio.review_scenes import entry, simple_labels

SIZE_HW = (48, 64)


def annotation(number: int, labels: ScoredLabels | None, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "result": labels_to_prediction(labels, "")["result"] if labels else [],
        "completed_by": {"id": number, "email": f"{number}@example.com"},
        "updated_at": f"2026-01-01T00:00:{number:02}.5Z",
        "was_cancelled": labels is None,
        "lead_time": 1,
        "parent_prediction": None,
        **changes,
    }


def prediction(number: int, labels: ScoredLabels) -> dict[str, Any]:
    return {"id": number, **labels_to_prediction(labels, f"version {number}")}


@pytest.mark.parametrize("order", [1, -1])
def test_reviews_come_in_the_order_of_time(order: int) -> None:
    """The server leaves out a fraction that is zero, and text would put `00Z` after `00.5Z`."""
    first = annotation(2, simple_labels(), updated_at="2026-01-01T00:00:00Z")
    second = annotation(1, simple_labels(), updated_at="2026-01-01T00:00:00.5Z")
    third = annotation(3, simple_labels(), updated_at="2026-01-01T02:00:00.2+01:00")
    task = {"predictions": [], "annotations": [first, second, third][::order]}
    assert [review.logged.number for review in read_reviews(task, *SIZE_HW)] == [2, 1, 3]


def test_a_review_is_measured_by_the_prediction_that_it_began_with_or_else_the_newest() -> None:
    older, newer = simple_labels(seed=1), simple_labels(seed=2)
    predictions = [prediction(8, newer), prediction(7, older)]
    annotations = [
        annotation(1, older, parent_prediction=7),
        annotation(2, older, parent_prediction=8),
        annotation(3, older),
        annotation(4, newer, parent_prediction=99),
    ]
    reviews = read_reviews({"predictions": predictions, "annotations": annotations}, *SIZE_HW)
    outcomes = [Outcome.ACCEPTED, Outcome.CORRECTED, Outcome.CORRECTED, Outcome.ACCEPTED]
    assert [review.logged.outcome for review in reviews] == outcomes


def test_a_prediction_that_cannot_be_read_is_none() -> None:
    broken = {"id": 1, "result": [{"type": "brushlabels", "from_name": "brush", "value": {}}]}
    [review] = read_reviews({"predictions": [broken], "annotations": [annotation(1, simple_labels())]}, *SIZE_HW)
    assert review.predicted is None
    assert review.logged.outcome == Outcome.CORRECTED
    assert not review.logged.iou

    hidden = annotation(1, simple_labels(), completed_by=7)
    [review] = read_reviews({"predictions": [], "annotations": [hidden]}, *SIZE_HW)
    assert review.logged.annotator == "7", "the server may hide the e-mail address"


A, B, C = simple_labels(seed=60), simple_labels(seed=61), simple_labels(seed=62)
VERDICTS = {verdict: entry("verdict", "choices", choices=[verdict]) for verdict in ("reject", "unsure")}


@pytest.mark.parametrize(
    ("drawn", "rule", "outcome", "labels", "deciding"),
    [
        ([A], "majority", Outcome.CORRECTED, A, [1]),
        ([A, B], "majority", Outcome.CORRECTED, B, [2]),
        ([A, A, B], "majority", Outcome.CORRECTED, A, [1, 2, 3]),
        ([A, A, B], "newest", Outcome.CORRECTED, B, [3]),
        ([A, "reject", "reject"], "majority", Outcome.REJECTED, None, [2, 3]),
        (["unsure", A, "unsure"], "majority", Outcome.UNSURE, None, [1, 3]),
        ([A, B, "reject"], "majority", Outcome.CORRECTED, B, [2]),
        ([A, None], "newest", Outcome.CORRECTED, A, [1]),
        ([A, A, B, None], "majority", Outcome.CORRECTED, A, [1, 2, 3]),
        ([None, None], "newest", Outcome.SKIPPED, None, [2]),
    ],
)
def test_decisions(
    drawn: list[ScoredLabels | str | None],
    rule: str,
    outcome: Outcome,
    labels: ScoredLabels | None,
    deciding: list[int],
) -> None:
    annotations = []
    for number, each in enumerate(drawn, start=1):
        known = annotation(number, C if isinstance(each, str) else each)
        known["result"] += [VERDICTS[each]] if isinstance(each, str) else []
        annotations.append(known)
    decision = decide(read_reviews({"predictions": [], "annotations": annotations}, *SIZE_HW), rule)
    assert decision.outcome == outcome
    assert decision.reviewer == ", ".join(f"{number}@example.com" for number in deciding)
    if labels:
        assert same_labels(decision.labels, labels)
    else:
        assert (decision.labels is not None) == (outcome == Outcome.REJECTED)
        assert decision.labels is None or decision.labels.ignore_mask.all()


def test_of_each_person_the_newest_review_counts_and_without_any_nothing_is_decided() -> None:
    person = {"completed_by": {"email": "ann@example.com"}}
    task = {"predictions": [], "annotations": [annotation(1, None, **person), annotation(2, A, **person)]}
    decision = decide(read_reviews(task, *SIZE_HW), "majority")
    assert decision.outcome == Outcome.CORRECTED, "the person came back"
    assert decide(read_reviews({"predictions": [], "annotations": []}, *SIZE_HW), "newest") is None


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
