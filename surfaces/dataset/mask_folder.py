"""Reader for a folder of photos with one label map each: `images/*.jpg` and `masks/*.png` of the same names.

A map has one byte a pixel: 0 other, 1 wall, 2 floor, 3 dining table, 4 another kind of table, 5 rug (which is other),
10, 11, … one dining table each, 255 nobody said. Value 3 says which pixels are dining table but not which table:
its regions are grouped by closeness, since a chair in front of a table cuts its region in parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.classes import DINING_TABLE, IGNORE, OTHER
from surfaces.dataset.codec import decode_image, decode_map, read_bytes
from surfaces.dataset.sample import Labels, Sample
from surfaces.detections import Image
from surfaces.errors import DatasetError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")

_RUG = 5
_FIRST_TABLE = 10
_LARGEST_GAP = 0.1  # of the diagonal: a chair's width; parts that are nearer belong to one table
_SMALLEST_TABLE_SHARE = 0.15  # of the photo's largest table: smaller parts are a leg or a corner of the nearest table
_SPECK_SHARE = 0.0005  # of the photo: nobody could say what it is


@dataclass(frozen=True)
class MaskFolderSample:
    """A photo and its label map, two files."""

    name: str
    image_path: Path
    mask_path: Path

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        return decode_image(self.encoded_image(), str(self.image_path))

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""
        return read_bytes(self.image_path)

    def labels(self) -> Labels:
        """Its labels, of the photo's own size."""
        values = decode_map(read_bytes(self.mask_path), str(self.mask_path))
        return labels_of_values(values, str(self.mask_path))


def open_mask_folder(folder: Path) -> list[Sample]:
    """The samples of a folder that holds `images` and `masks`, sorted by name.

    Raises:
        DatasetError: a photo has no mask, two photos share a name, or there is no photo.
    """
    images = sorted(p for p in (folder / "images").iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise DatasetError(f"expected photos ({', '.join(IMAGE_SUFFIXES)}) in {folder / 'images'}, got none")
    names = [p.stem for p in images]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"expected one photo a name in {folder / 'images'}, got several called {twice}")
    samples: list[Sample] = []
    for path in images:
        mask = folder / "masks" / f"{path.stem}.png"
        if not mask.is_file():
            raise DatasetError(f"expected a label map for {path.name} at {mask}, got none")
        samples.append(MaskFolderSample(path.stem, path, mask))
    return samples


def labels_of_values(values: npt.NDArray[np.uint8], source: str) -> Labels:
    """Labels from a map of the values that this module's first lines list.

    Args:
        values: uint8 HxW.
        source: what the map is called in error messages.

    Raises:
        DatasetError: the map has a value of no meaning.
    """
    unknown = np.setdiff1d(values, [*range(_RUG + 1), *range(_FIRST_TABLE, IGNORE + 1)])
    if unknown.size:
        raise DatasetError(f"expected values 0 to {_RUG} or from {_FIRST_TABLE} in {source}, got {unknown[0]}")
    told_apart = (values >= _FIRST_TABLE) & (values != IGNORE)
    tables = np.where(told_apart, values - (_FIRST_TABLE - 1), 0).astype(np.uint8)
    grouped = group_table_parts(values == DINING_TABLE.coco_id)
    tables[grouped > 0] = grouped[grouped > 0] + tables.max()
    semantic = values.copy()
    semantic[values == _RUG] = OTHER
    semantic[values == DINING_TABLE.coco_id] = IGNORE  # specks stay so
    semantic[tables > 0] = DINING_TABLE.coco_id
    return Labels(semantic, _numbered_without_gaps(tables))


def group_table_parts(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Tells tables apart in a semantic mask: regions near each other are one table.

    Parts join where the gap between them is at most a tenth of the photo's diagonal; then what is far smaller than the
    largest table joins the table nearest to it. Tables of less than 0.05 % of the photo are dropped.

    Args:
        mask: bool HxW, True on dining tables.

    Returns:
        uint8 HxW: 0 outside tables and on dropped specks, k in the k-th table.
    """
    if not mask.any():
        return np.zeros(mask.shape, np.uint8)
    reach = _LARGEST_GAP * math.hypot(*mask.shape) / 2
    _, near = cv2.connectedComponents((_distance_to(mask) <= reach).astype(np.uint8))
    groups = np.where(mask, near, 0)
    areas = np.bincount(groups.ravel())[1:]
    main = np.flatnonzero(areas >= max(_SMALLEST_TABLE_SHARE * areas.max(), _SPECK_SHARE * mask.size)) + 1
    if main.size == 0:
        return np.zeros(mask.shape, np.uint8)
    tables = np.zeros(mask.shape, np.uint8)
    tables[mask] = np.argmin(np.stack([_distance_to(groups == k)[mask] for k in main]), axis=0) + 1
    return tables


def _distance_to(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)  # type: ignore[return-value]


def _numbered_without_gaps(tables: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    present = np.unique(tables)
    numbers = np.zeros(256, np.uint8)
    numbers[present[present > 0]] = np.arange(1, np.count_nonzero(present) + 1)
    return numbers[tables]
