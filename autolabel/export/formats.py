"""Writes labels as COCO JSON, as YOLO's segmentation text, or as PNG label maps.

YOLO's format is that of Ultralytics (https://docs.ultralytics.com/datasets/segment/). A segment is one polygon, so
holes and separate parts are joined by bridges (`surfaces.masks.polygons`); ignored pixels are background.

Trainers resample each polygon to 1,000 points, evenly spaced along the list of its points with the first one repeated
at its end. Ultralytics before 8.3.50, YOLOv5 and YOLOv7 skip corners that fall between these. So a polygon has 999
points or a divisor of 999: then all of its points are among the 1,000.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TextIO

import numpy as np

from autolabel.export.image_labels import ImageLabels
from autolabel.export.selection import provenance
from surfaces.classes import CLASSES
from surfaces.datasets.coco_writer import CocoWriter, new_coco
from surfaces.datasets.mask_folder import values_of_labels
from surfaces.detections import Detection, Mask
from surfaces.images.encode import encode_png
from surfaces.masks.components import mask_iou
from surfaces.masks.polygons import Points, mask_of_polygon, polygon_of_mask
from surfaces.store.label_store import StoredPhoto
from surfaces.store.records import ScoredLabels

INDEX_NAME = "photos.jsonl"

WHOLE = ("",)
"""The parts of an export that is not split."""

_IMAGES, _YOLO_LABELS, _MASKS, _SEGMENTS = "images", "labels", "masks", "segments"
_NUMBERS_OF_POINTS = (3, 9, 27, 37, 111, 333, 999)


@dataclass(frozen=True)
class Part:
    """All of an export, or its training or validation part.

    Attributes:
        folder: the dataset that it belongs to, with its `dataset.toml`.
        images: the existing folder of its photos.
        add: writes the labels of a photo, given the name of its file in `images`.
    """

    folder: Path
    images: Path
    add: Callable[[StoredPhoto, str, ScoredLabels], None]


Format = Callable[[Path, Sequence[str]], AbstractContextManager[Mapping[str, Part]]]
"""Begins an export with parts of these names in an existing folder; it is complete when the context ends."""


@contextmanager
def coco_export(
    folder: Path, parts: Sequence[str] = WHOLE, with_ignored: bool = True, info: Mapping[str, object] | None = None
) -> Iterator[Mapping[str, Part]]:
    """Writes `annotations.json`: annotations with `score` and `qualities`, images with their provenance.

    Image-level labels, which COCO cannot say, are in a `dataset.toml` beside it.

    Args:
        folder: an existing folder.
        parts: folders of a dataset each; the one without a name is `folder` itself.
        with_ignored: write ignored pixels as one `iscrowd` region per class.
        info: COCO's `info`.
    """
    begun = {}
    with ExitStack() as stack:
        for part in parts:
            images = _make_folder(folder / part / _IMAGES)
            coco = stack.enter_context(new_coco(folder / part, info))
            known = stack.enter_context(_image_labels(folder / part))
            begun[part] = Part(folder / part, images, partial(_add_to_coco, coco, with_ignored, known))
        yield begun


@contextmanager
def png_export(folder: Path, parts: Sequence[str] = WHOLE) -> Iterator[Mapping[str, Part]]:
    """Writes `masks/NAME.png`, `segments/NAME.png` and the provenance in `photos.jsonl`; arguments as `coco_export`.

    Image-level labels are in a `dataset.toml`.

    Masks are those of `surfaces.datasets.mask_folder`. In `segments` a pixel is k in the k-th segment of the photo in
    `photos.jsonl`, counted from 1, and 0 outside of all.
    """
    begun = {}
    with ExitStack() as stack:
        for part in parts:
            images, *maps = (_make_folder(folder / part / name) for name in (_IMAGES, _MASKS, _SEGMENTS))
            index = stack.enter_context(_open_index(folder / part))
            known = stack.enter_context(_image_labels(folder / part))
            begun[part] = Part(folder / part, images, partial(_write_maps, maps, index, known))
        yield begun


@contextmanager
def yolo_export(folder: Path, parts: Sequence[str] = WHOLE) -> Iterator[Mapping[str, Part]]:
    """Writes `labels/NAME.txt`, `data.yaml` and the provenance in `photos.jsonl`.

    Args:
        folder: an existing folder.
        parts: names of folders in `images` and `labels`, where Ultralytics looks for them.
    """
    (folder / "data.yaml").write_text(_data_yaml(parts), encoding="utf-8", newline="\n")
    begun = {}
    with _open_index(folder) as index:
        for part in parts:
            images, labels = (_make_folder(folder / kind / part) for kind in (_IMAGES, _YOLO_LABELS))
            begun[part] = Part(folder, images, partial(_write_polygons, labels, part, index))
        yield begun


def _add_to_coco(
    coco: CocoWriter,
    with_ignored: bool,
    known: ImageLabels,
    photo: StoredPhoto,
    file_name: str,
    labels: ScoredLabels,
) -> None:
    known.add(Path(file_name).stem, labels.labels().scope)
    image_id = coco.add_image(f"{_IMAGES}/{file_name}", (photo.height, photo.width), **provenance(photo))
    for segment in labels.segments:
        found = segment.detection
        more = {"score": found.score, "qualities": dict(segment.quality_scores)}
        coco.add_region(image_id, found.surface, found.mask, crowd=False, **more)
    if with_ignored and labels.ignore_mask.any():
        for surface in CLASSES:
            coco.add_region(image_id, surface, labels.ignore_mask, crowd=True)


def _write_maps(
    folders: Sequence[Path],
    index: TextIO,
    known: ImageLabels,
    photo: StoredPhoto,
    file_name: str,
    labels: ScoredLabels,
) -> None:
    maps = labels.labels()
    values = values_of_labels(maps)  # raises for too many segments
    known.add(Path(file_name).stem, maps.scope)
    segments = np.zeros(labels.ignore_mask.shape, np.uint8)
    for number, segment in enumerate(labels.segments, 1):
        segments[segment.detection.mask] = number
    for folder, pixels in zip(folders, (values, segments), strict=True):
        (folder / f"{Path(file_name).stem}.png").write_bytes(encode_png(pixels))
    _add_to_index(index, photo, file_name, labels)


def _write_polygons(
    folder: Path, part: str, index: TextIO, photo: StoredPhoto, file_name: str, labels: ScoredLabels
) -> None:
    """Writes a photo's polygons; their IoU with the masks is added to the quality scores in the index."""
    lines, segments = [], []
    for segment in labels.segments:
        mask = segment.detection.mask
        points = _polygon(mask)
        lines.append(f"{_yolo_line(segment.detection, points)}\n")
        iou = mask_iou(mask_of_polygon(points, (mask.shape[0], mask.shape[1])), mask)
        segments.append(replace(segment, quality_scores={**segment.quality_scores, "polygon_iou": round(iou, 6)}))
    path = folder / PurePosixPath(file_name).with_suffix(".txt")
    path.write_text("".join(lines), encoding="ascii", newline="\n")
    _add_to_index(index, photo, str(PurePosixPath(part) / file_name), replace(labels, segments=tuple(segments)))


