"""Whether a photo shows a room, as far as the student's belief in walls and floors tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Image

_SURE = 0.8


@dataclass(frozen=True)
class Scene:
    """What a photo shows, as shares from 0 to 1.

    Attributes:
        wall: of the photo, in the mean belief of all places; the same of the next two.
        floor: of the photo.
        table: dining tables, of the photo.
        sure: of the photo, where wall or floor is believed with 0.8 or more. Little of either is in landscapes.
        floor_above: of the upper third, that is believed to be floor. Rooms have none there, since floors lie below the
            horizon; pictures of anything else often do.
    """

    wall: float
    floor: float
    table: float
    sure: float
    floor_above: float


def describe(probabilities: npt.NDArray[np.float32]) -> Scene:
    """Sums a belief up; float32 (4, h, w): other, wall, floor, dining table, as of `RawOutput`."""
    wall, floor = probabilities[WALL.coco_id], probabilities[FLOOR.coco_id]
    return Scene(
        wall=float(wall.mean()),
        floor=float(floor.mean()),
        table=float(probabilities[DINING_TABLE.coco_id].mean()),
        sure=float((np.maximum(wall, floor) >= _SURE).mean()),
        floor_above=float(floor[: max(1, len(floor) // 3)].mean()),
    )


class RoomFinder:
    """Asks the student what photos show; may be asked by several threads at once.

    Args:
        weights: an ONNX file that `python -m distill export` wrote; None: the shipped one.
        threads: CPU threads for each photo.

    Raises:
        WeightsError: the file is missing or is not such a file.
    """

    def __init__(self, weights: Path | None = None, threads: int = 1) -> None:
        from models.runtime.segmenter import Segmenter  # ONNX Runtime, which a crawl of any picture does without

        self._segmenter = Segmenter(weights, threads)

    def __call__(self, image: Image) -> Scene:
        """What a photo, uint8 HxWx3 RGB, shows."""
        return describe(self._segmenter.raw(image).probabilities)
