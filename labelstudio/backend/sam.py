"""Interactive segmentation by SAM (Kirillov et al., Segment Anything, 2023).

SAM knows no classes. For points, the student's region of the label gives SAM a box, so that a click on a wall means the
wall and not the shadow of a picture frame on it; the whole photo is the box if the student finds none. A person's own
box is used as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from labelstudio.backend.segmenters import RegionPrompt, StudentPhoto, StudentSegmenter
from models.inference.postprocess import detection
from models.teachers.sam.photo import PromptedPhoto
from models.teachers.sam.prompts import SamPrompt, SamSettings
from models.teachers.sam.segmenter import Sam
from surfaces.detections import Detection, Image


class SamSegmenter:
    """Interactive segmentation by SAM, with boxes and promptless segments of the student."""

    def __init__(self, sam: Sam, student: StudentSegmenter, settings: SamSettings | None = None) -> None:
        self._sam, self._student, self._settings = sam, student, settings or SamSettings()
        self.name = f"{sam.name} {sam.weights_sha256[:12]}, {student.name}"

    def encode(self, image: Image) -> SamPhoto:
        """Runs both networks on uint8 HxWx3 RGB."""
        return SamPhoto(self._sam.encode(image), self._student.encode(image), self._settings)


class SamPhoto:
    """A photo encoded by SAM and the student."""

    def __init__(self, encoded: PromptedPhoto, student: StudentPhoto, settings: SamSettings) -> None:
        self._encoded, self._student, self._settings = encoded, student, settings
        self.size_hw, self.segments = student.size_hw, student.segments

    def predict(self, prompt: RegionPrompt) -> Detection | None:
        """The region of a prompt; None if SAM finds nothing, or the prompt has negative points alone."""
        segment = self._encoded.thing if prompt.surface.is_thing else self._encoded.stuff
        results = [segment(sam_prompt, self._settings) for sam_prompt in self._sam_prompts(prompt)]
        mask = np.zeros(self.size_hw, np.bool_)
        for result in results:
            mask |= result.mask
        if not mask.any():
            return None
        return detection(prompt.surface, min(result.predicted_iou for result in results), mask)

    def _sam_prompts(self, prompt: RegionPrompt) -> Iterator[SamPrompt]:
        for box in prompt.boxes_xyxy:
            yield _sam_prompt(np.array(box, np.float32), prompt)
        if prompt.points and not prompt.boxes_xyxy:
            expected = self._student.predict(RegionPrompt(prompt.surface, prompt.points))
            height, width = self.size_hw
            whole = np.array([0, 0, width, height], np.float32)
            yield _sam_prompt(whole if expected is None else expected.box_xyxy, prompt)


def _sam_prompt(box_xyxy: npt.NDArray[np.float32], prompt: RegionPrompt) -> SamPrompt:
    left, top, right, bottom = box_xyxy
    points = [(point, True) for point in prompt.points] + [(point, False) for point in prompt.negative_points]
    within = [((x, y), positive) for (x, y), positive in points if left <= x < right and top <= y < bottom]
    return SamPrompt(
        box_xyxy,
        np.array([point for point, _ in within], np.float32).reshape(-1, 2),
        np.array([positive for _, positive in within], np.bool_),
    )
