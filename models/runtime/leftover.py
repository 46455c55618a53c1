"""Table regions that the semantic branch sees and no box explains: parts of a table that was found, or tables.

A chair in front of a table cuts it in parts, and a box often holds only the largest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.dataset.tables import distance_to, group_table_parts
from surfaces.detections import Mask

LARGEST_GAP = 0.05
"""Share of the photo's diagonal: regions that are nearer to a found table belong to it."""


@dataclass(frozen=True, eq=False)
class Leftover:
    """Where the regions go.

    Attributes:
        additions: for each found table, what is added to it; bool HxW each.
        groups: what is left, parts near each other together; bool HxW each.
    """

    additions: list[Mask]
    groups: list[Mask]


def assign_leftover(rest: Mask, tables: Sequence[Mask], raster: tuple[int, int]) -> Leftover:
    """Gives each connected region of `rest` to the found table nearest to it, if that is near.

    Args:
        rest: bool HxW, what no box explained.
        tables: bool HxW each, the tables found so far.
        raster: (h, w) of the network's output: distances are taken on it, which is fine enough and quick.

    Returns:
        Additions and groups; together they are `rest`, but for specks that group_table_parts drops.
    """
    coarse_rest = shrunk(rest, raster)
    count, regions = cv2.connectedComponents(coarse_rest.astype(np.uint8), connectivity=8)
    owner = np.zeros(raster, np.uint8)
    if tables:
        distances = np.stack([distance_to(shrunk(table, raster)) for table in tables])
        reach = LARGEST_GAP * math.hypot(*raster)
        for number in range(1, count):
            nearest = distances[:, regions == number].min(axis=1)
            if nearest.min() <= reach:
                owner[regions == number] = nearest.argmin() + 1
    owners = grown(owner, rest.shape)
    groups = grown(group_table_parts(coarse_rest & (owner == 0)), rest.shape)
    return Leftover(
        [rest & (owners == index + 1) for index in range(len(tables))],
        [rest & (groups == number) for number in range(1, int(groups.max()) + 1)],
    )


def shrunk(mask: Mask, raster: tuple[int, int]) -> Mask:
    """A mask (H, W) on a coarser raster of rows x columns: True where any of its pixels is."""
    share = cv2.resize(mask.astype(np.float32), raster[::-1], interpolation=cv2.INTER_AREA)
    touched: Mask = share > 0
    return touched


def grown(numbers: npt.NDArray[np.uint8], size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A small raster of numbers at the photo's size (H, W), each spread to the pixels that shrank to it."""
    spread = cv2.dilate(numbers, np.ones((3, 3), np.uint8))
    filled = np.where(numbers > 0, numbers, spread)
    return cv2.resize(filled, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]
