"""From a task's annotations to one decision on the photo's labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from labelstudio.errors import AnnotationError
from labelstudio.project.labeling_config import REJECT, UNSURE
from labelstudio.project.tasks import read_field
from labelstudio.sync.agreement import class_ious, majority_vote, pairwise_agreement, same_labels
from labelstudio.sync.regions import annotation_to_labels
from labelstudio.sync.review_log import LoggedAnnotation, Outcome
from surfaces.classes import CLASSES, IGNORE
from surfaces.messages import brief, encodable, printable
from surfaces.store.records import ScoredLabels

RULES = ("majority", "newest")
JUDGED = (Outcome.ACCEPTED, Outcome.CORRECTED)
"""Outcomes of annotations that say where the classes are."""

_MAJORITY_PEOPLE_MIN = 3
_SECONDS_MAX = 1e9
_NAME_CHARACTERS_MAX = 320
"""An e-mail address has no more."""


@dataclass(frozen=True, eq=False)
class Review:
    """An annotation, its labels unless it was skipped, and the labels that the person started from."""

    logged: LoggedAnnotation
    labels: ScoredLabels | None
    predicted: ScoredLabels | None


@dataclass(frozen=True, eq=False)
class Decision:
    """The result of all reviews of a photo.

    Attributes:
        labels: for the dataset; None leaves its labels unchanged.
        reviewer: names of the deciding annotators.
        decided_at: when the newest of the deciding reviews changed.
        agreement: mean IoU of pairs of annotators by class; empty for one annotator.
    """

    outcome: Outcome
    labels: ScoredLabels | None
    reviewer: str
    decided_at: str
    agreement: Mapping[str, float]


def read_reviews(task: Mapping[str, Any], height: int, width: int) -> list[Review]:
    """Parses the annotations of a task, given as the server's JSON, and sorts them, the oldest first."""
    predictions = {read_field(known, "id", int): known for known in read_field(task, "predictions", list)}
    predicted: dict[int, ScoredLabels | None] = {}
    reviews = []
    for annotation in read_field(task, "annotations", list):
        start = _start_of(annotation, predictions)
        if start is not None and start not in predicted:
            predicted[start] = _labels_of_prediction(predictions[start], height, width)
        reviews.append(_read_review(annotation, predicted[start] if start is not None else None, height, width))
    return sorted(reviews, key=lambda review: (review.logged.updated_at, review.logged.number))


def decide(reviews: Sequence[Review], rule: str) -> Decision | None:
    """Combines the reviews of a photo, the oldest first; None if there are none.

    Of each person the newest counts, skipped ones only if there are no others. The rule `newest` takes the newest of
    these; `majority` lets three or more people vote, first on whether the photo is usable, then on each pixel.
    """
    by_person = {review.logged.annotator: review for review in reviews}
    newest_each = sorted(by_person.values(), key=reviews.index)
    people = [review for review in newest_each if review.labels is not None] or newest_each
    if not people:
        return None
    if rule == "majority" and len(people) >= _MAJORITY_PEOPLE_MIN:
        return _decide_by_majority(people)
    return _decide_by_newest(people)


def describe_change(before: ScoredLabels, after: ScoredLabels) -> str:
    """Pixels of each class and of unsure, and the number of tables, before and after, on one line."""
    old, new = _count_pixels(before), _count_pixels(after)
    return ", ".join(f"{name}: {old[name]} -> {new[name]}" for name in old)


def _count_pixels(labels: ScoredLabels) -> dict[str, int]:
    maps = labels.labels()
    counts = np.bincount(maps.semantic.ravel(), minlength=IGNORE + 1)
    pixels = {surface.name: int(counts[surface.coco_id]) for surface in CLASSES}
    return pixels | {UNSURE: int(counts[IGNORE]), "tables": int(maps.tables.max(initial=0))}


def _decide_by_newest(people: Sequence[Review]) -> Decision:
    newest = people[-1]
    labels = _labels_for(newest.logged.outcome, newest.labels)
    return _decision(newest.logged.outcome, labels, [newest], people)


