"""Draws detections over a photo with supervision: a tint, an outline and a label for each."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import ImageFont

from surfaces.classes import CLASSES
from surfaces.detections import Detection, Image

_Box = tuple[int, int, int, int]  # left, top, right, bottom of a label in pixels

ALPHA = 0.4

_ROWS_AT_ONCE = 256
_LABEL_CELLS = 8
_LABEL_SHADE = 0.55


def draw_overlay(image: Image, detections: Sequence[Detection], alpha: float = ALPHA, in_place: bool = False) -> Image:
    """Draws detections over a photo, uint8 HxWx3 RGB, of the same size, in the colours of their classes; returns it.

    Lines and text scale with the photo. Labels are inside their segments where these are large enough, else above them,
    and do not overlap where there is space. `alpha` is the opacity of the tint, 0 (outlines and labels only) to 1.
    `in_place` draws over the photo that was given, else over a copy.
    """
    drawn = [detection for detection in detections if detection.mask.any()]
    scene = image if in_place else image.copy()
    _draw_tints(scene, drawn, alpha)
    _draw_outlines(scene, drawn)
    _draw_labels(scene, drawn)
    return scene


def label_text(detection: Detection) -> str:
    """The label of a detection, such as `dining table 97%`."""
    return f"{detection.surface.name} {detection.score:.0%}"


def _palette(shade: float = 1.0) -> sv.ColorPalette:
    """The classes' colours by their index, darkened by `shade`, red and blue exchanged.

    Supervision draws in OpenCV's order: so it draws right colours over RGB, of which a large photo needs no copy.
    """
    return sv.ColorPalette([sv.Color(*(round(shade * channel) for channel in c.colour_rgb[::-1])) for c in CLASSES])


def _class_index(detection: Detection) -> int:
    return CLASSES.index(detection.surface)


def _draw_tints(scene: npt.NDArray[np.uint8], detections: Sequence[Detection], alpha: float) -> None:
    if not detections:
        return
    annotator = sv.MaskAnnotator(color=_palette(), opacity=alpha)
    boxes_xyxy = np.stack([detection.box_xyxy for detection in detections])
    class_id = np.array([_class_index(detection) for detection in detections])
    # In strips, since the annotator copies photo and masks several times.
    for top in range(0, len(scene), _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        masks = np.stack([detection.mask[rows] for detection in detections])
        annotator.annotate(scene[rows], sv.Detections(xyxy=boxes_xyxy, mask=masks, class_id=class_id))


def _draw_outlines(scene: npt.NDArray[np.uint8], detections: Sequence[Detection]) -> None:
    thickness = sv.calculate_optimal_line_thickness(_size_wh(scene))
    palette = _palette()
    for detection in detections:
        # The mask is extended beyond the photo's border, so that no line is drawn along it.
        padded = np.pad(detection.mask, thickness, mode="edge")
        # A tolerance of a pixel smooths the stairs of slanted edges.
        polygons = [cv2.approxPolyDP(polygon, 1.0, closed=True) - thickness for polygon in sv.mask_to_polygons(padded)]
        colour = palette.by_idx(_class_index(detection)).as_bgr()
        # sv.PolygonAnnotator's lines are jagged.
        cv2.polylines(scene, polygons, isClosed=True, color=colour, thickness=thickness, lineType=cv2.LINE_AA)


def _draw_labels(scene: npt.NDArray[np.uint8], detections: Sequence[Detection]) -> None:
    width, height = _size_wh(scene)
    font_size = max(12, round(22 * sv.calculate_optimal_text_scale((width, height))))
    padding = max(3, font_size // 3)
    annotator = sv.RichLabelAnnotator(
        color=_palette(_LABEL_SHADE),
        font_size=font_size,
        text_padding=padding,
        text_position=sv.Position.CENTER,
        border_radius=padding,
    )
    taken: list[_Box] = []
    # Small segments first, since they have less space for their labels.
    for detection in sorted(detections, key=lambda d: int(d.mask.sum())):
        text = label_text(detection)
        box = _place_label(detection, _label_size_wh(text, annotator.font, padding), taken)
        taken.append(box)
        _draw_label(scene, annotator, detection, text, box)


def _label_size_wh(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, padding: int) -> tuple[int, int]:
    left, top, right, bottom = font.getbbox(text)
    return round(right - left) + 2 * padding + 1, round(bottom - top) + 2 * padding + 1


def _place_label(detection: Detection, label_wh: tuple[int, int], taken: Sequence[_Box]) -> _Box:
    x, y, fits = _label_point(detection, label_wh, taken)
    box = _box_around(x, y, label_wh, detection)
    if fits or not detection.surface.is_thing:
        return box
    # It would hide a small thing: it is drawn above it, at the first free height.
    label_h = label_wh[1]
    for bottom in range(int(detection.box_xyxy[1]), label_h, -label_h):
        above = _box_around(x, bottom - label_h / 2, label_wh, detection)
        if not any(_overlap(above, other) for other in taken):
            return above
    return box


def _box_around(x: float, y: float, label_wh: tuple[int, int], detection: Detection) -> _Box:
    """The label's box around a point, shifted into the photo."""
    height, width = detection.mask.shape
    label_w, label_h = label_wh
    left = max(0, min(round(x - label_w / 2), width - label_w))
    top = max(0, min(round(y - label_h / 2), height - label_h))
    return left, top, left + label_w, top + label_h


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _label_point(detection: Detection, label_wh: tuple[int, int], taken: Sequence[_Box]) -> tuple[float, float, bool]:
    """The point (x, y) of a mask that is farthest from its edges and from other labels (the pole of inaccessibility).

    Distances are in label widths and heights, on a grid where a label is a square of `_LABEL_CELLS` cells. Also returns
    whether a label around the point is inside the mask.
    """
    height, width = detection.mask.shape
    cell_w, cell_h = (side / _LABEL_CELLS for side in label_wh)
    grid_wh = max(1, round(width / cell_w)), max(1, round(height / cell_h))
    white = np.multiply(detection.mask, 255, dtype=np.uint8, order="C")
    cover = cv2.resize(white, grid_wh, interpolation=cv2.INTER_AREA)
    inside = (cover >= min(128, cover.max())).astype(np.uint8)
    half = _LABEL_CELLS / 2
    free = inside.copy()
    for left, top, right, bottom in taken:
        rows = slice(max(0, round(top / cell_h - half)), round(bottom / cell_h + half) + 1)
        columns = slice(max(0, round(left / cell_w - half)), round(right / cell_w + half) + 1)
        free[rows, columns] = 0
    padded = np.pad(free if free.any() else inside, 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # Of the many farthest points of a strip, the middle one.
    farthest = np.argwhere(distance >= 0.95 * distance.max())
    row, column = farthest[((farthest - farthest.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return (column + 0.5) * cell_w, (row + 0.5) * cell_h, bool(distance[row, column] > half)


def _draw_label(
    scene: npt.NDArray[np.uint8],
    annotator: sv.RichLabelAnnotator,
    detection: Detection,
    text: str,
    box: _Box,
) -> None:
    left, top, right, bottom = box
    # Only the label's part of the photo is converted for Pillow.
    part = np.ascontiguousarray(scene[top:bottom, left:right])
    whole = np.array([[0, 0, right - left, bottom - top]], np.float32)
    anchored = sv.Detections(xyxy=whole, class_id=np.array([_class_index(detection)]))
    scene[top:bottom, left:right] = annotator.annotate(part, anchored, labels=[text])


def _size_wh(scene: npt.NDArray[np.uint8]) -> tuple[int, int]:
    return scene.shape[1], scene.shape[0]
