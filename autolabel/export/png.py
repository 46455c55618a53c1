"""Labels as PNG files: a label map a photo, as `surfaces.datasets.mask_folder` reads it, and a map of its segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from autolabel.export.selection import WHOLE, Add, Part, in_folders, new_index
from surfaces.datasets.codec import encode_map
from surfaces.datasets.mask_folder import values_of_labels
from surfaces.store.label_store import StoredPhoto
from surfaces.store.records import ScoredLabels

_MASKS = "masks"
_SEGMENTS = "segments"


@contextmanager
def png_export(folder: Path, parts: Sequence[str] = WHOLE) -> Iterator[Mapping[str, Part]]:
    """`masks/NAME.png` and `segments/NAME.png` for each photo, and the provenance in `photos.jsonl`.

    In `segments` a pixel is k in the k-th segment that `photos.jsonl` lists, counted from 1, and 0 outside of all.

    Args:
        folder: an existing folder.
        parts: see `in_folders`.
    """
    with in_folders(folder, parts, _png_part) as made:
        yield made


@contextmanager
def _png_part(folder: Path) -> Iterator[Add]:
    for name in (_MASKS, _SEGMENTS):
        (folder / name).mkdir()
    with new_index(folder) as add_to_index:

        def add(photo: StoredPhoto, file_name: str, labels: ScoredLabels) -> None:
            values = encode_map(values_of_labels(labels.labels()))  # raises where there are too many segments to number
            segments = np.zeros(labels.ignore_mask.shape, np.uint8)
            for number, segment in enumerate(labels.segments, 1):
                segments[segment.detection.mask] = number
            name = f"{Path(file_name).stem}.png"
            (folder / _MASKS / name).write_bytes(values)
            (folder / _SEGMENTS / name).write_bytes(encode_map(segments))
            add_to_index(photo, file_name, labels)

        yield add