def _decide_by_majority(people: Sequence[Review]) -> Decision:
    for outcome in (Outcome.REJECTED, Outcome.UNSURE):
        same = [review for review in people if review.logged.outcome == outcome]
        if 2 * len(same) > len(people):
            return _decision(outcome, _labels_for(outcome, same[-1].labels), same, people)
    judged = [review for review in people if review.logged.outcome in JUDGED]
    if len(judged) < _MAJORITY_PEOPLE_MIN:
        return _decide_by_newest(judged or people)
    labels = majority_vote([review.labels for review in judged if review.labels is not None])
    return _decision(_outcome(None, labels, judged[-1].predicted), labels, judged, people)


def _decision(
    outcome: Outcome, labels: ScoredLabels | None, deciding: Sequence[Review], people: Sequence[Review]
) -> Decision:
    judged = [review.labels for review in people if review.labels is not None and review.logged.outcome in JUDGED]
    return Decision(
        outcome,
        labels,
        ", ".join(sorted({review.logged.annotator for review in deciding})),
        max(review.logged.updated_at for review in deciding),
        pairwise_agreement(judged),
    )


def _labels_for(outcome: Outcome, labels: ScoredLabels | None) -> ScoredLabels | None:
    if labels is None or outcome == Outcome.UNSURE:
        return None
    if outcome == Outcome.REJECTED:
        return ScoredLabels((), np.ones_like(labels.ignore_mask), {"score": 0.0})
    return labels


def _read_review(annotation: Mapping[str, Any], predicted: ScoredLabels | None, height: int, width: int) -> Review:
    record: dict[str, Any] = {
        "number": read_field(annotation, "id", int),
        "annotator": _annotator_of(annotation),
        "updated_at": _normalize_time(read_field(annotation, "updated_at", str)),
        "seconds": _seconds_of(annotation),
    }
    if annotation.get("was_cancelled"):
        return Review(LoggedAnnotation(**record, outcome=Outcome.SKIPPED), None, predicted)
    reviewed = annotation_to_labels(annotation.get("result"), height, width, predicted)
    outcome = _outcome(reviewed.verdict, reviewed.labels, predicted)
    ious = class_ious(predicted, reviewed.labels) if predicted is not None and outcome in JUDGED else {}
    logged = LoggedAnnotation(**record, outcome=outcome, iou=ious, comment=encodable(reviewed.comment))
    return Review(logged, reviewed.labels, predicted)


def _outcome(verdict: str | None, labels: ScoredLabels, predicted: ScoredLabels | None) -> Outcome:
    if verdict is not None:
        return {REJECT: Outcome.REJECTED, UNSURE: Outcome.UNSURE}[verdict]
    accepted = predicted is not None and same_labels(labels, predicted)
    return Outcome.ACCEPTED if accepted else Outcome.CORRECTED


def _start_of(annotation: Mapping[str, Any], predictions: Mapping[int, Any]) -> int | None:
    parent = annotation.get("parent_prediction") if isinstance(annotation, Mapping) else None
    return parent if isinstance(parent, int) and parent in predictions else max(predictions, default=None)


def _labels_of_prediction(prediction: Mapping[str, Any], height: int, width: int) -> ScoredLabels | None:
    with suppress(AnnotationError):  # another program's: nothing to compare with
        return annotation_to_labels(prediction.get("result"), height, width, None).labels
    return None


def _normalize_time(timestamp: str) -> str:
    try:
        return datetime.fromisoformat(timestamp).astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError) as error:
        raise AnnotationError(f"expected updated_at in ISO 8601, got {brief(timestamp)}") from error


def _seconds_of(annotation: Mapping[str, Any]) -> float | None:
    seconds = annotation.get("lead_time")
    return float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < _SECONDS_MAX else None


def _annotator_of(annotation: Mapping[str, Any]) -> str:
    person = annotation.get("completed_by")
    name = person.get("email") or person.get("id") if isinstance(person, Mapping) else person
    return printable(str(name)[:_NAME_CHARACTERS_MAX])
