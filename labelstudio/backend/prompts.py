"""Parses the clicks and boxes that a person drew in the browser: the `context` of Label Studio's requests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labelstudio.backend.segmenters import RegionPrompt
from labelstudio.errors import AnnotationError
from surfaces.classes import BY_NAME
from surfaces.messages import brief

_POINT, _BOX = "keypointlabels", "rectanglelabels"
_PERCENT_MAX = 10_000
_PROMPTS_MAX = 200


def parse_prompts(drawn: Any, size_hw: tuple[int, int]) -> list[RegionPrompt]:
    """Prompts by label, in the order in which labels were first used.

    Args:
        drawn: `context["result"]` of a request: key points (`is_positive` is false for Alt-clicks) and upright
            rectangles, in percent of the photo.
        size_hw: of the upright photo.

    Raises:
        AnnotationError: anything else was drawn, or with an unknown label, outside the photo, or on another photo.
    """
    if not isinstance(drawn, list):
        raise AnnotationError(f"expected the clicks and boxes as a list, got {type(drawn).__name__}")
    if len(drawn) > _PROMPTS_MAX:
        raise AnnotationError(f"expected at most {_PROMPTS_MAX} clicks and boxes, got {len(drawn)}")
    prompts: dict[str, RegionPrompt] = {}
    for result in drawn:
        if not isinstance(result, Mapping) or not isinstance(value := result.get("value"), Mapping):
            raise AnnotationError("expected a click or a box with its value, got something else")
        _check_size(result, size_hw)
        label = _parse_label(result, value)
        prompt = prompts.get(label, RegionPrompt(BY_NAME[label]))
        add = _add_box if result["type"] == _BOX else _add_point
        prompts[label] = add(prompt, result, size_hw)
    return list(prompts.values())


def _parse_label(result: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    kind = result.get("type")
    if kind not in (_POINT, _BOX):
        raise AnnotationError(f"expected {_POINT} or {_BOX}, got {brief(kind)}")
    labels = value.get(kind)
    if not isinstance(labels, list) or len(labels) != 1:
        raise AnnotationError(f"expected one label, got {brief(labels)}")
    if labels[0] not in list(BY_NAME):
        raise AnnotationError(f"expected a label of {', '.join(BY_NAME)}, got {brief(labels[0])}")
    return str(labels[0])


def _check_size(result: Mapping[str, Any], size_hw: tuple[int, int]) -> None:
    stated = result.get("original_height"), result.get("original_width")
    if None not in stated and stated != size_hw:
        expected, got = (f"{width}x{height}" for height, width in (size_hw, stated))
        raise AnnotationError(f"expected clicks on a photo of {expected} pixels, got them on one of {got[:60]}")


def _add_point(prompt: RegionPrompt, result: Mapping[str, Any], size_hw: tuple[int, int]) -> RegionPrompt:
    x, y = _fractions(result["value"], "x", "y")
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise AnnotationError(f"expected a click on the photo, got one at {100 * x:g} %, {100 * y:g} %")
    height, width = size_hw
    point = (min(width - 1, int(x * width)), min(height - 1, int(y * height)))
    if result.get("is_positive", True):
        return replace(prompt, points=(*prompt.points, point))
    return replace(prompt, negative_points=(*prompt.negative_points, point))


def _add_box(prompt: RegionPrompt, result: Mapping[str, Any], size_hw: tuple[int, int]) -> RegionPrompt:
    x, y, width, height = _fractions(result["value"], "x", "y", "width", "height")
    if result["value"].get("rotation"):
        raise AnnotationError("expected an upright box, got a turned one")
    left, right = _pixel_range(x, x + width, size_hw[1])
    top, bottom = _pixel_range(y, y + height, size_hw[0])
    if left >= right or top >= bottom:
        raise AnnotationError("expected a box on the photo, got an empty one or one beside it")
    return replace(prompt, boxes_xyxy=(*prompt.boxes_xyxy, (left, top, right, bottom)))


def _fractions(value: Mapping[str, Any], *names: str) -> list[float]:
    numbers: list[Any] = [value.get(name) for name in names]
    # A bool is an int; NaN is not less than anything.
    if not all(type(number) in (int, float) and abs(number) < _PERCENT_MAX for number in numbers):
        raise AnnotationError(f"expected numbers as {', '.join(names)}, got {brief(numbers)}")
    return [number / 100 for number in numbers]


def _pixel_range(start: float, stop: float, side: int) -> tuple[int, int]:
    return max(0, math.floor(start * side + 1e-6)), min(side, math.ceil(stop * side - 1e-6))
