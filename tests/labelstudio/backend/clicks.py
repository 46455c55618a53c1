"""Clicks and boxes as Label Studio's editor serialises them, requests with them, and the masks that answer them."""

from __future__ import annotations

import itertools
from typing import Any

from labelstudio.sync.brush import decode_brush
from surfaces.detections import Mask
from tests.labelstudio.review_scenes import entry

SIZE = (384, 512)
_NUMBERS = itertools.count()


def click(
    label: str, point_xy: tuple[float, float], size_hw: tuple[int, int] = SIZE, positive: bool = True
) -> dict[str, Any]:
    """A smart key point in the middle of a pixel; with Alt down it is a negative one."""
    height, width = size_hw
    value = {"x": (point_xy[0] + 0.5) / width * 100, "y": (point_xy[1] + 0.5) / height * 100, "width": 0.4}
    return _region("click", "keypointlabels", label, value, size_hw) | {"is_positive": positive}


def box(label: str, box_xyxy: tuple[float, float, float, float], size_hw: tuple[int, int] = SIZE) -> dict[str, Any]:
    height, width = size_hw
    left, top, right, bottom = box_xyxy
    value = {"x": left / width * 100, "y": top / height * 100, "rotation": 0}
    value |= {"width": (right - left) / width * 100, "height": (bottom - top) / height * 100}
    return _region("box", "rectanglelabels", label, value, size_hw)


def question(url: Any, drawn: Any = None, **others: Any) -> dict[str, Any]:
    return {
        "tasks": [{"id": 1, "data": {"image": url}, "annotations": [], "drafts": [], "predictions": []}],
        "project": "1.1700000000",
        "label_config": "<View/>",
        "params": {"login": None, "password": None, "context": None if drawn is None else {"result": drawn}},
    } | others


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


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


FLOOR_CLICK = click("floor", (256, 370))
