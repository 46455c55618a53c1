"""Our own network as a teacher: self-training."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from models.inference.segmenter import Segmenter
from models.teachers.base import Prediction, SemanticPrediction
from surfaces.classes import CLASSES, NUM_CHANNELS
from surfaces.detections import Image
from surfaces.errors import WeightsError
from surfaces.licences import with_source


class StudentTeacher:
    """A teacher that runs a student's semantic branch; arguments and errors as of `Segmenter`."""

    def __init__(self, weights: Path | None = None, threads: int | None = None) -> None:
        self._segmenter = Segmenter(weights, threads, accurate=True)
        self.name = f"student ({self._segmenter.name})"
        file = f"{self._segmenter.name}.onnx" if weights is None else weights.name
        self.licences = with_source(self._segmenter.training_photos.licences, file)
        self.fingerprint = hashlib.sha256(f"student {self._segmenter.sha256}".encode()).hexdigest()

    def predict(self, image: Image) -> Prediction:
        """The branch's probabilities at a quarter of the network's input size; `image` is uint8 HxWx3 RGB.

        Raises:
            WeightsError: the network was trained for another number of classes.
        """
        probabilities = self._segmenter.infer(image).probabilities
        if len(probabilities) != NUM_CHANNELS:
            wanted, got = len(CLASSES), len(probabilities) - 1
            raise WeightsError(f"expected a network of {wanted} classes, {self.name} knows {got}: train one")
        return Prediction(semantic=SemanticPrediction(probabilities, np.zeros(probabilities.shape[1:], np.float32)))
