"""From a task's annotations to what its people say of the photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from labelstudio.errors import AnnotationError
from labelstudio.project.labeling_config import REJECT, UNSURE
from labelstudio.project.tasks import name_of, read_field
from labelstudio.sync.agreement import MAJORITY_PEOPLE, agreement, class_ious, majority, same_labels
from labelstudio.sync.regions import labels_of
from labelstudio.sync.review_log import LoggedAnnotation, Outcome
from surfaces.classes import CLASSES
from surfaces.messages import brief, encodable
from surfaces.store.records import ScoredLabels


def change_of(before: ScoredLabels, after: ScoredLabels) -> str:
    """Pixels of each class and of unsure, and the number of tables, before and after, on one line."""
    old, new = _counts(before), _counts(after)
    return ", ".join(f"{name}: {old[name]} -> {new[name]}" for name in old)


def _counts(labels: ScoredLabels) -> dict[str, int]:
    found = [segment.detection for segment in labels.segments]
    pixels = {
        surface.name: sum(int(np.count_nonzero(each.mask)) for each in found if each.surface == surface)
        for surface in CLASSES
    }
    ignore_mask = int(np.count_nonzero(labels.ignore_mask))
    return pixels | {UNSURE: ignore_mask, "tables": sum(each.surface.is_thing for each in found)}


RULES = ("majority", "newest")
_LONGEST_S = 1e9


@dataclass(frozen=True, eq=False)
class Review:
    """One annotation.

    Attributes:
        logged: who, when and what it came to.
        labels: of the photo; None where the person skipped it.
        predicted: the labels that the person started from; None where there were none.
    """

    logged: LoggedAnnotation
    labels: ScoredLabels | None
    predicted: ScoredLabels | None


@dataclass(frozen=True, eq=False)
class Decision:
    """What all reviews of one photo come to.

    Attributes:
        outcome: of the photo.
        labels: for the dataset; None where its labels stay as they are.
        reviewer: who vouches for them.
        decided_at: when the newest review changed of those that decide.
        agreement: mean IoU of any two people by class; empty where there is one.
    """

    outcome: Outcome
    labels: ScoredLabels | None
    reviewer: str
    decided_at: str
    agreement: Mapping[str, float] = field(default_factory=dict)


def read_reviews(task: Mapping[str, Any], height: int, width: int) -> list[Review]:
    """The reviews of one task, the oldest first.

    Args:
        task: as the server gives it, with annotations and predictions.
        height: of the photo, pixels.
        width: of the photo, pixels.

    Raises:
        AnnotationError: one of them cannot become labels.
    """
    predictions = {read_field(known, "id", int): known for known in read_field(task, "predictions", list)}
    predicted: dict[int, ScoredLabels | None] = {}
    reviews = []
    for annotation in read_field(task, "annotations", list):
        start = _start_of(annotation, predictions)
        if start is not None and start not in predicted:
            predicted[start] = _labels_of_prediction(predictions[start], height, width)
        reviews.append(_read(annotation, predicted[start] if start is not None else None, height, width))
    return sorted(reviews, key=lambda review: (review.logged.updated_at, review.logged.number))


def decide(reviews: Sequence[Review], rule: str) -> Decision | None:
    """What the reviews of one photo come to.

    Of each person the newest counts. Skipped ones count only where there are no others.

    Args:
        reviews: the oldest first.
        rule: one of `RULES`: `newest` takes the newest; `majority` lets the votes of three or more people decide, first
            on whether the photo is to be used, then on each pixel, and takes the newest where there are fewer.

    Returns:
        None where there are no reviews.
    """
    by_person = {review.logged.annotator: review for review in reviews}
    newest_each = sorted(by_person.values(), key=reviews.index)
    people = [review for review in newest_each if review.labels is not None] or newest_each
    if not people:
        return None
    if rule == "majority" and len(people) >= MAJORITY_PEOPLE:
        return _by_majority(people)
    return _by_newest(people)


def _by_newest(people: Sequence[Review]) -> Decision:
    newest = people[-1]
    labels = _labels_for(newest.logged.outcome, newest.labels)
    return _decision(newest.logged.outcome, labels, [newest], people)


def _by_majority(people: Sequence[Review]) -> Decision:
    for outcome in (Outcome.REJECTED, Outcome.UNSURE):
        same = [review for review in people if review.logged.outcome == outcome]
        if 2 * len(same) > len(people):
            return _decision(outcome, _labels_for(outcome, same[-1].labels), same, people)
    judged = _judged(people)
    if len(judged) < MAJORITY_PEOPLE:
        return _by_newest(judged or people)
    labels = majority([review.labels for review in judged if review.labels is not None])
    predicted = judged[-1].predicted
    accepted = predicted is not None and same_labels(labels, predicted)
    return _decision(Outcome.ACCEPTED if accepted else Outcome.CORRECTED, labels, judged, people)


def _decision(
    outcome: Outcome, labels: ScoredLabels | None, deciding: Sequence[Review], people: Sequence[Review]
) -> Decision:
    judged = [review.labels for review in _judged(people) if review.labels is not None]
    return Decision(
        outcome,
        labels,
        ", ".join(sorted({review.logged.annotator for review in deciding})),
        max(review.logged.updated_at for review in deciding),
        agreement(judged),
    )


def _judged(people: Sequence[Review]) -> list[Review]:
    """The reviews that say where the surfaces are."""
    return [review for review in people if review.logged.outcome in (Outcome.ACCEPTED, Outcome.CORRECTED)]


def _labels_for(outcome: Outcome, labels: ScoredLabels | None) -> ScoredLabels | None:
    if labels is None or outcome == Outcome.UNSURE:
        return None
    if outcome == Outcome.REJECTED:
        return ScoredLabels((), np.ones_like(labels.ignore_mask), {"score": 0.0})
    return labels


def _read(annotation: Mapping[str, Any], predicted: ScoredLabels | None, height: int, width: int) -> Review:
    known: dict[str, Any] = {
        "number": read_field(annotation, "id", int),
        "annotator": _person(annotation),
        "updated_at": _comparable(read_field(annotation, "updated_at", str)),
        "seconds": _seconds(annotation),
    }
    if annotation.get("was_cancelled"):
        return Review(LoggedAnnotation(**known, outcome=Outcome.SKIPPED), None, predicted)
    reviewed = labels_of(annotation.get("result"), height, width, predicted)
    outcome = _outcome(reviewed.verdict, reviewed.labels, predicted)
    judged = predicted is not None and outcome in (Outcome.ACCEPTED, Outcome.CORRECTED)
    ious = class_ious(predicted, reviewed.labels) if predicted is not None and judged else {}
    logged = LoggedAnnotation(**known, outcome=outcome, iou=ious, comment=encodable(reviewed.comment))
    return Review(logged, reviewed.labels, predicted)


def _outcome(verdict: str | None, labels: ScoredLabels, predicted: ScoredLabels | None) -> Outcome:
    if verdict == REJECT:
        return Outcome.REJECTED
    if verdict == UNSURE:
        return Outcome.UNSURE
    accepted = predicted is not None and same_labels(labels, predicted)
    return Outcome.ACCEPTED if accepted else Outcome.CORRECTED


def _start_of(annotation: Mapping[str, Any], predictions: Mapping[int, Any]) -> int | None:
    """The prediction that an annotation was made from: as the browser says, else the newest."""
    parent = annotation.get("parent_prediction") if isinstance(annotation, Mapping) else None
    return parent if isinstance(parent, int) and parent in predictions else max(predictions, default=None)


def _labels_of_prediction(prediction: Mapping[str, Any], height: int, width: int) -> ScoredLabels | None:
    with suppress(AnnotationError):  # somebody else's: there is nothing to compare with
        return labels_of(prediction.get("result"), height, width, None).labels
    return None


def _comparable(moment: str) -> str:
    """A moment as the server writes it in a form whose order is that of time; the server drops a zero fraction."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError) as error:
        raise AnnotationError(f"expected updated_at in ISO 8601, got {brief(moment)}") from error


def _seconds(annotation: Mapping[str, Any]) -> float | None:
    """How long the person took; None where that is no number of seconds."""
    told = annotation.get("lead_time")
    return float(told) if isinstance(told, int | float) and 0 <= told < _LONGEST_S else None


def _person(annotation: Mapping[str, Any]) -> str:
    """The annotator's e-mail, or number where the server keeps it to itself."""
    person = annotation.get("completed_by")
    if isinstance(person, Mapping):
        return name_of(person.get("email") or person.get("id"))
    return name_of(person)