def _polygon(mask: Mask) -> Points:
    """The polygon of a mask that every trainer fills alike: the last of its points are repeated."""
    points = polygon_of_mask(mask, _NUMBERS_OF_POINTS[-1])
    missing = next(number for number in _NUMBERS_OF_POINTS if number >= len(points)) - len(points)
    return np.concatenate([points, np.repeat(points[-1:], missing, axis=0)])


def _yolo_line(found: Detection, points: Points) -> str:
    """The class, counted from 0, then x and y of each point, the middle of its pixel, as shares of the photo."""
    height, width = found.mask.shape
    shares = (points + 0.5) / np.array([width, height])
    return f"{CLASSES.index(found.surface)} {' '.join(f'{share:.6f}' for share in shares.ravel())}"


@contextmanager
def _image_labels(folder: Path) -> Iterator[ImageLabels]:
    known = ImageLabels()
    yield known
    known.write(folder)


def _make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _open_index(folder: Path) -> TextIO:
    return (folder / INDEX_NAME).open("w", encoding="utf-8", newline="\n")


def _add_to_index(index: TextIO, photo: StoredPhoto, file_name: str, labels: ScoredLabels) -> None:
    """Writes a line with the photo's provenance and its segments, in the order of the labels."""
    segments = [
        {
            "class": segment.detection.surface.name,
            "score": segment.detection.score,
            "qualities": dict(segment.quality_scores),
        }
        for segment in labels.segments
    ]
    entry = {
        "file_name": f"{_IMAGES}/{file_name}",
        "width": photo.width,
        "height": photo.height,
        **provenance(photo),
        "segments": segments,
        "unsure_share": float(np.mean(labels.ignore_mask)),
    }
    index.write(json.dumps(entry) + "\n")


def _data_yaml(parts: Sequence[str]) -> str:
    train, val = (str(PurePosixPath(_IMAGES) / part) for part in (parts[0], parts[-1]))
    note = ["# Training and validation photos are the same; `export --split` divides them."] if train == val else []
    names = [f"  {index}: {surface.name}" for index, surface in enumerate(CLASSES)]
    return "\n".join([*note, f"train: {train}", f"val: {val}", "names:", *names, ""])
