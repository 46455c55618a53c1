"""Clicks and boxes as Label Studio's editor serialises them, and the masks of what is answered."""

from __future__ import annotations

import itertools
from typing import Any

from labelstudio.sync.brush import decode_brush
from surfaces.detections import Mask
from tests.labelstudio.review_scenes import entry

_NUMBERS = itertools.count()


def click(label: str, point_xy: tuple[float, float], size_hw: tuple[int, int], positive: bool = True) -> dict[str, Any]:
    """A smart key point in the middle of a pixel; with Alt down it is a negative one."""
    height, width = size_hw
    value = {"x": (point_xy[0] + 0.5) / width * 100, "y": (point_xy[1] + 0.5) / height * 100, "width": 0.4}
    return _region("click", "keypointlabels", label, value, size_hw) | {"is_positive": positive}


def box(label: str, box_xyxy: tuple[float, float, float, float], size_hw: tuple[int, int]) -> dict[str, Any]:
    height, width = size_hw
    left, top, right, bottom = box_xyxy
    value = {"x": left / width * 100, "y": top / height * 100, "rotation": 0}
    value |= {"width": (right - left) / width * 100, "height": (bottom - top) / height * 100}
    return _region("box", "rectanglelabels", label, value, size_hw)


def masks_of(prediction: dict[str, Any]) -> dict[str, Mask]:
    """The masks of a prediction's brush regions by their label; each label must be there once."""
    masks = {}
    for region in prediction["result"]:
        assert (region["from_name"], region["to_name"], region["type"]) == ("brush", "photo", "brushlabels")
        assert (region["image_rotation"], region["value"]["format"]) == (0, "rle")
        (label,) = region["value"]["brushlabels"]
        assert label not in masks
        masks[label] = decode_brush(region["value"]["rle"], region["original_height"], region["original_width"])
    return masks


def _region(name: str, kind: str, label: str, value: dict[str, Any], size_hw: tuple[int, int]) -> dict[str, Any]:
    region = entry(name, kind, size_hw, **value, **{kind: [label]}, labels=[label])
    return region | {"id": f"drawn{next(_NUMBERS)}", "image_rotation": 0, "origin": "manual"}
