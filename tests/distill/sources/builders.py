"""Small datasets in the exact layout of published ones, written as their authors write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Numbers = npt.NDArray[np.int64]

HEIGHT, WIDTH = 24, 32


def picture(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Noise; photos need no more here."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_photo(path: Path, pixels: npt.NDArray[np.uint8] | None = None, orientation: int = 1) -> None:
    """Writes a JPEG file; with an orientation, as a camera that was held so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(picture() if pixels is None else pixels)
    exif = image.getexif()
    if orientation != 1:
        exif[0x0112] = orientation
    image.save(path, exif=exif)


def write_png(path: Path, values: npt.NDArray[np.integer], mode: str | None = None) -> None:
    """Writes a PNG file of 8 bits, or of 16 for uint16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values, mode).save(path) if mode else Image.fromarray(values).save(path)


def write_json(path: Path, content: object) -> None:
    """Writes a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def areas(height: int = HEIGHT, width: int = WIDTH) -> Mapping[str, npt.NDArray[np.bool_]]:
    """A room: the wall above, the floor below, two tables on it, a chair before one, a strip that nobody labelled."""
    rows, columns = np.mgrid[:height, :width]
    table = (rows >= height * 0.5) & (rows < height * 0.75) & (columns >= 2) & (columns < width * 0.4)
    second = (rows >= height * 0.5) & (rows < height * 0.75) & (columns >= width * 0.6) & (columns < width - 4)
    chair = (rows >= height * 0.6) & (rows < height * 0.7) & (columns >= 4) & (columns < 8)
    strip = columns == width - 1
    things = table | second | chair | strip
    return {
        "wall": (rows < height * 0.4) & ~things,
        "floor": (rows >= height * 0.4) & ~things,
        "table": table & ~chair,
        "second": second,
        "chair": chair,
        "unlabelled": strip,
    }


def room_map(numbers: Mapping[str, int], height: int = HEIGHT, width: int = WIDTH) -> Numbers:
    """A map of `areas` with a number for each."""
    values = np.zeros((height, width), np.int64)
    for name, mask in areas(height, width).items():
        values[mask] = numbers[name]
    return values


def polygons_of(rows: slice, columns: slice) -> Sequence[Sequence[float]]:
    """A rectangle of whole pixels as COCO's polygon."""
    top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
    return [[left, top, right, top, right, bottom, left, bottom]]
