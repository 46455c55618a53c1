"""Whether a photo shows a room, as the student's belief in walls and floors tells, or CLIP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autolabel.crawling.room_rule import RoomRule, room_features
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Image


@dataclass(frozen=True)
class Scene:
    """What a photo shows, as shares from 0 to 1.

    Attributes:
        wall: of the photo, in the mean belief of all places; the same of the next two.
        floor: of the photo.
        table: dining tables, of the photo.
        room: how much like a room it is (`RoomRule.score`, or `ClipRooms`).
    """

    wall: float
    floor: float
    table: float
    room: float


def describe(probabilities: npt.NDArray[np.float32], rule: RoomRule) -> Scene:
    """Sums a belief up; float32 (4, h, w): other, wall, floor, dining table, as of `RawOutput`."""
    return Scene(
        wall=float(probabilities[WALL.coco_id].mean()),
        floor=float(probabilities[FLOOR.coco_id].mean()),
        table=float(probabilities[DINING_TABLE.coco_id].mean()),
        room=rule.score(room_features(probabilities)),
    )


class RoomFinder:
    """Asks the student what photos show; may be asked by several threads at once.

    Args:
        weights: an ONNX file that `python -m distill export` wrote; None: the shipped one.
        threads: CPU threads for each photo.
        clip: folder of a CLIP, which then tells rooms instead of the rule (`ClipRooms`).

    Raises:
        WeightsError: a file is missing or is not such a file.
    """

    def __init__(self, weights: Path | None = None, threads: int = 1, clip: Path | None = None) -> None:
        from models.inference.segmenter import Segmenter  # ONNX Runtime, which a crawl of any picture does without

        self._segmenter = Segmenter(weights, threads)
        self._rule = RoomRule.load()
        self._clip: Callable[[Image], float] | None = None
        if clip is not None:
            from autolabel.crawling.clip_rooms import ClipRooms  # PyTorch, which other crawls do without

            self._clip = ClipRooms(clip)

    def __call__(self, image: Image) -> Scene:
        """What a photo, uint8 HxWx3 RGB, shows."""
        scene = describe(self._segmenter.raw(image).probabilities, self._rule)
        return replace(scene, room=self._clip(image)) if self._clip else scene
