"""Whether a photo shows an interior: logistic regression on the student's class probabilities.

`python -m tools.fit_interior_classifier` fits it; interior_classifier.toml has its weights and training pictures.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Image
from surfaces.errors import WeightsError
from surfaces.io.local_files import read_text

SHIPPED = Path(__file__).with_name("interior_classifier.toml")

_GRID = 48  # cells a side: sums depend neither on the photo's size nor on its shape
_THIRD = _GRID // 3
_CERTAIN = 0.8
_EPSILON = 1e-3  # is added to shares before their logarithm is taken


@dataclass(frozen=True)
class InteriorClassifier:
    """Logistic regression: weights by the names of `interior_features`, and a bias."""

    weights: Mapping[str, float]
    bias: float

    @classmethod
    def load(cls, path: Path = SHIPPED) -> InteriorClassifier:
        """Reads the TOML file that `fit_interior_classifier` wrote. Raises WeightsError where it is none."""
        try:
            read = tomllib.loads(read_text(path))
            return cls({name: float(weight) for name, weight in read["weights"].items()}, float(read["bias"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(f"expected an interior classifier at {path}, got {error!r}") from error

    def score(self, features: Mapping[str, float]) -> float:
        """Returns a score from 0 to 1; interiors have 0.5 or more, except for the share that fitting gave up."""
        total = self.bias + sum(weight * features[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-500.0, min(total, 500.0))))


def interior_features(probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
    """Computes the classifier's features: natural logarithms of shares of the photo, and three means.

    With colours, classifiers lost more interiors of sources that they were not fitted to.

    Args:
        probabilities: float32 (4, h, w): other, wall, floor, dining table.
    """
    grid = np.stack([cv2.resize(plane, (_GRID, _GRID), interpolation=cv2.INTER_AREA) for plane in probabilities])
    wall, floor, table = (grid[surface.coco_id] for surface in (WALL, FLOOR, DINING_TABLE))
    thirds = {"top": slice(_THIRD), "middle": slice(_THIRD, 2 * _THIRD), "bottom": slice(2 * _THIRD, None)}
    return {
        "table": _log(table),
        "wall sure": _log(wall > _CERTAIN),
        "floor sure": _log(floor > _CERTAIN),
        **{f"wall {name}": _log(wall[rows]) for name, rows in thirds.items()},
        "floor top": _log(floor[thirds["top"]]),
        "floor middle": _log(floor[thirds["middle"]]),
        "other top": float(grid[0, thirds["top"]].mean()),
        "wall steps": float(sum(np.abs(np.diff(wall, axis=axis)).mean() for axis in (0, 1))),
        "entropy": float(-(grid * np.log(grid + 1e-6)).sum(axis=0).mean()),
    }


def _log(shares: npt.NDArray[np.generic]) -> float:
    return math.log(float(shares.mean()) + _EPSILON)


class SceneShares(NamedTuple):
    """Mean probabilities of wall, floor and dining table, and the interior score."""

    wall: float
    floor: float
    table: float
    room: float


def scene_shares(probabilities: npt.NDArray[np.float32], classifier: InteriorClassifier) -> SceneShares:
    """Summarizes class probabilities, float32 (4, h, w): other, wall, floor, dining table."""
    wall, floor, table = (float(probabilities[surface.coco_id].mean()) for surface in (WALL, FLOOR, DINING_TABLE))
    return SceneShares(wall, floor, table, classifier.score(interior_features(probabilities)))


class SceneModel:
    """Computes `scene_shares` of a photo, uint8 HxWx3 RGB, with a student network; thread-safe.

    Args:
        weights: an ONNX file that `python -m distill export` wrote; None: the shipped one.
        threads: CPU threads per photo.

    Raises:
        WeightsError: a file is missing or is not such a file.
    """

    def __init__(self, weights: Path | None = None, threads: int = 1) -> None:
        from models.inference.segmenter import Segmenter  # ONNX Runtime, which a crawl of any picture does without

        self._segmenter, self._classifier = Segmenter(weights, threads, accurate=True), InteriorClassifier.load()

    def __call__(self, image: Image) -> SceneShares:
        """Runs the network."""
        return scene_shares(self._segmenter.infer(image).probabilities, self._classifier)
