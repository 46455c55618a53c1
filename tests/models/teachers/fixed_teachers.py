"""Teachers whose opinions are known beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from models.teachers.base import Floats, InstancePrediction, Prediction, SemanticPrediction
from surfaces.detections import Image


@dataclass
class Believing:
    """Believes what a function of the photo says; remembers the shapes of what it was shown."""

    believe: Callable[[Image], Floats]
    name: str = "believing"
    seen: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def predict(self, image: Image) -> Prediction:
        self.seen.append(image.shape)
        semantic = self.believe(image).astype(np.float32)
        return Prediction(semantic=SemanticPrediction(semantic, np.zeros(semantic.shape[1:], np.float32)))


@dataclass
class Proposing:
    """Proposes the same of every photo."""

    instances: tuple[InstancePrediction, ...]
    name: str = "proposing"
    fingerprint: str = "proposing"

    def predict(self, image: Image) -> Prediction:
        assert all(instance.mask.shape == image.shape[:2] for instance in self.instances)
        return Prediction(instances=self.instances)


def constant(*probabilities: float, size_hw: tuple[int, int] = (4, 6)) -> Callable[[Image], Floats]:
    """The same probabilities (other, wall, floor, dining table) everywhere."""
    semantic = np.empty((4, *size_hw), np.float32)
    semantic[:] = np.reshape(probabilities, (4, 1, 1))
    return lambda _: semantic


def by_brightness(image: Image) -> Floats:
    """As fine as the photo: the brighter a pixel, the more it is wall, else floor."""
    bright = image[:, :, 0].astype(np.float32) / 255
    return np.stack([np.zeros_like(bright), bright, 1 - bright, np.zeros_like(bright)])


def left_half(image: Image) -> Floats:
    """The left half of whatever it is shown is wall, the right half floor."""
    semantic = np.zeros((4, *image.shape[:2]), np.float32)
    middle = image.shape[1] // 2
    semantic[1, :, :middle] = semantic[2, :, middle:] = 1
    return semantic
