"""From a click or a box of a person to a mask, by SAM (Kirillov et al., Segment Anything, 2023).

SAM knows no labels. What the student would propose says how far the region reaches: its box goes to SAM with the
clicks, so that a click on a wall means the wall and not the picture frame's shadow on it. A person's own box goes
as it is. Where the student proposes nothing, the whole photo is the box.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from labelstudio.backend.segmenters import Hint, StudentPhoto, StudentProposer
from models.inference.postprocess import detection
from models.teachers.sam.prompts import SamPrompt, SamSettings
from models.teachers.sam.segmenter import EncodedPhoto, Sam, SamMask
from surfaces.detections import Detection, Image


class SamProposer:
    """Proposes masks of SAM.

    Args:
        sam: the network.
        student: says how far regions reach, and what there is where nobody has clicked yet.
        settings: how SAM is asked; feedback and the choice of whole things as the teacher does it.
    """

    def __init__(self, sam: Sam, student: StudentProposer, settings: SamSettings | None = None) -> None:
        self._sam = sam
        self._student = student
        self._settings = settings or SamSettings()
        self.name = f"{sam.name} {sam.weights_sha256[:12]}, {student.name}"

    def see(self, image: Image) -> SamPhoto:
        """Runs both networks; `image` is uint8 HxWx3 RGB."""
        return SamPhoto(self._sam.encode(image), self._student.see(image), self._settings)


class SamPhoto:
    """A photo that SAM and the student have seen.

    Args:
        encoded: SAM's.
        student: the student's.
        settings: how SAM is asked.
    """

    def __init__(self, encoded: EncodedPhoto, student: StudentPhoto, settings: SamSettings) -> None:
        self._encoded = encoded
        self._student = student
        self._settings = settings

    @property
    def size_hw(self) -> tuple[int, int]:
        """The photo's height and width."""
        return self._student.size_hw

    @property
    def segments(self) -> Sequence[Detection]:
        """What the student finds on its own."""
        return self._student.segments

    def propose(self, hint: Hint) -> Detection | None:
        """The region that a hint means; None where SAM finds nothing, or the hint has negative clicks alone."""
        answers = [self._ask(hint, prompt) for prompt in self._prompts(hint)]
        mask = np.zeros(self.size_hw, np.bool_)
        for answer in answers:
            mask |= answer.mask
        if not mask.any():
            return None
        return detection(hint.surface, min(answer.predicted_iou for answer in answers), mask)

    def _ask(self, hint: Hint, prompt: SamPrompt) -> SamMask:
        ask = self._encoded.thing if hint.surface.is_thing else self._encoded.stuff
        return ask(prompt, self._settings)

    def _prompts(self, hint: Hint) -> Iterator[SamPrompt]:
        """One question for each box; where there is none, one for all clicks."""
        for box in hint.boxes_xyxy:
            yield _prompt(np.array(box, np.float32), hint)
        if hint.clicks and not hint.boxes_xyxy:
            expected = self._student.propose(Hint(hint.surface, hint.clicks))
            height, width = self.size_hw
            whole = np.array([0, 0, width, height], np.float32)
            yield _prompt(whole if expected is None else expected.box_xyxy, hint)


def _prompt(box_xyxy: np.ndarray[tuple[int, ...], np.dtype[np.float32]], hint: Hint) -> SamPrompt:
    """A box with the clicks in it."""
    left, top, right, bottom = box_xyxy
    points = [(point, True) for point in hint.clicks] + [(point, False) for point in hint.misses]
    within = [((x, y), inside) for (x, y), inside in points if left <= x < right and top <= y < bottom]
    return SamPrompt(
        box_xyxy,
        np.array([point for point, _ in within], np.float32).reshape(-1, 2),
        np.array([inside for _, inside in within], np.bool_),
    )
