"""From a task's JSON to what its people say, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from labelstudio.sync.agreement import same_labels
from labelstudio.sync.regions import labels_to_prediction
from labelstudio.sync.review_log import Outcome
from labelstudio.sync.reviews import decide, read_reviews
from surfaces.store.records import ScoredLabels
from tests.labelstudio.review_scenes import simple_labels

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


def outcomes(task: dict[str, Any]) -> list[Outcome]:
    return [review.logged.outcome for review in read_reviews(task, *SIZE_HW)]


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
    assert outcomes({"predictions": predictions, "annotations": annotations}) == [
        Outcome.ACCEPTED,
        Outcome.CORRECTED,
        Outcome.CORRECTED,
        Outcome.ACCEPTED,
    ]


def test_a_prediction_that_cannot_be_read_is_none() -> None:
    broken = {"id": 1, "result": [{"type": "brushlabels", "from_name": "brush", "value": {}}]}
    [review] = read_reviews({"predictions": [broken], "annotations": [annotation(1, simple_labels())]}, *SIZE_HW)
    assert review.predicted is None
    assert review.logged.outcome == Outcome.CORRECTED
    assert not review.logged.iou

    hidden = annotation(1, simple_labels(), completed_by=7)
    [review] = read_reviews({"predictions": [], "annotations": [hidden]}, *SIZE_HW)
    assert review.logged.annotator == "7", "the server may hide the e-mail address"


def test_skipped_reviews_leave_the_decision_to_others() -> None:
    labels = simple_labels(seed=3)
    task = {"predictions": [], "annotations": [annotation(1, labels), annotation(2, None)]}
    decision = decide(read_reviews(task, *SIZE_HW), "newest")
    assert decision
    assert decision.labels
    assert same_labels(decision.labels, labels)
    assert decision.reviewer == "1@example.com"

    person = {"completed_by": {"email": "ann@example.com"}}
    task = {"predictions": [], "annotations": [annotation(1, None, **person), annotation(2, simple_labels(), **person)]}
    decision = decide(read_reviews(task, *SIZE_HW), "majority")
    assert decision
    assert decision.outcome == Outcome.CORRECTED, "the person came back"
    assert decide(read_reviews({"predictions": [], "annotations": []}, *SIZE_HW), "newest") is None
