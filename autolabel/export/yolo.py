"""Labels as YOLO's segmentation text: a line a segment, its class and a polygon in shares of the photo.

The format is that of Ultralytics (https://docs.ultralytics.com/datasets/segment/). It knows one polygon a segment, so
holes and separate parts hang on bridges (`surfaces.masks.polygons`), and nothing that is left out: unsure pixels count as
background there.

Trainers bring every polygon to 1,000 points, evenly spaced along the list of its points, the first one repeated at its
end. Ultralytics before 8.3.50, YOLOv5 and YOLOv7 pass over corners where that does not meet them. So a polygon has 999
points or a divisor of 999: then all of its points are among the 1,000.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from autolabel.export.selection import IMAGES, WHOLE, Part, new_index
from surfaces.classes import CLASSES
from surfaces.detections import Detection, Mask
from surfaces.masks.polygons import Points, mask_of_polygon, polygon_of_mask
from surfaces.store.label_store import StoredPhoto
from surfaces.store.records import ScoredLabels, ScoredSegment

_LABELS = "labels"
_DATA_NAME = "data.yaml"
_NUMBERS_OF_POINTS = (3, 9, 27, 37, 111, 333, 999)


@contextmanager
def yolo_export(folder: Path, parts: Sequence[str] = WHOLE) -> Iterator[Mapping[str, Part]]:
    """`labels/NAME.txt` for each photo, `data.yaml`, and the provenance in `photos.jsonl`.

    Args:
        folder: an existing folder.
        parts: the names of folders in `images` and `labels`, as Ultralytics reads them.
    """
    for part in parts:
        for kind in (IMAGES, _LABELS):
            (folder / kind / part).mkdir(parents=True)
    (folder / _DATA_NAME).write_text(_data_yaml(parts), encoding="utf-8", newline="\n")
    with new_index(folder) as add_to_index:

        def add(part: str, photo: StoredPhoto, name: str, labels: ScoredLabels) -> None:
            file_name = PurePosixPath(part) / name
            polygons = [yolo_polygon(segment.detection.mask) for segment in labels.segments]
            pairs = list(zip(labels.segments, polygons, strict=True))
            text = "".join(f"{yolo_line(segment.detection, points)}\n" for segment, points in pairs)
            (folder / _LABELS / file_name.with_suffix(".txt")).write_text(text, encoding="ascii", newline="\n")
            segments = tuple(_with_iou(segment, points) for segment, points in pairs)
            add_to_index(photo, str(file_name), replace(labels, segments=segments))

        yield {part: Part(folder / IMAGES / part, partial(add, part)) for part in parts}


def yolo_polygon(mask: Mask) -> Points:
    """The polygon of a mask that every trainer fills alike: the last of its points are repeated."""
    points = polygon_of_mask(mask, _NUMBERS_OF_POINTS[-1])
    missing = next(number for number in _NUMBERS_OF_POINTS if number >= len(points)) - len(points)
    return np.concatenate([points, np.repeat(points[-1:], missing, axis=0)])


def yolo_line(found: Detection, points: Points) -> str:
    """One segment: its class, counted from 0, then x and y of each point, pixels' middles, as shares of the photo."""
    height, width = found.mask.shape
    shares = (points + 0.5) / np.array([width, height])
    return f"{CLASSES.index(found.surface)} {' '.join(f'{share:.6f}' for share in shares.ravel())}"


def _with_iou(segment: ScoredSegment, points: Points) -> ScoredSegment:
    """The segment with the IoU of its mask and its polygon among its qualities."""
    mask = segment.detection.mask
    filled = mask_of_polygon(points, (mask.shape[0], mask.shape[1]))
    iou = float(np.sum(filled & mask) / np.sum(filled | mask))
    return replace(segment, quality_scores={**segment.quality_scores, "polygon_iou": round(iou, 6)})


def _data_yaml(parts: Sequence[str]) -> str:
    train, val = (str(PurePosixPath(IMAGES) / part) for part in (parts[0], parts[-1]))
    note = ["# Training and validation photos are the same; `export --split` divides them."] if train == val else []
    names = [f"  {index}: {surface.name}" for index, surface in enumerate(CLASSES)]
    return "\n".join([*note, f"train: {train}", f"val: {val}", "names:", *names, ""])
