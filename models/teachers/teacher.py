"""What a teacher is, and what it says of one photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from surfaces.classes import SurfaceClass
from surfaces.detections import Image, Mask

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Proposal:
    """One region that a teacher proposes; regions of one photo may overlap until the rules have settled them.

    Attributes:
        surface: its class; None for what a negative prompt found ("desk"), which is there to keep others off.
        prompt: the words it was found by, or the class's name where the teacher knows no prompts.
        score: the teacher's confidence, 0 to 1.
        box_xyxy: float32 (4,), absolute pixels of the photo, right and bottom exclusive: what the detector drew, or the
            mask's tight box.
        mask: bool HxW at the photo's own size.
        qualities: further measures from 0 to 1 by name, such as `predicted_iou` and `stability` of SAM.
    """

    surface: SurfaceClass | None
    prompt: str
    score: float
    box_xyxy: Floats
    mask: Mask
    qualities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Belief:
    """Dense class probabilities of a photo, at any resolution; they cover the whole photo.

    Attributes:
        probabilities: float32 (4, h, w): other, wall, floor, dining table; they sum to 1.
        disagreement: float32 (h, w), 0 to 1: how far the members, flips and scales behind `probabilities` are apart
            (largest total variation distance to the mean); zeros where there is only one.
    """

    probabilities: Floats
    disagreement: Floats


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a teacher says of one photo. A detector proposes regions, a semantic network gives a belief.

    Attributes:
        proposals: regions, best first; empty where `belief` speaks.
        belief: dense probabilities, None where `proposals` speak.
        agreement: measures of the whole photo from 0 to 1 by name, such as `flips` and `backends` (mean IoU of the
            classes between them); empty where nothing was compared.
    """

    proposals: tuple[Proposal, ...] = ()
    belief: Belief | None = None
    agreement: Mapping[str, float] = field(default_factory=dict)


class Teacher(Protocol):
    """Labels photos without being asked twice: the same photo gives the same opinion."""

    @property
    def name(self) -> str:
        """Short, for provenance: `grounded-sam (swint, vit_b)`."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever opinions may: a sha256 over weights and settings."""

    def look(self, image: Image) -> Opinion:
        """The opinion on a photo, uint8 HxWx3 RGB."""
