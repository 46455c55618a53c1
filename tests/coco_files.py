"""COCO files as other tools write them, with photos of one colour."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIZE_HW = (40, 60)
NAMES = ("wall", "floor", "dining table")
WALL, FLOOR, TABLE = (0, 0, 60, 20), (0, 20, 60, 40), (10, 25, 30, 35)
"""Regions as left, top, right, bottom: half wall, half floor, and a table on the floor."""


def write_photo(path: Path, size_hw: tuple[int, int] = SIZE_HW) -> Path:
    """A grey photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.full((*size_hw, 3), 128, np.uint8))[1].tobytes())
    return path


def polygon(box: Sequence[float]) -> list[list[float]]:
    """A rectangle as a `segmentation`."""
    left, top, right, bottom = box
    return [[left, top, right, top, right, bottom, left, bottom]]


def runs(box: Sequence[int]) -> dict[str, Any]:
    """A rectangle as uncompressed RLE, as CVAT writes masks."""
    left, top, right, bottom = box
    mask = np.zeros(SIZE_HW, np.uint8)
    mask[top:bottom, left:right] = 1
    flat = mask.ravel(order="F")
    first = [0] if flat[0] else []
    return {
        "size": list(SIZE_HW),
        "counts": [*first, *np.diff([0, *np.flatnonzero(np.diff(flat)) + 1, flat.size]).tolist()],
    }


def annotation(
    key: object, category: object, segmentation: object, image: object = 1, **more: object
) -> dict[str, Any]:
    """An entry of `annotations`."""
    return {"id": key, "image_id": image, "category_id": category, "segmentation": segmentation, **more}


def room(image: int = 1) -> list[dict[str, Any]]:
    """The annotations of one photo: wall, floor and a table, with the ids 11, 12 and 13."""
    boxes = enumerate((WALL, FLOOR, TABLE), 1)
    return [annotation(10 * image + category, category, polygon(box), image) for category, box in boxes]


def coco_content(
    annotations: Iterable[Mapping[str, Any]], names: Sequence[str] = NAMES, files: Sequence[str] = ("room1.jpg",)
) -> dict[str, Any]:
    """The content of a COCO file; categories and images have the ids 1, 2, …"""
    height, width = SIZE_HW
    return {
        "images": [{"id": i, "file_name": f, "height": height, "width": width} for i, f in enumerate(files, 1)],
        "annotations": list(annotations),
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
    }


def write_coco_file(path: Path, content: object, encoding: str = "utf-8") -> Path:
    """A COCO file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding=encoding)
    return path


def write_room(
    folder: Path, annotations: Iterable[Mapping[str, Any]] | None = None, names: Sequence[str] = NAMES
) -> Path:
    """A folder with `annotations.json` and the photo room1.jpg."""
    write_photo(folder / "room1.jpg")
    write_coco_file(folder / "annotations.json", coco_content(room() if annotations is None else annotations, names))
    return folder
