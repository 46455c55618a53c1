"""Names of version 0.1 for teachers that users wrote; new teachers use `models.teachers.base`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from models.teachers.base import Floats, InstancePrediction, Prediction, SemanticPrediction
from surfaces.classes import SurfaceClass
from surfaces.detections import Image, Mask

__all__ = ["Belief", "Floats", "Opinion", "Proposal", "Teacher"]

Belief = SemanticPrediction


class Proposal(InstancePrediction):
    """An `InstancePrediction` whose `quality_scores` are called `qualities`."""

    def __init__(
        self,
        surface: SurfaceClass | None,
        prompt: str,
        score: float,
        box_xyxy: Floats,
        mask: Mask,
        qualities: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(surface, prompt, score, box_xyxy, mask, qualities or {})

    @property
    def qualities(self) -> Mapping[str, float]:
        """`quality_scores`."""
        return self.quality_scores


class Opinion(Prediction):
    """A `Prediction` whose `instances` are called `proposals` and whose `semantic` is called `belief`."""

    def __init__(
        self,
        proposals: Sequence[InstancePrediction] = (),
        belief: SemanticPrediction | None = None,
        agreement: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(tuple(proposals), belief, agreement or {})

    @property
    def proposals(self) -> tuple[InstancePrediction, ...]:
        """`instances`."""
        return self.instances

    @property
    def belief(self) -> SemanticPrediction | None:
        """`semantic`."""
        return self.semantic


class Teacher(Protocol):
    """A teacher whose `predict` is called `look`."""

    @property
    def name(self) -> str:
        """Short, for provenance."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever predictions may."""

    def look(self, image: Image) -> Prediction:
        """The prediction for a photo, uint8 HxWx3 RGB."""
