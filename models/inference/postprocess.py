"""From the network's outputs to segments that do not overlap.

Wall and floor come from the semantic branch, dining tables from boxes and masks, as in Panoptic FPN (Kirillov et al.,
2019). A table's mask is decided by mask head and branch together, as in UPSNet's panoptic head (Xiong et al., 2019):
the branch draws finer edges, the head knows which pixels belong to one table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.inference.model_output import Floats, ModelOutput
from surfaces.classes import DINING_TABLE, STUFF, SurfaceClass
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.masks.table_parts import distance_to, group_table_parts

LARGEST_GAP = 0.05
"""Share of the photo's diagonal: regions that are nearer to a found table belong to it."""


@dataclass(frozen=True, eq=False)
class ResidualRegions:
    """Table regions that no box covers.

    Attributes:
        additions: bool HxW for each found table: the regions merged into it.
        groups: bool HxW each: the other regions, grouped by distance.
    """

    additions: list[Mask]
    groups: list[Mask]


def assign_residual_regions(rest: Mask, tables: Sequence[Mask], raster: tuple[int, int]) -> ResidualRegions:
    """Assigns each connected region of `rest` to the nearest table within LARGEST_GAP.

    Args:
        rest: bool HxW, table pixels outside every box.
        tables: bool HxW each.
        raster: (h, w) on which distances are measured.
    """
    coarse_rest = downsample(rest, raster)
    count, regions = cv2.connectedComponents(coarse_rest.astype(np.uint8), connectivity=8)
    owner = np.zeros(raster, np.uint8)
    if tables:
        distances = np.stack([distance_to(downsample(table, raster)) for table in tables])
        reach = LARGEST_GAP * math.hypot(*raster)
        for number in range(1, count):
            nearest = distances[:, regions == number].min(axis=1)
            if nearest.min() <= reach:
                owner[regions == number] = nearest.argmin() + 1
    owners = upsample_labels(owner, rest.shape)
    groups = upsample_labels(group_table_parts(coarse_rest & (owner == 0)), rest.shape)
    return ResidualRegions(
        [rest & (owners == index + 1) for index in range(len(tables))],
        [rest & (groups == number) for number in range(1, int(groups.max()) + 1)],
    )


def downsample(mask: Mask, raster: tuple[int, int]) -> Mask:
    """A mask (H, W) on a coarser raster of rows x columns: True where any of its pixels is."""
    share = cv2.resize(mask.astype(np.float32), raster[::-1], interpolation=cv2.INTER_AREA)
    touched: Mask = share > 0
    return touched


