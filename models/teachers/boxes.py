"""What a text-prompted detector found, before the rules and before masks, and what the rules chose of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.teachers.prompts import Prompt
from models.teachers.teacher import Floats


@dataclass(frozen=True, eq=False)
class PromptedBoxes:
    """Boxes with a score for every prompt; one box may score for several.

    Attributes:
        boxes_xyxy: float32 (N, 4), absolute pixels of the photo, right and bottom exclusive, inside the photo.
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
    """A box that the rules gave to one prompt.

    Attributes:
        prompt: what it is.
        score: how much it is that, 0 to 1.
        box_xyxy: float32 (4,), absolute pixels of the photo, right and bottom exclusive, inside the photo.
    """

    prompt: Prompt
    score: float
    box_xyxy: Floats
