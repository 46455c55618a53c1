"""Teachers whose opinions are known beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from models.teachers.teacher import Belief, Floats, Opinion, Proposal
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

    def look(self, image: Image) -> Opinion:
        self.seen.append(image.shape)
        belief = self.believe(image).astype(np.float32)
        return Opinion(belief=Belief(belief, np.zeros(belief.shape[1:], np.float32)))


@dataclass
class Proposing:
    """Proposes the same of every photo."""

    proposals: tuple[Proposal, ...]
    name: str = "proposing"
    fingerprint: str = "proposing"

    def look(self, image: Image) -> Opinion:
        assert all(proposal.mask.shape == image.shape[:2] for proposal in self.proposals)
        return Opinion(proposals=self.proposals)


def constant(*probabilities: float, size_hw: tuple[int, int] = (4, 6)) -> Callable[[Image], Floats]:
    """The same probabilities (other, wall, floor, dining table) everywhere."""
    belief = np.empty((4, *size_hw), np.float32)
    belief[:] = np.reshape(probabilities, (4, 1, 1))
    return lambda _: belief


def by_brightness(image: Image) -> Floats:
    """As fine as the photo: the brighter a pixel, the more it is wall, else floor."""
    bright = image[:, :, 0].astype(np.float32) / 255
    return np.stack([np.zeros_like(bright), bright, 1 - bright, np.zeros_like(bright)])


def left_half(image: Image) -> Floats:
    """The left half of whatever it is shown is wall, the right half floor."""
    belief = np.zeros((4, *image.shape[:2]), np.float32)
    middle = image.shape[1] // 2
    belief[1, :, :middle] = belief[2, :, middle:] = 1
    return belief