def upsample_labels(numbers: npt.NDArray[np.uint8], size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Upsamples region numbers (h, w) to the photo's size (H, W); each region is dilated by one cell."""
    dilated = cv2.dilate(numbers, np.ones((3, 3), np.uint8))
    filled = np.where(numbers > 0, numbers, dilated)
    return cv2.resize(filled, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]


BAND_PIXELS = 1 << 20
"""Pixels that are upsampled to floats at once: bounds memory on large photos."""

LEAST_NEW_SHARE = 0.5
"""A table is a duplicate if less than this share of it lies outside better tables."""


@dataclass(frozen=True)
class FusionSettings:
    """The operating point, chosen on validation photos (docs/results.md).

    Attributes:
        table_score: tables below this score are dropped.
        residual_score: residual table regions below this mean probability are dropped.
        mask_weight: the mask head's share in deciding a table's pixels; the branch has the rest.
        smallest_share: segments smaller than this share of the photo are dropped, and so are specks of segments.
    """

    table_score: float = 0.5
    residual_score: float = 0.7
    mask_weight: float = 0.3
    smallest_share: float = 0.0005


def fuse(output: ModelOutput, height: int, width: int, settings: FusionSettings) -> list[Detection]:
    """Fuses the network's outputs to segments.

    Args:
        output: the network's outputs.
        height, width: of the photo in pixels.
        settings: the operating point.

    Returns:
        Wall, floor, then dining tables by descending score; empty segments are omitted. Masks do not overlap.
    """
    labels = label_map(output.probabilities, height, width)
    tables = fuse_tables(output, labels, settings)
    assigned = np.zeros((height, width), bool)
    for table in tables:
        assigned |= table.mask
    found = []
    for surface in STUFF:
        mask = remove_specks((labels == surface.coco_id) & ~assigned, settings.smallest_share)
        if mask.any():
            found.append(detection(surface, mean_probability(output.probabilities[surface.coco_id], mask), mask))
    return found + tables


def detection(surface: SurfaceClass, score: float, mask: Mask) -> Detection:
    """A Detection of a mask, bool HxW, with its tight box."""
    return Detection(surface, score, box_of_mask(mask), mask)


def sampling_matrix(source: tuple[int, int], target: tuple[int, int], left: int, top: int) -> npt.NDArray[np.float64]:
    """The affine map from pixel (x, y) of a window of the target to the source; half-pixel centres.

    Args:
        source, target: sizes (height, width) of two rasters of the same photo.
        left, top: the window's corner in the target.
    """
    scale_y, scale_x = source[0] / target[0], source[1] / target[1]
    return np.array(
        [
            [scale_x, 0, (left + 0.5) * scale_x - 0.5],
            [0, scale_y, (top + 0.5) * scale_y - 0.5],
        ]
    )


def upsample_window(values: Floats, target: tuple[int, int], left: int, top: int, right: int, bottom: int) -> Floats:
    """A window of a float32 (h, w) raster as it is after bilinear upsampling to `target`, without making the rest."""
    return cv2.warpAffine(  # type: ignore[return-value]
        values,
        sampling_matrix((values.shape[0], values.shape[1]), target, left, top),
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def label_map(probabilities: Floats, height: int, width: int) -> npt.NDArray[np.uint8]:
    """The most probable class of each pixel, uint8 (height, width); probabilities are upsampled first."""
    labels = np.empty((height, width), np.uint8)
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        band = [upsample_window(p, (height, width), 0, top, width, bottom) for p in probabilities]
        labels[top:bottom] = np.argmax(np.stack(band), axis=0)
    return labels


def fuse_tables(output: ModelOutput, labels: npt.NDArray[np.uint8], settings: FusionSettings) -> list[Detection]:
    """Dining tables by descending score: first those that boxes explain, then residual regions of the branch.

    Args:
        labels: uint8 HxW, the most probable class of each pixel of the photo.
        settings: the operating point.

    Returns:
        Tables whose masks, HxW, do not overlap.
    """
    branch = labels == DINING_TABLE.coco_id
    soft_labels = output.probabilities[DINING_TABLE.coco_id]
    assigned = np.zeros(labels.shape, bool)
    tables = []
    for box, score, mask in zip(output.boxes, output.scores, output.masks, strict=True):
        whole = table_mask(box, mask, soft_labels, branch, settings)
        own = remove_specks(whole & ~assigned, settings.smallest_share)
        if own.sum() < LEAST_NEW_SHARE * whole.sum():
            continue
        support = mean_probability(soft_labels, own)
        final = float(np.sqrt(score * support))
        if own.any() and final >= settings.table_score:
            tables.append(detection(DINING_TABLE, final, own))
            assigned |= own
    rest = remove_specks(branch & ~assigned, settings.smallest_share)
    return sorted(add_residual_regions(tables, rest, soft_labels, settings), key=lambda table: -table.score)


def table_mask(box: Floats, mask: Floats, soft_labels: Floats, branch: Mask, settings: FusionSettings) -> Mask:
    """The pixels of one table: the weighted mean of mask head and branch is above 0.5.

    Args:
        box: (4,) xyxy as shares of the photo.
        mask: (M, M) the head's probabilities over the box.
        soft_labels: (h, w), the branch's probability of dining table over the photo.
        branch: bool (H, W), where the branch's most probable class is dining table.

    Returns:
        bool (H, W).
    """
    height, width = branch.shape
    left, top = max(0, round(float(box[0]) * width)), max(0, round(float(box[1]) * height))
    right, bottom = min(width, round(float(box[2]) * width)), min(height, round(float(box[3]) * height))
    out = np.zeros(branch.shape, bool)
    if right <= left or bottom <= top:
        return out
    head = upsample_window(mask, (bottom - top, right - left), 0, 0, right - left, bottom - top)
    seen = upsample_window(soft_labels, (height, width), left, top, right, bottom)
    out[top:bottom, left:right] = settings.mask_weight * head + (1 - settings.mask_weight) * seen > 0.5
    return out


def add_residual_regions(
    tables: list[Detection], rest: Mask, soft_labels: Floats, settings: FusionSettings
) -> list[Detection]:
    """Merges table pixels outside every box into the nearest table, or adds them as tables.

    Args:
        tables: found by boxes.
        rest: bool HxW, the branch's table pixels outside of them.
        soft_labels: float32 (h, w), the branch's probability of dining table, at any resolution.
        settings: the operating point.
    """
    height, width = soft_labels.shape
    residual = assign_residual_regions(rest, [table.mask for table in tables], (height, width))
    completed = [
        detection(DINING_TABLE, table.score, remove_specks(table.mask | extra, settings.smallest_share))
        if extra.any()
        else table
        for table, extra in zip(tables, residual.additions, strict=True)
    ]
    for group in residual.groups:
        mask = remove_specks(group, settings.smallest_share)  # groups have a coarse raster, which may cut regions
        score = mean_probability(soft_labels, mask)
        if mask.any() and score >= settings.residual_score:
            completed.append(detection(DINING_TABLE, score, mask))
    return completed


def mean_probability(probabilities: Floats, mask: Mask) -> float:
    """The mean of a (h, w) raster over the part of the photo that a mask (H, W) covers; 0 where it covers nothing."""
    height, width = probabilities.shape
    weight = cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    total = float(weight.sum())
    return min(1.0, float((probabilities * weight).sum()) / total) if total > 0 else 0.0


def remove_specks(mask: Mask, smallest_share: float) -> Mask:
    """A mask, bool HxW, without its 8-connected parts of less than a share of the photo."""
    smallest = max(1, round(smallest_share * mask.size))
    count, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= smallest
    keep[0] = False
    if count > 1 and keep[1:].all():
        return mask
    kept: Mask = keep[regions]
    return kept
