"""What a person drew in the browser to ask for a region: the `context` of Label Studio's requests as hints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from labelstudio.backend.segmenters import Hint, Point
from labelstudio.errors import AnnotationError
from surfaces.classes import BY_NAME
from surfaces.messages import brief

_CLICK, _BOX = "keypointlabels", "rectanglelabels"
_FARTHEST_PERCENT = 10_000
_HINTS_MAX = 200


def hints_of(drawn: Any, size_hw: tuple[int, int]) -> list[Hint]:
    """The hints in what was drawn, one a label, in the order they came.

    Args:
        drawn: `context["result"]` of a request: results of key points (`is_positive` false for Alt-clicks) and of
            upright rectangles; their coordinates are percentages of the photo.
        size_hw: the photo's, EXIF applied.

    Raises:
        AnnotationError: something else was drawn, with a label nobody knows, off the photo, or on another photo.
    """
    if not isinstance(drawn, list):
        raise AnnotationError(f"expected the clicks and boxes as a list, got {type(drawn).__name__}")
    if len(drawn) > _HINTS_MAX:
        raise AnnotationError(f"expected at most {_HINTS_MAX} clicks and boxes, got {len(drawn)}")
    hints: dict[str, Hint] = {}
    for result in drawn:
        if not isinstance(result, Mapping) or not isinstance(value := result.get("value"), Mapping):
            raise AnnotationError("expected a click or a box with its value, got something else")
        _check_size(result, size_hw)
        label = _label_of(result, value)
        hint = hints.get(label, Hint(BY_NAME[label]))
        hints[label] = _with_box(hint, value, size_hw) if result["type"] == _BOX else _with_click(hint, result, size_hw)
    return list(hints.values())


def _label_of(result: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    kind = result.get("type")
    if kind not in (_CLICK, _BOX):
        raise AnnotationError(f"expected {_CLICK} or {_BOX}, got {brief(kind)}")
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


def _with_click(hint: Hint, result: Mapping[str, Any], size_hw: tuple[int, int]) -> Hint:
    x, y = _shares(result["value"], ("x", "y"))
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise AnnotationError(f"expected a click on the photo, got one at {100 * x:g} %, {100 * y:g} %")
    point: Point = (_pixel(x, size_hw[1]), _pixel(y, size_hw[0]))
    if result.get("is_positive", True):
        return replace(hint, clicks=(*hint.clicks, point))
    return replace(hint, misses=(*hint.misses, point))


def _with_box(hint: Hint, value: Mapping[str, Any], size_hw: tuple[int, int]) -> Hint:
    x, y, width, height = _shares(value, ("x", "y", "width", "height"))
    if value.get("rotation"):
        raise AnnotationError("expected an upright box, got a turned one")
    left, right = _span(x, x + width, size_hw[1])
    top, bottom = _span(y, y + height, size_hw[0])
    if left >= right or top >= bottom:
        raise AnnotationError("expected a box on the photo, got an empty one or one beside it")
    return replace(hint, boxes_xyxy=(*hint.boxes_xyxy, (left, top, right, bottom)))


def _shares(value: Mapping[str, Any], names: Iterable[str]) -> list[float]:
    """Percentages as shares."""
    numbers: list[Any] = [value.get(name) for name in names]
    # To Python a bool is an int; NaN is not below anything.
    if not all(type(number) in (int, float) and abs(number) < _FARTHEST_PERCENT for number in numbers):
        raise AnnotationError(f"expected numbers as {', '.join(names)}, got {brief(numbers)}")
    return [number / 100 for number in numbers]


def _pixel(share: float, side: int) -> int:
    return min(side - 1, int(share * side))


def _span(start: float, stop: float, side: int) -> tuple[int, int]:
    """The pixels that a part of a side touches, as far as it lies on the photo."""
    return max(0, math.floor(start * side + 1e-6)), min(side, math.ceil(stop * side - 1e-6))
