"""What tests put into label stores."""

from __future__ import annotations

import hashlib

import numpy as np

from surfaces.classes import WALL
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.store.label_store import LabelSettings, Source
from surfaces.store.records import ScoredLabels, ScoredSegment

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
