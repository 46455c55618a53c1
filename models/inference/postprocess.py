"""Panoptic fusion: from the network's outputs to segments that do not overlap."""

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
RASTER_SCALE = 2
"""Side of the raster on which a large photo is segmented, in sides of the network's probabilities."""
MARGIN_STEPS = 127
"""Steps of a margin in 8 bits."""
LEAST_NEW_SHARE = 0.5
"""A table is a duplicate if less than this share of it is outside better tables."""


@dataclass(frozen=True, eq=False)
class ResidualRegions:
    """Table regions that no box covers, as masks: those merged into each found table, and groups of the others."""

    additions: list[Mask]
    groups: list[Mask]


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


def assign_residual_regions(rest: Mask, tables: Sequence[Mask], raster: tuple[int, int]) -> ResidualRegions:
    """Assigns each connected region of `rest`, table pixels outside every box, to the nearest table within LARGEST_GAP.

    Distances are measured on a `raster` of rows x columns.
    """
    coarse_rest = _downsample(rest, raster)
    count, regions = cv2.connectedComponents(coarse_rest.astype(np.uint8), connectivity=8)
    owner = np.zeros(raster, np.uint8)
    if tables:
        distances = np.stack([distance_to(_downsample(table, raster)) for table in tables])
        reach = LARGEST_GAP * math.hypot(*raster)
        for number in range(1, count):
            nearest = distances[:, regions == number].min(axis=1)
            if nearest.min() <= reach:
                owner[regions == number] = nearest.argmin() + 1
    owners = _upsample_labels(owner, rest.shape)
    groups = _upsample_labels(group_table_parts(coarse_rest & (owner == 0)), rest.shape)
    return ResidualRegions(
        [rest & (owners == index + 1) for index in range(len(tables))],
        [rest & (groups == number) for number in range(1, int(groups.max()) + 1)],
    )


def _downsample(mask: Mask, raster: tuple[int, int]) -> Mask:
    """True where any of a cell's pixels is."""
    touched: Mask = cv2.resize(mask.astype(np.float32), raster[::-1], interpolation=cv2.INTER_AREA) > 0
    return touched


