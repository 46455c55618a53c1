"""Labels as a prediction that Label Studio shows, and an annotation that a person submitted as labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from labelstudio.errors import AnnotationError
from labelstudio.project.labeling_config import BRUSH, COMMENT, POLYGON, REJECT, TO_NAME, UNSURE, VERDICT
from labelstudio.sync.brush import decode_brush, encode_brush
from labelstudio.sync.overlaps import Region, settle
from surfaces.classes import BY_NAME
from surfaces.datasets.coco_regions import LONGEST_OUTLINE, outline_length
from surfaces.detections import Mask
from surfaces.messages import brief
from surfaces.store.records import MAX_TABLES, ScoredLabels


def fill_polygon(points_xy: npt.NDArray[np.float64], height: int, width: int) -> Mask:
    """The pixels whose centres lie inside a polygon by the non-zero winding rule, which HTML's canvas fills by.

    COCO's polygons are filled by the even-odd rule, and grow by half a pixel: not what the reviewer saw.

    Args:
        points_xy: float64 Nx2, pixels, the photo's upper left corner being 0, 0; may lie outside of the photo, cross
            itself, and turn either way. The last is joined to the first.
        height: of the photo, pixels.
        width: of the photo, pixels.

    Returns:
        bool HxW.
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


_CONTROLS = {"brushlabels": BRUSH, "polygonlabels": POLYGON}
"""What masks are drawn with, by the type of its regions."""

_REMARKS = frozenset(
    ("choices", "textarea", "rating", "number", "datetime", "taxonomy", "pairwise", "ranker", "relation")
)
"""Types of results without an outline: they say something about the photo, or about regions that are there as well."""

_OWN_REMARKS = (VERDICT, COMMENT)
_FEWEST_POINTS = 3
_FARTHEST_PERCENT = 10_000.0
_MOST_POINTS = 20_000
_MOST_PIXELS = 4 << 30
"""Of all regions of an annotation together: each is a mask of the photo's size."""
_FEWEST_REGIONS = 300
"""So many regions may any photo have: a table each, and some of wall, floor and unsure."""


@dataclass(frozen=True, eq=False)
class Reviewed:
    """What a person said of a photo.

    Attributes:
        labels: what they drew, or left as it was predicted; score 1, without qualities or belief.
        verdict: `unsure` (they cannot judge the photo), `reject` (it is useless), or None.
        comment: their remark on the photo; empty where there is none.
    """

    labels: ScoredLabels
    verdict: str | None
    comment: str


def prediction_of(labels: ScoredLabels, model_version: str) -> dict[str, Any]:
    """A prediction as Label Studio imports it; the same labels always give the same.

    Args:
        labels: of the photo's own size, upright.
        model_version: what they were made with.

    Returns:
        The JSON value: a brush region a segment, and one for the unsure pixels; `labels_of` gives the same masks back.
    """
    scores = [float(segment.detection.score) for segment in labels.segments]
    # The last region, unsure, has no score.
    result = [_entry_of(region, score) for region, score in zip_longest(_regions_of(labels), scores)]
    score = float(labels.quality_scores.get("score", 1.0))
    return {"model_version": model_version, "score": score, "result": result}


