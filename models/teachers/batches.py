"""Several photos at once, for the teachers that can."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from models.teachers.base import BatchTeacher, Prediction, Teacher
from surfaces.detections import Image

R = TypeVar("R")


def predict_all(teacher: Teacher, images: Sequence[Image]) -> list[Prediction]:
    """A prediction for each photo, uint8 HxWx3 RGB: at once where the teacher can, else one by one."""
    if len(images) > 1 and isinstance(teacher, BatchTeacher):
        return list(teacher.predict_batch(images))
    return [teacher.predict(image) for image in images]


def run_in_groups(keys: Sequence[Hashable], run: Callable[[Sequence[int]], Iterable[R]]) -> list[R]:
    """Runs items with equal keys together; networks take photos of one size at a time.

    Args:
        keys: of the items.
        run: takes the indices of a group, returns a result for each.

    Returns:
        The results, in the items' order.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    results = {index: result for group in groups.values() for index, result in zip(group, run(group), strict=True)}
    return [results[index] for index in range(len(keys))]