def _upsample_labels(numbers: npt.NDArray[np.uint8], size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Region numbers at the photo's size (H, W); each region is dilated by one cell."""
    filled = np.where(numbers > 0, numbers, cv2.dilate(numbers, np.ones((3, 3), np.uint8)))
    return cv2.resize(filled, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]


def fuse(output: ModelOutput, height: int, width: int, settings: FusionSettings) -> list[Detection]:
    """Fuses the network's outputs to segments of a photo of `height` x `width` pixels.

    Wall and floor come from the semantic branch, tables from boxes and masks (Kirillov et al., Panoptic FPN, 2019). A
    table's mask is decided by mask head and branch together, as in UPSNet's panoptic head (Xiong et al., 2019): the
    branch draws finer edges, the head knows which pixels belong to one table.

    Photos larger than RASTER_SCALE times the network's probabilities are segmented on such a raster; then the
    decision is upsampled, so that the time hardly grows with the photo.

    Returns:
        Wall, floor, then dining tables by descending score; empty segments are omitted. Masks do not overlap.
    """
    rows, columns = (RASTER_SCALE * side for side in output.probabilities.shape[1:])
    if height * width <= rows * columns:
        labels, _ = decide(output.probabilities, height, width)
        return _fuse_on_raster(output, labels, settings)
    labels, margin = decide(output.probabilities, rows, columns)
    return upsample_segments(_fuse_on_raster(output, labels, settings, margin), margin, height, width)


def _fuse_on_raster(
    output: ModelOutput, labels: npt.NDArray[np.uint8], settings: FusionSettings, margin: Floats | None = None
) -> list[Detection]:
    tables = fuse_tables(output, labels, settings, margin)
    assigned = np.zeros(labels.shape, bool)
    for table in tables:
        assigned |= table.mask
    found = []
    for surface in STUFF:
        mask = remove_specks((labels == surface.coco_id) & ~assigned, settings.smallest_share)
        if mask.any():
            found.append(detection(surface, mean_probability(output.probabilities[surface.coco_id], mask), mask))
    return found + tables


def upsample_segments(segments: Sequence[Detection], margin: Floats, height: int, width: int) -> list[Detection]:
    """Segments of a raster as segments of a photo of `height` x `width` pixels.

    A segment is where the bilinearly upsampled margin, negative outside of the segment, is not: between two classes
    that is the edge of the upsampled probabilities. Where that leaves an overlap, later segments win.

    Args:
        segments: masks of the raster's size that do not overlap.
        margin: of the raster, what `decide` returns.
    """
    steps = np.clip(MARGIN_STEPS * margin, 1, MARGIN_STEPS).astype(np.uint8)
    free = np.ones((height, width), np.uint8)
    upsampled: list[Detection] = []
    for segment in reversed(segments):
        signed = np.where(segment.mask, MARGIN_STEPS + steps, MARGIN_STEPS - steps)
        mask = cv2.resize(signed, (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.threshold(mask, MARGIN_STEPS - 1, 1, cv2.THRESH_BINARY, dst=mask)  # in place: fresh memory is slow
        cv2.bitwise_and(mask, free, dst=mask)
        if mask.any():
            cv2.bitwise_xor(free, mask, dst=free)
            upsampled.append(detection(segment.surface, segment.score, np.asarray(mask).view(bool)))
    return upsampled[::-1]


def detection(surface: SurfaceClass, score: float, mask: Mask) -> Detection:
    """A Detection of a mask, bool HxW, with its tight box."""
    return Detection(surface, score, box_of_mask(mask), mask)


def upsample(values: Floats, height: int, width: int) -> Floats:
    """A float32 (h, w) raster at (height, width), bilinearly, with half-pixel centres."""
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def upsample_window(values: Floats, target: tuple[int, int], left: int, top: int, right: int, bottom: int) -> Floats:
    """A window of a float32 (h, w) raster as it is after bilinear upsampling to `target`, without making the rest."""
    scale_y, scale_x = values.shape[0] / target[0], values.shape[1] / target[1]
    first_x, first_y = (left + 0.5) * scale_x - 0.5, (top + 0.5) * scale_y - 0.5  # half-pixel centres
    return cv2.warpAffine(  # type: ignore[return-value]
        values,
        np.array([[scale_x, 0, first_x], [0, scale_y, first_y]]),
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def label_map(probabilities: Floats, height: int, width: int) -> npt.NDArray[np.uint8]:
    """The most probable class of each pixel, uint8 (height, width); probabilities are upsampled first."""
    return decide(probabilities, height, width)[0]


def decide(probabilities: Floats, height: int, width: int) -> tuple[npt.NDArray[np.uint8], Floats]:
    """The most probable class of each pixel, and its lead.

    Args:
        probabilities: float32 (C, h, w), upsampled here.
        height, width: of the result.

    Returns:
        The class, uint8 (height, width); by how much its probability exceeds the second, float32 (height, width).
    """
    labels = np.zeros((height, width), np.uint8)
    first = upsample(probabilities[0], height, width)
    second = np.zeros_like(first)
    for number, values in enumerate(probabilities[1:], start=1):
        other = upsample(values, height, width)
        # Numbers rise, so that the maximum is what is assigned, many times faster than by index.
        np.maximum(labels, (other > first) * np.uint8(number), out=labels)
        np.maximum(second, np.minimum(first, other), out=second)
        np.maximum(first, other, out=first)
    return labels, first - second


def fuse_tables(
    output: ModelOutput, labels: npt.NDArray[np.uint8], settings: FusionSettings, margin: Floats | None = None
) -> list[Detection]:
    """Dining tables, by descending score, from boxes and residual regions; their masks do not overlap.

    `labels` and `margin` are what `decide` returns. At tables' edges, which boxes decide, `margin` is overwritten.
    """
    branch = labels == DINING_TABLE.coco_id
    table_probability = output.probabilities[DINING_TABLE.coco_id]
    assigned = np.zeros(labels.shape, bool)
    tables = []
    for box, score, mask in zip(output.boxes, output.scores, output.masks, strict=True):
        whole = _table_mask(box, mask, table_probability, branch, settings, margin)
        own = remove_specks(whole & ~assigned, settings.smallest_share)
        if own.sum() < LEAST_NEW_SHARE * whole.sum():
            continue
        support = mean_probability(table_probability, own)
        final = float(np.sqrt(score * support))
        if own.any() and final >= settings.table_score:
            tables.append(detection(DINING_TABLE, final, own))
            assigned |= own
    rest = remove_specks(branch & ~assigned, settings.smallest_share)
    return sorted(_add_residual_regions(tables, rest, table_probability, settings), key=lambda table: -table.score)


def _table_mask(
    box: Floats, mask: Floats, table_probability: Floats, branch: Mask, settings: FusionSettings, margin: Floats | None
) -> Mask:
    """The pixels of one table: the weighted mean of mask head and branch is above 0.5; `margin` is set at its edge."""
    height, width = branch.shape
    left, top = max(0, round(float(box[0]) * width)), max(0, round(float(box[1]) * height))
    right, bottom = min(width, round(float(box[2]) * width)), min(height, round(float(box[3]) * height))
    out = np.zeros(branch.shape, bool)
    if right <= left or bottom <= top:
        return out
    head = upsample(mask, bottom - top, right - left)
    seen = upsample_window(table_probability, (height, width), left, top, right, bottom)
    mixed = settings.mask_weight * head + (1 - settings.mask_weight) * seen
    inside = out[top:bottom, left:right]
    inside[:] = mixed > 0.5
    if margin is not None:
        edge = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        margin[top:bottom, left:right][edge] = np.abs(2 * mixed - 1)[edge]
    return out


def _add_residual_regions(
    tables: list[Detection], rest: Mask, table_probability: Floats, settings: FusionSettings
) -> list[Detection]:
    """Merges table pixels outside every box into the nearest table, or adds them as tables."""
    if not rest.any():
        return tables
    height, width = table_probability.shape
    residual = assign_residual_regions(rest, [table.mask for table in tables], (height, width))
    completed = [
        detection(DINING_TABLE, table.score, remove_specks(table.mask | extra, settings.smallest_share))
        if extra.any()
        else table
        for table, extra in zip(tables, residual.additions, strict=True)
    ]
    for group in residual.groups:
        mask = remove_specks(group, settings.smallest_share)  # groups have a coarse raster, which may cut regions
        score = mean_probability(table_probability, mask)
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
    kept: Mask = keep.take(np.asarray(regions, np.int32))  # three times faster than by index
    return kept
