"""A photo beside its labels, its prediction and a map of what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from distill.evaluation.error_analysis import said_map
from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER, OTHER_TABLE
from surfaces.datasets import Labels
from surfaces.detections import Detection, Image
from surfaces.drawing.contact_sheet import SheetLayout, contact_sheet
from surfaces.drawing.labels import draw_labels, fitting_size
from surfaces.drawing.overlay import draw_overlay

MISSED_RGB, FALSE_RGB, CONFUSED_RGB = (214, 40, 40), (245, 200, 40), (120, 50, 170)
KEY = {"missed": MISSED_RGB, "false": FALSE_RGB, "one class for another": CONFUSED_RGB}
"""The colours of an error map by what they stand for."""

_UNLABELLED_GREY = 60
_TINT = 0.75
_PALE = 0.55  # how far the photo below is moved towards white
_LAYOUT = SheetLayout(columns=4, tile_width=366, tile_height=420)


def error_map(image: Image, detections: Sequence[Detection], labels: Labels) -> Image:
    """Draws what is wrong over a pale grey photo, in the colours of `KEY`; unlabelled pixels are dark.

    Args:
        image: uint8 HxWx3 RGB; left as it is.
        detections: the prediction, its masks of the photo's size.
        labels: the truth.

    Returns:
        uint8 HxWx3 RGB.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    scene = np.repeat((grey * (1 - _PALE) + 255 * _PALE)[..., None], 3, axis=2)
    scene[labels.semantic == IGNORE] = _UNLABELLED_GREY
    kinds = error_kinds(said_map(detections, labels.semantic.shape), labels)
    for kind, colour in enumerate(KEY.values(), 1):
        wrong = kinds == kind
        scene[wrong] = (1 - _TINT) * scene[wrong] + _TINT * np.array(colour, np.float32)
    return scene.astype(np.uint8)


def error_kinds(said: npt.NDArray[np.uint8], labels: Labels) -> npt.NDArray[np.uint8]:
    """What is wrong with each pixel, uint8 HxW: 0 nothing, else the place in `KEY`, from 1.

    Args:
        said: the prediction, uint8 HxW of COCO ids.
        labels: the truth.
    """
    true = labels.semantic
    is_class = np.isin(true, [surface.coco_id for surface in CLASSES])
    differs = (true != said) & (true != IGNORE)
    excused = (true == OTHER_TABLE) & np.isin(said, [OTHER, DINING_TABLE.coco_id])
    kinds = np.zeros(true.shape, np.uint8)
    kinds[is_class & differs & (said == OTHER)] = 1
    kinds[~is_class & differs & ~excused] = 2
    kinds[is_class & differs & (said != OTHER)] = 3
    return kinds


def draw_case(title: str, image: Image, detections: Sequence[Detection], labels: Labels) -> Image:
    """Photo, labels, prediction and error map in a row, each above its caption; uint8 HxWx3 RGB.

    Args:
        title: the caption below the photo.
        image: uint8 HxWx3 RGB.
        detections: the prediction, its masks of the photo's size.
        labels: the truth.
    """
    size = fitting_size(image.shape, _LAYOUT.tile_width - 6, _LAYOUT.tile_height)
    panels = {
        title: image,
        "label": draw_labels(image, labels),
        "prediction": draw_overlay(image, detections),
        "errors: red missed, yellow false, violet confused": error_map(image, detections, labels),
    }
    tiles = [
        (text, np.asarray(cv2.resize(panel, size, interpolation=cv2.INTER_AREA), np.uint8))
        for text, panel in panels.items()
    ]
    layout = SheetLayout(_LAYOUT.columns, _LAYOUT.tile_width, size[1] + 4)
    return contact_sheet(tiles, layout)


def sheet_of_cases(cases: Sequence[Image]) -> Image:
    """Several cases below each other, uint8 HxWx3 RGB."""
    return np.concatenate(list(cases))
