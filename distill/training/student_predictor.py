"""A student in training as the exported network: the same input size, panoptic fusion and operating point."""

from __future__ import annotations

import torch

from distill.evaluation.single_pass import DOUBTFUL_SCORE
from models.inference.model_output import ModelOutput, choose_input_size
from models.inference.postprocess import FusionSettings, fuse
from models.inference.segmenter import model_output, network_input
from models.student.network import Student
from surfaces.detections import Detection, Image


class StudentPredictor:
    """A student's segments of photos, as the exported network gives them.

    Args:
        student: its weights are not changed.
        device: that it is on.
    """

    def __init__(self, student: Student, device: torch.device) -> None:
        self._student, self._device = student, device
        self._latest: tuple[Image, ModelOutput] | None = None

    def predict(self, image: Image) -> list[Detection]:
        """The segments of a photo (uint8 HxWx3 RGB) at the default operating point."""
        return self._segments(image, FusionSettings())

    def low_confidence(self, image: Image) -> list[Detection]:
        """The same with tables of low scores, for average precision."""
        return self._segments(image, FusionSettings(table_score=DOUBTFUL_SCORE))

    def _segments(self, image: Image, settings: FusionSettings) -> list[Detection]:
        if self._latest is None or self._latest[0] is not image:
            self._latest = image, self._infer(image)
        return fuse(self._latest[1], image.shape[0], image.shape[1], settings)

    @torch.no_grad()
    def _infer(self, image: Image) -> ModelOutput:
        height, width = choose_input_size(*image.shape[:2])
        was_training = self._student.training
        self._student.eval()
        found = self._student.detect(torch.from_numpy(network_input(image, height, width)).to(self._device))
        self._student.train(was_training)
        arrays = [part.float().cpu().numpy() for part in vars(found).values()]
        return model_output(arrays, height, width)
