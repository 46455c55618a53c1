"""How far an exported network may be from torch, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.inference.model_output import ModelOutput, choose_input_size
from models.inference.segmenter import Segmenter, model_output, network_input
from models.student.network import Student

TOLERANCES = {"probabilities": 1e-3, "boxes": 1e-3, "scores": 1e-3, "masks": 1e-2}
"""Largest absolute differences; boxes as shares of the photo's sides."""


@dataclass(frozen=True)
class Difference:
    """The largest absolute difference of one output over all photos, infinite where the number of tables differs."""

    output: str
    largest: float

    @property
    def tolerated(self) -> bool:
        """Whether it is within TOLERANCES."""
        return self.largest <= TOLERANCES[self.output]

    def __str__(self) -> str:
        return (
            f"{self.output} differ from torch by at most {self.largest:.1e} (tolerance {TOLERANCES[self.output]:.0e})"
        )


@torch.no_grad()
def torch_output(student: Student, image: npt.NDArray[np.uint8]) -> ModelOutput:
    """What the torch network says of a photo (uint8 HxWx3 RGB), prepared as the runtime prepares it."""
    height, width = choose_input_size(image.shape[0], image.shape[1])
    found = student.detect(torch.from_numpy(network_input(image, height, width)))
    arrays = [found.probabilities, found.boxes_xyxy, found.scores, found.masks]
    return model_output([array.numpy() for array in arrays], height, width)


def compare(student: Student, path: Path, images: Sequence[npt.NDArray[np.uint8]]) -> list[Difference]:
    """Runs both networks on the photos (uint8 HxWx3 RGB each); one Difference an output."""
    segmenter = Segmenter(path)
    largest = dict.fromkeys(TOLERANCES, 0.0)
    for image in images:
        expected, got = torch_output(student, image), segmenter.raw(image)
        for name in largest:
            largest[name] = max(largest[name], largest_difference(getattr(expected, name), getattr(got, name)))
    return [Difference(name, value) for name, value in largest.items()]


def largest_difference(expected: npt.NDArray[np.float32], got: npt.NDArray[np.float32]) -> float:
    """The largest absolute difference; infinite where the shapes differ or numbers are none, 0 for empty arrays."""
    if expected.shape != got.shape or not (np.isfinite(expected).all() and np.isfinite(got).all()):
        return float("inf")
    return float(np.abs(expected - got).max(initial=0))
