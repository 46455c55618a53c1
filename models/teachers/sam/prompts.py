"""Prompts for SAM: boxes, and points deep inside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.teachers.base import ChosenBox, Floats, box_area, common_box
from surfaces.detections import Mask

# Points are centres of cells of a grid this long, and at least so many cells deep inside their region.
_GRID_CELLS = 128
_DEPTH_CELLS_MIN = 2.0


@dataclass(frozen=True)
class SamSettings:
    """How SAM is prompted; each of these can be switched off to measure its effect.

    Attributes:
        whole_over_part: things: of SAM's three candidates take the one that fills the box, so that a table isn't its
            top; else SAM's single mask, as in Grounded SAM.
        iou_tolerance: how much lower the predicted IoU of the one that fills the box may be than the best one's.
        interior_points: stuff: most points inside the class, for each group of overlapping boxes.
        negative_points: stuff: most points inside other boxes (windows, doors, tables), likewise.
        feedback_rounds: stuff: how often the low-resolution mask is fed back.
    """

    whole_over_part: bool = True
    iou_tolerance: float = 0.1
    interior_points: int = 3
    negative_points: int = 8
    feedback_rounds: int = 1


@dataclass(frozen=True, eq=False)
class SamPrompt:
    """A box and points.

    Attributes:
        box_xyxy: float32 (4,), pixels of the photo, right and bottom exclusive.
        points_xy: float32 (N, 2): column and row of pixels of the photo; whole numbers.
        inside: bool (N,): False for negative points.
    """

    box_xyxy: Floats
    points_xy: Floats
    inside: npt.NDArray[np.bool_]


def thing_prompt(box_xyxy: Floats) -> SamPrompt:
    """A box alone, float32 (4,): SAM segments what it encloses."""
    return SamPrompt(box_xyxy, np.zeros((0, 2), np.float32), np.zeros(0, np.bool_))


def overlapping_groups(boxes: Sequence[ChosenBox]) -> list[list[ChosenBox]]:
    """Groups boxes until their hulls don't overlap: each group is one prompt."""
    groups: list[list[ChosenBox]] = []
    for box in boxes:
        group = [box]
        while near := [other for other in groups if box_area(common_box(hull(group), hull(other))) > 0]:
            group = [*group, *(box for other in near for box in other)]
            groups = [other for other in groups if other not in near]
        groups.append(group)
    return groups


def hull(boxes: Sequence[ChosenBox]) -> Floats:
    """The common box (4,) of one or more boxes."""
    corners = np.stack([box.box_xyxy for box in boxes])
    return np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])


def stuff_prompt(
    group: Sequence[ChosenBox], chosen: Sequence[ChosenBox], size_hw: tuple[int, int], settings: SamSettings
) -> SamPrompt:
    """The hull of a group of overlapping boxes of one class, and points.

    A pixel belongs to the smallest box that covers it, so that a window's box inside a wall's is not wall. Interior
    points are the deepest ones that belong to the class, negative points the deepest one of each other box within the
    hull, best boxes first.

    Args:
        group: the class's boxes that overlap.
        chosen: the boxes of all prompts: those of the class, of other classes and of negative prompts.
        size_hw: the photo's.
        settings: how many points.
    """
    surface = group[0].prompt.surface
    owners = _owners(chosen, size_hw)
    within = _cells_of(hull(group), size_hw, owners.shape)
    own = [i for i, box in enumerate(chosen) if box.prompt.surface == surface]
    others = sorted((i for i in range(len(chosen)) if i not in own), key=lambda i: -chosen[i].score)
    inside = _deepest(np.isin(owners, own) & within, settings.interior_points)
    negative = [cell for i in others for cell in _deepest((owners == i) & within, 1)][: settings.negative_points]
    centres_yx = (np.array([*inside, *negative], np.float64).reshape(-1, 2) + 0.5) * size_hw / owners.shape
    return SamPrompt(
        hull(group),
        np.floor(centres_yx[:, ::-1]).astype(np.float32),
        np.array([True] * len(inside) + [False] * len(negative), np.bool_),
    )


def _owners(chosen: Sequence[ChosenBox], size_hw: tuple[int, int]) -> npt.NDArray[np.intp]:
    """The index of the smallest box over each cell of the grid, -1 where there is none; of equal ones the better."""
    scale = min(1.0, _GRID_CELLS / max(size_hw))
    owners = np.full([max(1, round(side * scale)) for side in size_hw], -1, np.intp)
    for i in sorted(range(len(chosen)), key=lambda i: (-box_area(chosen[i].box_xyxy), chosen[i].score)):
        owners[_cells_of(chosen[i].box_xyxy, size_hw, owners.shape)] = i
    return owners


def _cells_of(box_xyxy: Floats, size_hw: tuple[int, int], shape: tuple[int, ...]) -> Mask:
    """The cells whose centres lie in a box."""
    left, top, right, bottom = box_xyxy
    y, x = ((np.arange(cells) + 0.5) * side / cells for side, cells in zip(size_hw, shape, strict=True))
    return np.outer((y >= top) & (y < bottom), (x >= left) & (x < right))


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
