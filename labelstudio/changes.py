"""How labels of one photo differ, in numbers for people."""

from __future__ import annotations

import numpy as np

from labelstudio.interface import UNSURE
from surfaces.classes import CLASSES
from surfaces.dataset.graded import GradedLabels


def change_of(before: GradedLabels, after: GradedLabels) -> str:
    """Pixels of each class and of unsure, and the number of tables, before and after, on one line."""
    old, new = _counts(before), _counts(after)
    return ", ".join(f"{name}: {old[name]} -> {new[name]}" for name in old)


def _counts(labels: GradedLabels) -> dict[str, int]:
    found = [segment.detection for segment in labels.segments]
    pixels = {
        surface.name: sum(int(np.count_nonzero(each.mask)) for each in found if each.surface == surface)
        for surface in CLASSES
    }
    unsure = int(np.count_nonzero(labels.unsure))
    return pixels | {UNSURE: unsure, "tables": sum(each.surface.is_thing for each in found)}
