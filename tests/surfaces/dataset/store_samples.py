"""What tests put into label stores."""

from __future__ import annotations

import hashlib

import numpy as np

from surfaces.classes import WALL
from surfaces.dataset.graded import GradedLabels, GradedSegment
from surfaces.dataset.store import LabelSettings, Source
from surfaces.detections import Detection, Mask, box_of_mask

SETTINGS = LabelSettings("a" * 64, "teacher", {"rules": ["one", "two"]})
OTHERS = LabelSettings("b" * 64, "teacher")


def sha_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def source_of(name: str, corpus: str = "/corpus") -> Source:
    return Source(f"{corpus}/{name}.jpg", name, corpus)


def graded_wall(mask: Mask | None = None, score: float = 0.75) -> GradedLabels:
    if mask is None:
        mask = np.zeros((6, 9), bool)
        mask[1:4, 2:8], mask[2, 4] = True, False
    wall = GradedSegment(Detection(WALL, score, box_of_mask(mask), mask), {"detector": score, "agreement": 1 / 3})
    unsure = np.zeros_like(mask)
    unsure[-1] = ~mask[-1]
    return GradedLabels((wall,), unsure, {"score": 0.1, "flips": 2 / 3})