def labels_of(result: Any, height: int, width: int, predicted: ScoredLabels | None = None) -> Reviewed:
    """What an annotation's regions mean.

    An annotation without regions says that none of the classes is there, and only such a one does: a region that is
    no mask (box, ellipse, click, video), regions that are all empty, or nothing but answers to controls that are not
    ours raise an error. Beside regions such answers, and relations, are not read. A photo that was turned in the editor
    makes no difference: regions lie on the photo as it is.

    Args:
        result: of an annotation (or of a prediction, which gives the labels that were pushed), as the server sent it.
        height: of the photo upright, pixels.
        width: of the photo upright, pixels.
        predicted: the labels that the person started from; None where there were none. They decide whose a pixel is
            where regions overlap, see `settle`.

    Raises:
        AnnotationError: a region, label, shape or size that cannot be taken for what a person meant; says which region.
    """
    if not isinstance(result, list) or not all(isinstance(entry, dict) for entry in result):
        raise AnnotationError(f"expected an annotation's result as a list of regions, got {brief(result)}")
    count = sum(not _is_remark(entry) for entry in result)
    most = max(_FEWEST_REGIONS, _MOST_PIXELS // (height * width))
    if count > most:
        raise AnnotationError(f"expected at most {most} regions of a photo of {width}x{height} pixels, got {count}")
    regions = list(_drawn_regions(result, height, width))
    _check_deliberate(result, regions)
    before = [] if predicted is None else list(_regions_of(predicted))
    labels = settle(regions, before, (height, width))
    tables = sum(segment.detection.surface.is_thing for segment in labels.segments)
    if tables > MAX_TABLES:
        raise AnnotationError(f"expected at most {MAX_TABLES} tables, got {tables}")
    return Reviewed(labels, _verdict_of(result), _comment_of(result))


def _regions_of(labels: ScoredLabels) -> Iterator[Region]:
    """The regions of a prediction, in the order of its segments; unsure pixels come last."""
    tables = 0
    for segment in labels.segments:
        surface = segment.detection.surface
        tables += surface.is_thing
        name = surface.name.replace(" ", "-")
        yield Region(f"{name}-{tables}" if surface.is_thing else name, surface.name, segment.detection.mask)
    if labels.ignore_mask.any():
        yield Region(UNSURE, UNSURE, labels.ignore_mask)


def _entry_of(region: Region, score: float | None) -> dict[str, Any]:
    height, width = region.mask.shape
    entry = {
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
    return entry if score is None else entry | {"score": score}


def _drawn_regions(result: Sequence[dict[str, Any]], height: int, width: int) -> Iterator[Region]:
    for entry in result:
        if not _is_remark(entry):
            try:
                yield Region(str(entry.get("id")), _label_of(entry), _mask_of(entry, height, width))
            except AnnotationError as error:
                raise AnnotationError(f"region {brief(entry.get('id'))}: {error}") from error


def _is_remark(entry: dict[str, Any]) -> bool:
    """Whether an entry has no outline; what claims to be of the brush or the polygon has one."""
    name = entry.get("from_name")
    return name in _OWN_REMARKS or (str(entry.get("type")) in _REMARKS and name not in (BRUSH, POLYGON))


def _check_deliberate(result: Sequence[dict[str, Any]], regions: Sequence[Region]) -> None:
    """Raises an error where an annotation has no pixels, and does not say so by having no regions."""
    if any(region.mask.any() for region in regions):
        return
    if regions:
        raise AnnotationError("expected regions with pixels, got only empty ones; without any, the photo has no labels")
    if result and not any(entry.get("from_name") in _OWN_REMARKS for entry in result):
        came = ", ".join(f"{brief(entry.get('type'))} of {brief(entry.get('from_name'))}" for entry in result[:3])
        raise AnnotationError(f"expected regions, or an annotation without any result, got only {came}")


def _label_of(entry: dict[str, Any]) -> str:
    if _CONTROLS.get(str(entry.get("type"))) != entry.get("from_name"):
        came = f"got {brief(entry.get('type'))} of {brief(entry.get('from_name'))}"
        raise AnnotationError(f"expected brushlabels of {BRUSH!r} or polygonlabels of {POLYGON!r}, {came}")
    labels = _value_of(entry).get(entry["type"])
    if not isinstance(labels, list) or len(labels) != 1:
        raise AnnotationError(f"expected one label, got {brief(labels)}")
    if labels[0] not in (*BY_NAME, UNSURE):
        raise AnnotationError(f"expected the label {', '.join(BY_NAME)} or {UNSURE}, got {brief(labels[0])}")
    return str(labels[0])


def _mask_of(entry: dict[str, Any], height: int, width: int) -> Mask:
    size = entry.get("original_width"), entry.get("original_height")
    if size != (width, height):
        raise AnnotationError(f"expected a photo of {width}x{height} pixels, got {brief(size[0])}x{brief(size[1])}")
    value = _value_of(entry)
    if entry["type"] == "polygonlabels":
        return _polygon_of(value, height, width)
    if value.get("touches") or value.get("maskDataURL"):
        raise AnnotationError("expected a brush as RLE, got a draft's strokes; it was not submitted")
    return decode_brush(value.get("rle"), height, width)


def _polygon_of(value: dict[str, Any], height: int, width: int) -> Mask:
    points = value.get("points")
    if value.get("closed", True) is not True:
        raise AnnotationError("expected a closed polygon, got an open one")
    if isinstance(points, list) and len(points) > _MOST_POINTS:
        raise AnnotationError(f"expected a polygon of at most {_MOST_POINTS} points, got {len(points)}")
    try:
        percent = np.array(points, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(f"expected a polygon's points as pairs of numbers, got {brief(points)}") from error
    if percent.ndim != 2 or percent.shape[1] != 2 or len(percent) < _FEWEST_POINTS:
        raise AnnotationError(f"expected a polygon of {_FEWEST_POINTS} points or more, got {brief(points)}")
    if not (np.abs(percent) <= _FARTHEST_PERCENT).all():
        raise AnnotationError(f"expected a polygon's points in per cent of the photo, got {brief(points)}")
    pixels = percent / 100 * (width, height)
    if outline_length(pixels) > LONGEST_OUTLINE:
        raise AnnotationError(f"expected a polygon that crosses at most {LONGEST_OUTLINE} pixels, got {brief(points)}")
    mask = fill_polygon(pixels, height, width)
    if not mask.any():
        raise AnnotationError(f"expected a polygon with pixels of the photo in it, got {brief(points)}")
    return mask


def _verdict_of(result: Sequence[dict[str, Any]]) -> str | None:
    told = [_value_of(entry).get("choices") for entry in result if entry.get("from_name") == VERDICT]
    verdicts = [choice for choices in told for choice in (choices if isinstance(choices, list) else [choices])]
    if not verdicts:
        return None
    if len(verdicts) > 1 or verdicts[0] not in (UNSURE, REJECT):
        raise AnnotationError(f"expected the verdict {UNSURE} or {REJECT}, got {brief(verdicts)}")
    return str(verdicts[0])


def _comment_of(result: Sequence[dict[str, Any]]) -> str:
    told = [_value_of(entry).get("text") for entry in result if entry.get("from_name") == COMMENT]
    texts = [text for texts in told for text in (texts if isinstance(texts, list) else [texts])]
    if not all(isinstance(text, str) for text in texts):
        raise AnnotationError(f"expected the comment as text, got {brief(told)}")
    return "\n".join(map(str, texts)).strip()


def _value_of(entry: dict[str, Any]) -> dict[str, Any]:
    value = entry.get("value")
    if not isinstance(value, dict):
        raise AnnotationError(f"expected a region with a value, got {brief(value)}")
    return value
