"""The teacher protocol and its predictions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from surfaces.classes import SurfaceClass
from surfaces.cli.settings_files import SettingsError
from surfaces.detections import Image, Mask
from surfaces.errors import SurfacesError
from surfaces.licences import COMMERCIAL, Licence, not_stated, with_source
from surfaces.messages import brief

_WORDS = re.compile(r"[^\W_]+(?:[ '-][^\W_]+)*")


class PromptError(SurfacesError):
    """A text is no prompt, or has more words than the detector reads at once."""

    exit_code = 11


@dataclass(frozen=True)
class Prompt:
    """Words that a detector looks for.

    Attributes:
        text: lower case, words apart by single spaces, hyphens or apostrophes. Full stops and question marks separate
            prompts in a caption, so a prompt has none; else a PromptError is raised.
        surface: the class that it finds; None for a negative prompt, whose regions keep the classes off.
    """

    text: str
    surface: SurfaceClass | None

    def __post_init__(self) -> None:
        if self.text != self.text.lower() or not _WORDS.fullmatch(self.text):
            raise PromptError(f"expected a prompt of lower-case words such as 'dining table', got {self.text!r}")


Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class InstancePrediction:
    """One predicted region; regions of one photo may overlap.

    Attributes:
        surface: its class; None for what a negative prompt found.
        prompt: the words it was found by, or the class's name where the teacher knows no prompts.
        score: the teacher's confidence, 0 to 1.
        box_xyxy: float32 (4,), pixels of the photo, right and bottom exclusive; the detector's or the mask's.
        mask: bool HxW at the photo's own size.
        quality_scores: further measures from 0 to 1 by name, such as `predicted_iou` and `stability` of SAM.
    """

    surface: SurfaceClass | None
    prompt: str
    score: float
    box_xyxy: Floats
    mask: Mask
    quality_scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SemanticPrediction:
    """Dense class probabilities of a photo, at any resolution; they cover the whole photo.

    Attributes:
        probabilities: float32 (4, h, w): other, wall, floor, dining table; they sum to 1.
        disagreement: float32 (h, w), 0 to 1: how far the members, flips and scales behind `probabilities` are apart
            (largest total variation distance to the mean); zeros where there is only one.
    """

    probabilities: Floats
    disagreement: Floats


@dataclass(frozen=True, eq=False)
class Prediction:
    """A teacher's prediction for one photo: instances, best first, or semantic probabilities.

    `agreement` has measures of the whole photo from 0 to 1, such as the mean IoU between `flips` or `backends`.
    """

    instances: tuple[InstancePrediction, ...] = ()
    semantic: SemanticPrediction | None = None
    agreement: Mapping[str, float] = field(default_factory=dict)


class Teacher(Protocol):
    """Labels photos; deterministic. `licences`, which may be absent, says what its labels come from."""

    @property
    def name(self) -> str:
        """Short, for provenance: `grounded-sam (swint, vit_b)`."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever predictions may: a SHA-256 over weights and settings."""

    def predict(self, image: Image) -> Prediction:
        """The prediction for a photo, uint8 HxWx3 RGB."""


@runtime_checkable
class BatchTeacher(Protocol):
    """What a teacher has that can predict for several photos at once, which may change the last bits."""

    def predict_batch(self, images: Sequence[Image]) -> Sequence[Prediction]:
        """A prediction for each photo, uint8 HxWx3 RGB, in their order; sizes may differ."""


def teacher_licences(teacher: Teacher) -> tuple[Licence, ...]:
    """What a teacher's labels come from: its attribute `licences`; where it has none, an entry that names its class.

    Raises:
        SettingsError: the attribute holds something else than licences.
    """
    source = f"teacher {type(teacher).__module__}.{type(teacher).__qualname__}"
    stated = getattr(teacher, "licences", None)
    if stated is None:
        return (not_stated(source),)
    if not isinstance(stated, tuple | list) or not all(map(_is_licence, stated)):
        raise SettingsError(
            f"expected `licences` of {source} to be a list of surfaces.licences.Licence, got {brief(stated)}"
        )
    return with_source(stated, source)


def _is_licence(value: object) -> bool:
    if not isinstance(value, Licence):
        return False
    return isinstance(value.source, str) and isinstance(value.terms, str) and value.commercial in COMMERCIAL


def box_area(box_xyxy: Floats) -> float:
    """The area of a box (4,) in pixels; 0 where it is turned inside out."""
    return float(np.clip(box_xyxy[2:] - box_xyxy[:2], 0, None).prod())


def common_box(one_xyxy: Floats, other_xyxy: Floats) -> Floats:
    """The box that two boxes (4,) share; turned inside out where they share none."""
    return np.concatenate([np.maximum(one_xyxy[:2], other_xyxy[:2]), np.minimum(one_xyxy[2:], other_xyxy[2:])])


def box_iou(one_xyxy: Floats, other_xyxy: Floats) -> float:
    """Intersection over union of two boxes (4,); 0 where both are empty."""
    both = box_area(common_box(one_xyxy, other_xyxy))
    either = box_area(one_xyxy) + box_area(other_xyxy) - both
    return both / either if either > 0 else 0.0


@dataclass(frozen=True, eq=False)
class PromptedBoxes:
    """Boxes with a score for every prompt; one box may score for several.

    Attributes:
        boxes_xyxy: float32 (N, 4), pixels of the photo, right and bottom exclusive, inside the photo.
        scores: float32 (N, P), 0 to 1: how much each box is each prompt, from the tokens of the prompt alone.
        prompts: the P prompts.
    """

    boxes_xyxy: Floats
    scores: Floats
    prompts: tuple[Prompt, ...]

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def take(self, chosen: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> PromptedBoxes:
        """The chosen boxes: by indices, or by bool (N,)."""
        return PromptedBoxes(self.boxes_xyxy[chosen], self.scores[chosen], self.prompts)


@dataclass(frozen=True, eq=False)
class ChosenBox:
    """A box, as in `PromptedBoxes`, that the rules gave to one prompt, with its score for that, 0 to 1."""

    prompt: Prompt
    score: float
    box_xyxy: Floats
