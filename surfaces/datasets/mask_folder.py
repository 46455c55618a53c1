"""Reads folders of photos with one label map each: `images/*.jpg` and `masks/*.png` of the same names.

A map has one number per pixel, grey or the index of a palette: 0 other, 1 wall, 2 floor, 3 dining table, 4 another kind
of table, 5 rug (which is other), 6 to 9 further classes in the order of `surfaces.classes`, 10, 11, … one dining table
each, 255 unlabelled. Value 3 does not distinguish tables: its regions are grouped by distance, since a chair in front
of a table splits its region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER, OTHER_TABLE
from surfaces.datasets.codec import decode_image, decode_map, read_bytes, read_photo
from surfaces.datasets.reading import FOLLOW_LINKS, note, refuse_faults
from surfaces.datasets.sample import Labels, Sample, require_unique
from surfaces.detections import Image
from surfaces.errors import DatasetError
from surfaces.io.local_files import is_inside, require_inside
from surfaces.io.photo_lists import is_photo_file
from surfaces.masks.table_parts import group_table_parts, numbered_without_gaps
from surfaces.messages import counted, listed

_CLASS_VALUES = (1, 2, 3, 6, 7, 8, 9)
_OTHER_TABLE, _RUG, _FIRST_TABLE = 4, 5, 10
# From the values of a map, except those of single tables, to those of `Labels.semantic`.
_MEANINGS = {
    OTHER: OTHER,
    **{value: surface.coco_id for value, surface in zip(_CLASS_VALUES, CLASSES, strict=False)},
    _OTHER_TABLE: OTHER_TABLE,
    _RUG: OTHER,
    IGNORE: IGNORE,
}


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
        return read_photo(self.image_path)

    def labels(self) -> Labels:
        """Its labels, of the photo's size."""
        values = decode_map(read_bytes(self.mask_path), str(self.mask_path))
        return labels_of_values(values, str(self.mask_path))


def open_mask_folder(folder: Path, follow_links: bool = False) -> list[Sample]:
    """The samples of a folder with `images` and `masks`, sorted by name; skipped files are reported on stderr.

    Args:
        folder: of the dataset.
        follow_links: whether `images`, `masks` and their files may be links that leave the folder.

    Raises:
        DatasetError: photos have no mask, two photos share a name, there is no photo, or a link leaves the folder.
    """
    if not follow_links:
        for name in ("images", "masks"):
            require_inside(folder, folder / name, FOLLOW_LINKS)
    entries = sorted((folder / "images").iterdir())
    images = [path for path in entries if is_photo_file(path) and path.is_file()]
    if not images:
        raise DatasetError(f"expected photos in {folder / 'images'}, got none")
    require_unique(path.stem for path in images)
    samples = [MaskFolderSample(path.stem, path, folder / "masks" / f"{path.stem}.png") for path in images]
    refuse_faults(
        [
            f"{sample.image_path.name}: expected a label map at {sample.mask_path}, got none"
            for sample in samples
            if not sample.mask_path.is_file()
        ],
        str(folder),
    )
    files = [path for sample in samples for path in (sample.image_path, sample.mask_path)]
    leaving = [] if follow_links else [path for path in files if not is_inside(folder, path)]
    refuse_faults(
        [f"{path}: expected a file of the dataset, got a link" for path in leaving], str(folder), FOLLOW_LINKS
    )
    masks = {sample.mask_path for sample in samples}
    unused = sorted({*entries} - {*images}) + sorted({*(folder / "masks").iterdir()} - masks)
    if unused:
        names = listed([path.relative_to(folder) for path in unused])
        note(f"{folder}: passed over {counted(len(unused), 'file')} (no photo, or a label map without one): {names}")
    return list(samples)


def labels_of_values(values: npt.NDArray[np.uint8], source: str) -> Labels:
    """Converts a label map to labels.

    Args:
        values: uint8 HxW.
        source: its name in error messages.

    Raises:
        DatasetError: the map has an undefined value.
    """
    unknown = np.setdiff1d(values, [*_MEANINGS, *range(_FIRST_TABLE, IGNORE)])
    if unknown.size:
        most = max(value for value in _MEANINGS if value < _FIRST_TABLE)
        raise DatasetError(f"expected values 0 to {most} or from {_FIRST_TABLE} in {source}, got {unknown[0]}")
    is_numbered = (values >= _FIRST_TABLE) & (values != IGNORE)
    tables = np.where(is_numbered, values - (_FIRST_TABLE - 1), 0).astype(np.uint8)
    grouped = group_table_parts(values == DINING_TABLE.coco_id)
    tables[grouped > 0] = grouped[grouped > 0] + tables.max()
    semantic = _look_up(values, _MEANINGS)
    semantic[values == DINING_TABLE.coco_id] = IGNORE  # specks remain
    semantic[tables > 0] = DINING_TABLE.coco_id
    return Labels(semantic, numbered_without_gaps(tables))


def values_of_labels(labels: Labels) -> npt.NDArray[np.uint8]:
    """The inverse of `labels_of_values`: a map (uint8 HxW) with a value for each dining table.

    Raises:
        DatasetError: there are more tables than values.
    """
    most = IGNORE - _FIRST_TABLE
    if labels.tables.max(initial=0) > most:
        raise DatasetError(f"expected at most {most} dining tables in a photo, got {labels.tables.max()}")
    values = _look_up(labels.semantic, {meaning: value for value, meaning in _MEANINGS.items() if value != _RUG})
    return np.where(labels.tables > 0, labels.tables + (_FIRST_TABLE - 1), values).astype(np.uint8)


def _look_up(values: npt.NDArray[np.uint8], by: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    table = np.arange(IGNORE + 1, dtype=np.uint8)
    table[list(by)] = list(by.values())
    return np.asarray(table[values], np.uint8)
