"""Label stores with the exact masks of rendered rooms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from surfaces.classes import BY_ID, IGNORE, SurfaceClass
from surfaces.datasets import open_dataset
from surfaces.datasets.sample import Labels
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.store.label_store import LabelSettings, LabelStore, Source
from surfaces.store.records import ScoredLabels, ScoredSegment

ROOMS = Path(__file__).parents[1] / "data" / "rooms"

SETTINGS = LabelSettings("f" * 64, "ensemble (a, b)", {"min_share": 0.01, "rules": ["specks", "holes"]})


def segment(surface: SurfaceClass, mask: Mask, score: float = 0.9, **quality_scores: float) -> ScoredSegment:
    return ScoredSegment(Detection(surface, score, box_of_mask(mask), mask), quality_scores)


def scored_labels(labels: Labels, scores: Sequence[float] = (0.9, 0.8, 0.7), **quality_scores: float) -> ScoredLabels:
    """Labels with a score for each class, in the order of their ids."""
    semantic, tables = labels.semantic, labels.tables
    masks = [(1, semantic == 1), (2, semantic == 2)]
    masks += [(3, tables == number) for number in range(1, int(tables.max(initial=0)) + 1)]
    segments = [
        segment(BY_ID[of], mask, scores[of - 1], agreement=scores[of - 1] / 2) for of, mask in masks if mask.any()
    ]
    return ScoredLabels(tuple(segments), semantic == IGNORE, {"score": 0.6, "flips": 0.8} | quality_scores)


def add_photo(store: LabelStore, path: Path, labels: ScoredLabels) -> str:
    """Adds a file's labels to a store; returns its sha256."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    store.use_settings(SETTINGS)
    store.add(Source(str(path), path.stem, str(path.parent)), sha256, labels, SETTINGS.fingerprint)
    return sha256


def store_of(folder: Path, labels: ScoredLabels, *photos: Path, reviewer: str = "") -> Path:
    """Adds photos, all with the same labels, to a store."""
    with LabelStore.create(folder) as store:
        for photo in photos:
            sha256 = add_photo(store, photo, labels)
            if reviewer:
                store.add_review(sha256, labels, reviewer)
    return folder


def rooms_store(folder: Path, count: int = 4, reverse: bool = False) -> Path:
    """A store of the first rendered rooms, with rising scores; every other has ignored pixels."""
    rooms = list(enumerate(open_dataset(ROOMS)[:count]))
    with LabelStore.create(folder) as store:
        for index, room in reversed(rooms) if reverse else rooms:
            labels = room.labels()
            if index % 2:
                labels.semantic[100:140, 200:260] = IGNORE
                labels.tables[100:140, 200:260] = 0
            path = ROOMS / "images" / f"{room.name}.jpg"
            score = 0.5 + 0.5 * index / count
            add_photo(store, path, scored_labels(labels, (0.9, 0.8, score), score=score))
    return folder


def random_mask(height: int = 60, width: int = 80, seed: int = 0, parts: int = 6) -> Mask:
    """Separate rectangles with a hole each."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    for _ in range(parts):
        top, left = int(rng.integers(0, height - 12)), int(rng.integers(0, width - 12))
        mask[top : top + 12, left : left + 12] = True
        mask[top + 3 : top + 8, left + 4 : left + 9] = False
    return mask
