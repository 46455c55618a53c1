"""What SAM is asked with: boxes, and points where the detector is sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.teachers.boxes import ChosenBox
from models.teachers.teacher import Floats
from surfaces.classes import SurfaceClass
from surfaces.detections import Mask

# Points are looked for on a grid this long, and at least so many cells deep inside their region.
_GRID_CELLS = 128
_DEPTH_CELLS_MIN = 2.0


@dataclass(frozen=True)
class SamSettings:
    """How SAM is asked; each of these can be switched off to see what it is worth.

    Attributes:
        whole_over_part: things: of SAM's three candidates take the one that fills the box, so that a table isn't its
            top; else SAM's single mask, as Grounded-SAM does it.
        iou_tolerance: how much lower the predicted IoU of the one that fills the box may be than the best one's.
        interior_points: stuff: most points inside the class, for each region of overlapping boxes; 0 for none.
        negative_points: stuff: most points inside other boxes (windows, doors, tables), likewise; 0 for none.
        feedback_rounds: stuff: how often the low-resolution mask is fed back; 0 for never.
    """

    whole_over_part: bool = True
    iou_tolerance: float = 0.1
    interior_points: int = 3
    negative_points: int = 8
    feedback_rounds: int = 1


@dataclass(frozen=True, eq=False)
class SamPrompt:
    """One question.

    Attributes:
        box_xyxy: float32 (4,), absolute pixels of the photo, right and bottom exclusive.
        points_xy: float32 (N, 2): column and row of pixels of the photo; whole numbers.
        inside: bool (N,): whether each point is on what is looked for, or beside it.
    """

    box_xyxy: Floats
    points_xy: Floats
    inside: npt.NDArray[np.bool_]


def thing_prompt(box_xyxy: Floats) -> SamPrompt:
    """A box alone: SAM segments what it encloses."""
    return SamPrompt(box_xyxy, np.zeros((0, 2), np.float32), np.zeros(0, np.bool_))


def stuff_prompts(
    chosen: Sequence[ChosenBox], surface: SurfaceClass, size_hw: tuple[int, int], settings: SamSettings
) -> list[SamPrompt]:
    """One question for each group of a class's boxes that overlap: their common box, and points.

    A place belongs to the smallest box that covers it: of a wall's box, what a floor's, a window's or a table's box
    inside it covers, is not wall. Points inside are the deepest places that belong to the class, points beside it the
    deepest place of each other box within the common one, best boxes first.

    Args:
        chosen: the boxes of all prompts, those of negative prompts among them.
        surface: the class.
        size_hw: the photo's.
        settings: how many points.
    """
    owners = _owners(chosen, size_hw)
    own = [i for i, box in enumerate(chosen) if box.prompt.surface == surface]
    others = sorted((i for i in range(len(chosen)) if i not in own), key=lambda i: -chosen[i].score)
    prompts = []
    for box_xyxy in _merge_overlapping([chosen[i].box_xyxy for i in own]):
        within = _cells_of(box_xyxy, size_hw, owners.shape)
        inside = _deepest(np.isin(owners, own) & within, settings.interior_points)
        beside = [cell for i in others for cell in _deepest((owners == i) & within, 1)][: settings.negative_points]
        prompts.append(
            SamPrompt(
                box_xyxy,
                _pixels_of([*inside, *beside], size_hw, owners.shape),
                np.array([True] * len(inside) + [False] * len(beside), np.bool_),
            )
        )
    return prompts


def _owners(chosen: Sequence[ChosenBox], size_hw: tuple[int, int]) -> npt.NDArray[np.intp]:
    """The index of the smallest box over each cell of the grid, -1 where there is none; of equal ones the better."""
    owners = np.full(_grid_shape(size_hw), -1, np.intp)
    for i in sorted(range(len(chosen)), key=lambda i: (-_area(chosen[i].box_xyxy), chosen[i].score)):
        owners[_cells_of(chosen[i].box_xyxy, size_hw, owners.shape)] = i
    return owners


def _grid_shape(size_hw: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, _GRID_CELLS / max(size_hw))
    return max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale))


def _cells_of(box_xyxy: Floats, size_hw: tuple[int, int], shape: tuple[int, ...]) -> Mask:
    """The cells whose centres lie in a box."""
    left, top, right, bottom = box_xyxy
    y, x = ((np.arange(cells) + 0.5) * side / cells for side, cells in zip(size_hw, shape, strict=True))
    return np.outer((y >= top) & (y < bottom), (x >= left) & (x < right))


def _pixels_of(cells_yx: Sequence[tuple[int, int]], size_hw: tuple[int, int], shape: tuple[int, ...]) -> Floats:
    """The pixels at the centres of cells, as (column, row)."""
    centres_yx = (np.array(cells_yx, np.float64).reshape(-1, 2) + 0.5) * size_hw / shape
    return np.floor(centres_yx[:, ::-1]).astype(np.float32)


def _deepest(region: Mask, count: int) -> list[tuple[int, int]]:
    """The cells that are farthest from the region's border, the photo's border and one another; none in slivers."""
    free = np.pad(region, 1).astype(np.uint8)
    cells: list[tuple[int, int]] = []
    while len(cells) < count:
        depth = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        if depth[row, column] < _DEPTH_CELLS_MIN:
            break
        cells.append((int(row) - 1, int(column) - 1))
        free[row, column] = 0
    return cells


def _merge_overlapping(boxes_xyxy: Sequence[Floats]) -> list[Floats]:
    """The boxes around groups of overlapping ones; the results don't overlap."""
    apart: list[Floats] = []
    for box in boxes_xyxy:
        while near := [other for other in apart if _overlap(box, other)]:
            box = np.concatenate([np.min([box, *near], axis=0)[:2], np.max([box, *near], axis=0)[2:]])
            apart = [other for other in apart if not _overlap(box, other)]
        apart.append(box)
    return apart


def _overlap(one: Floats, other: Floats) -> bool:
    return bool((np.maximum(one[:2], other[:2]) < np.minimum(one[2:], other[2:])).all())


def _area(box_xyxy: Floats) -> float:
    return float((box_xyxy[2] - box_xyxy[0]) * (box_xyxy[3] - box_xyxy[1]))
