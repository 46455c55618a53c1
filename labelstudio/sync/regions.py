"""Converts labels to predictions that Label Studio shows, and submitted annotations to labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labelstudio.errors import AnnotationError
from labelstudio.project.labeling_config import BRUSH, COMMENT, POLYGON, REJECT, TO_NAME, UNSURE, VERDICT
from labelstudio.sync.brush import decode_brush, encode_brush
from labelstudio.sync.overlaps import Region, resolve_overlaps
from surfaces.classes import BY_NAME
from surfaces.detections import Mask
from surfaces.masks.rle import LONGEST_OUTLINE, outline_length
from surfaces.messages import brief
from surfaces.store.records import MAX_TABLES, ScoredLabels

_CONTROLS = {"brushlabels": BRUSH, "polygonlabels": POLYGON}  # that draw masks, by the type of their regions
# Results on the whole photo, or on regions that are in the result as well.
_TYPES_WITHOUT_OUTLINE = frozenset(
    ("choices", "textarea", "rating", "number", "datetime", "taxonomy", "pairwise", "ranker", "relation")
)
_PHOTO_CONTROLS = (VERDICT, COMMENT)
_PERCENT_MAX = 10_000.0
_POINTS_MIN, _POINTS_MAX = 3, 20_000
_PIXELS_MAX = 4 << 30  # of all regions of an annotation together: each is a mask of the photo's size
_REGIONS_MIN = 300  # permitted for photos of any size: all tables, and some of wall, floor and unsure


@dataclass(frozen=True, eq=False)
class Reviewed:
    """A parsed annotation: labels of score 1, the verdict `unsure`, `reject` or None, and a comment on the photo."""

    labels: ScoredLabels
    verdict: str | None
    comment: str


def labels_to_prediction(labels: ScoredLabels, model_version: str) -> dict[str, Any]:
    """Converts labels of the upright photo to a prediction as Label Studio imports it; deterministic.

    It has a brush region for each segment, and one for unsure pixels. `annotation_to_labels` restores the same masks.
    """
    result = [_result_of(region) for region in _regions_of(labels)]
    for region, segment in zip(result, labels.segments, strict=False):  # unsure, the last region, has no score
        region["score"] = float(segment.detection.score)
    score = float(labels.quality_scores.get("score", 1.0))
    return {"model_version": model_version, "score": score, "result": result}


def annotation_to_labels(result: Any, height: int, width: int, predicted: ScoredLabels | None = None) -> Reviewed:
    """Converts the regions of an annotation, or of a prediction, to labels of the upright photo.

    Only an annotation without regions means that no class is in the photo: regions that are no masks (box, ellipse,
    click, video), regions that are all empty, and nothing but answers to unknown controls are errors. Beside regions
    such answers, and relations, are ignored, and so is a rotation in the editor.

    Raises:
        AnnotationError: a region, label, shape or size is invalid; names the region.
    """
    if not isinstance(result, list) or not all(isinstance(entry, dict) for entry in result):
        raise AnnotationError(f"expected an annotation's result as a list of regions, got {brief(result)}")
    count = sum(_has_outline(entry) for entry in result)
    count_max = max(_REGIONS_MIN, _PIXELS_MAX // (height * width))
    if count > count_max:
        words = f"expected at most {count_max} regions of a photo of {width}x{height} pixels"
        raise AnnotationError(f"{words}, got {count}")
    regions = list(_parse_regions(result, height, width))
    _check_empty(result, regions)
    before = [] if predicted is None else list(_regions_of(predicted))
    labels = resolve_overlaps(regions, before, (height, width))
    tables = sum(segment.detection.surface.is_thing for segment in labels.segments)
    if tables > MAX_TABLES:
        raise AnnotationError(f"expected at most {MAX_TABLES} tables, got {tables}")
    return Reviewed(labels, _parse_verdict(result), _parse_comment(result))


def rasterize_polygon(points_xy: npt.NDArray[np.float64], height: int, width: int) -> Mask:
    """The pixels, bool HxW, whose centres are inside a polygon by the non-zero winding rule, as in HTML's canvas.

    COCO's even-odd rule, with its growth by half a pixel, would give another mask than the reviewer saw. The points,
    float64 Nx2, may be outside of the photo, and the outline may intersect itself, in either orientation.
    """
    turns = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(points_xy.tolist(), np.roll(points_xy, -1, axis=0).tolist(), strict=True):
        first, last = (min(max(math.ceil(y - 0.5), 0), height) for y in sorted((y0, y1)))
        if first < last:
            rows = np.arange(first, last)
            crossings = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
            turns[rows, columns] += 1 if y1 > y0 else -1
    inside: Mask = np.cumsum(turns, axis=1, dtype=np.int32)[:, :width] != 0
    return inside


def _regions_of(labels: ScoredLabels) -> Iterator[Region]:
    """The regions of a prediction, in the order of segments; unsure pixels are the last."""
    tables = 0
    for segment in labels.segments:
        surface = segment.detection.surface
        tables += surface.is_thing
        name = surface.name.replace(" ", "-")
        yield Region(f"{name}-{tables}" if surface.is_thing else name, surface.name, segment.detection.mask)
    if labels.ignore_mask.any():
        yield Region(UNSURE, UNSURE, labels.ignore_mask)


def _result_of(region: Region) -> dict[str, Any]:
    height, width = region.mask.shape
    return {
        "id": region.id,
        "from_name": BRUSH,
        "to_name": TO_NAME,
        "type": "brushlabels",
        "readonly": False,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush(region.mask), "brushlabels": [region.label]},
    }


def _parse_regions(result: Sequence[dict[str, Any]], height: int, width: int) -> Iterator[Region]:
    for entry in filter(_has_outline, result):
        try:
            yield Region(str(entry.get("id")), _parse_label(entry), _parse_mask(entry, height, width))
        except AnnotationError as error:
            raise AnnotationError(f"region {brief(entry.get('id'))}: {error}") from error


def _has_outline(entry: dict[str, Any]) -> bool:
    """Whether an entry is a region with an outline; those of the brush or the polygon always are."""
    name = entry.get("from_name")
    if name in _PHOTO_CONTROLS:
        return False
    return name in (BRUSH, POLYGON) or str(entry.get("type")) not in _TYPES_WITHOUT_OUTLINE


def _check_empty(result: Sequence[dict[str, Any]], regions: Sequence[Region]) -> None:
    """Raises an AnnotationError if an annotation is empty in another way than by having no regions."""
    if any(region.mask.any() for region in regions):
        return
    if regions:
        raise AnnotationError("expected regions with pixels, got only empty ones; without any, the photo has no labels")
    if result and not any(entry.get("from_name") in _PHOTO_CONTROLS for entry in result):
        got = ", ".join(map(_describe, result[:3]))
        raise AnnotationError(f"expected regions, or an annotation without any result, got only {got}")


def _describe(entry: dict[str, Any]) -> str:
    return f"{brief(entry.get('type'))} of {brief(entry.get('from_name'))}"


def _parse_label(entry: dict[str, Any]) -> str:
    if _CONTROLS.get(str(entry.get("type"))) != entry.get("from_name"):
        expected = f"expected brushlabels of {BRUSH!r} or polygonlabels of {POLYGON!r}"
        raise AnnotationError(f"{expected}, got {_describe(entry)}")
    labels = _value_of(entry).get(entry["type"])
    if not isinstance(labels, list) or len(labels) != 1:
        raise AnnotationError(f"expected one label, got {brief(labels)}")
    if labels[0] not in (*BY_NAME, UNSURE):
        raise AnnotationError(f"expected the label {', '.join(BY_NAME)} or {UNSURE}, got {brief(labels[0])}")
    return str(labels[0])


def _parse_mask(entry: dict[str, Any], height: int, width: int) -> Mask:
    size = entry.get("original_width"), entry.get("original_height")
    if size != (width, height):
        raise AnnotationError(f"expected a photo of {width}x{height} pixels, got {brief(size[0])}x{brief(size[1])}")
    value = _value_of(entry)
    if entry["type"] == "polygonlabels":
        return _parse_polygon(value, height, width)
    if value.get("touches") or value.get("maskDataURL"):
        raise AnnotationError("expected a brush as RLE, got a draft's strokes; it was not submitted")
    return decode_brush(value.get("rle"), height, width)


def _parse_polygon(value: dict[str, Any], height: int, width: int) -> Mask:
    points = value.get("points")
    if value.get("closed", True) is not True:
        raise AnnotationError("expected a closed polygon, got an open one")
    if isinstance(points, list) and len(points) > _POINTS_MAX:
        raise AnnotationError(f"expected a polygon of at most {_POINTS_MAX} points, got {len(points)}")
    try:
        percent = np.array(points, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(f"expected a polygon's points as pairs of numbers, got {brief(points)}") from error
    if percent.ndim != 2 or percent.shape[1] != 2 or len(percent) < _POINTS_MIN:
        raise AnnotationError(f"expected a polygon of {_POINTS_MIN} points or more, got {brief(points)}")
    if not (np.abs(percent) <= _PERCENT_MAX).all():
        raise AnnotationError(f"expected a polygon's points in per cent of the photo, got {brief(points)}")
    pixels = percent / 100 * (width, height)
    if outline_length(pixels) > LONGEST_OUTLINE:
        raise AnnotationError(f"expected a polygon that crosses at most {LONGEST_OUTLINE} pixels, got {brief(points)}")
    mask = rasterize_polygon(pixels, height, width)
    if not mask.any():
        raise AnnotationError(f"expected a polygon with pixels of the photo in it, got {brief(points)}")
    return mask


def _parse_verdict(result: Sequence[dict[str, Any]]) -> str | None:
    verdicts = _values_of(result, VERDICT, "choices")
    if not verdicts:
        return None
    if len(verdicts) > 1 or verdicts[0] not in (UNSURE, REJECT):
        raise AnnotationError(f"expected the verdict {UNSURE} or {REJECT}, got {brief(verdicts)}")
    return str(verdicts[0])


def _parse_comment(result: Sequence[dict[str, Any]]) -> str:
    texts = _values_of(result, COMMENT, "text")
    if not all(isinstance(text, str) for text in texts):
        raise AnnotationError(f"expected the comment as text, got {brief(texts)}")
    return "\n".join(texts).strip()


def _values_of(result: Sequence[dict[str, Any]], control: str, field: str) -> list[Any]:
    values = [_value_of(entry).get(field) for entry in result if entry.get("from_name") == control]
    return [each for value in values for each in (value if isinstance(value, list) else [value])]


def _value_of(entry: dict[str, Any]) -> dict[str, Any]:
    value = entry.get("value")
    if not isinstance(value, dict):
        raise AnnotationError(f"expected a region with a value, got {brief(value)}")
    return value
