"""Whether a photo shows a room: a logistic rule over what the student believes of it.

`python -m autolabel.crawling.room_fitting` fits it; room_rule.toml holds what it found, and of which pictures.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.errors import WeightsError
from surfaces.io.local_files import read_text

SHIPPED = Path(__file__).with_name("room_rule.toml")

_GRID = 48  # cells a side: sums depend neither on the photo's size nor on its shape
_THIRD = _GRID // 3
_SURE = 0.8
_LEAST = 1e-3  # is added to shares before their logarithm is taken


@dataclass(frozen=True)
class RoomRule:
    """Weighs features.

    Attributes:
        weights: of each feature, by its name (`room_features`).
        bias: added to the weighted sum.
    """

    weights: Mapping[str, float]
    bias: float

    @classmethod
    def load(cls, path: Path = SHIPPED) -> RoomRule:
        """The rule that `room_fitting` wrote.

        Raises:
            WeightsError: there is no such file, or it holds something else.
        """
        try:
            read = tomllib.loads(read_text(path))
            return cls({name: float(weight) for name, weight in read["weights"].items()}, float(read["bias"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(f"expected a rule for rooms at {path}, got {error!r}") from error

    def score(self, features: Mapping[str, float]) -> float:
        """From 0, nothing like a room, to 1; rooms have 0.5 or more, but for the share that fitting gave up."""
        total = self.bias + sum(weight * features[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-500.0, min(total, 500.0))))


def room_features(probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
    """Numbers that tell rooms from other photos: natural logarithms of shares of the photo, and three means.

    Colours are left out: rules that weigh them too lost more interiors of sources that they were not fitted to.

    Args:
        probabilities: float32 (4, h, w): other, wall, floor, dining table, as of `RawOutput`.
    """
    belief = np.stack([cv2.resize(plane, (_GRID, _GRID), interpolation=cv2.INTER_AREA) for plane in probabilities])
    wall, floor, table = (belief[surface.coco_id] for surface in (WALL, FLOOR, DINING_TABLE))
    thirds = {"top": slice(_THIRD), "middle": slice(_THIRD, 2 * _THIRD), "bottom": slice(2 * _THIRD, None)}
    return {
        "table": _log(table),
        "wall sure": _log(wall > _SURE),
        "floor sure": _log(floor > _SURE),
        **{f"wall {name}": _log(wall[rows]) for name, rows in thirds.items()},
        "floor top": _log(floor[thirds["top"]]),
        "floor middle": _log(floor[thirds["middle"]]),
        "other top": float(belief[0, thirds["top"]].mean()),
        "wall steps": float(sum(np.abs(np.diff(wall, axis=axis)).mean() for axis in (0, 1))),
        "entropy": float(-(belief * np.log(belief + 1e-6)).sum(axis=0).mean()),
    }


def _log(shares: npt.NDArray[np.generic]) -> float:
    return math.log(float(shares.mean()) + _LEAST)
