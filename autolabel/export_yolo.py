"""Labels as YOLO's segmentation text: a line a segment, its class and a polygon in shares of the photo.

The format is that of Ultralytics (https://docs.ultralytics.com/datasets/segment/). It knows one polygon a segment, so
holes and separate parts hang on bridges (`surfaces.polygons`), and nothing that is left out: unsure pixels count as
background there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from autolabel.exported import Add, new_index
from surfaces.classes import CLASSES
from surfaces.dataset.graded import GradedLabels
from surfaces.dataset.store import StoredPhoto
from surfaces.detections import Detection
from surfaces.polygons import polygon_of_mask

_LABELS = "labels"
_DATA_NAME = "data.yaml"


@contextmanager
def yolo_export(folder: Path) -> Iterator[Add]:
    """`labels/NAME.txt` for each photo, `data.yaml`, and the provenance in `photos.jsonl`."""
    (folder / _LABELS).mkdir()
    (folder / _DATA_NAME).write_text(_data_yaml(), encoding="utf-8", newline="\n")
    with new_index(folder) as add_to_index:

        def add(photo: StoredPhoto, file_name: str, labels: GradedLabels) -> None:
            lines = [yolo_line(segment.detection) for segment in labels.segments]
            text = "".join(f"{line}\n" for line in lines)
            (folder / _LABELS / f"{Path(file_name).stem}.txt").write_text(text, encoding="ascii", newline="\n")
            add_to_index(photo, file_name, labels)

        yield add


def yolo_line(found: Detection) -> str:
    """One segment: its class, counted from 0, then x and y of each point, pixels' middles, as shares of the photo."""
    height, width = found.mask.shape
    shares = (polygon_of_mask(found.mask) + 0.5) / np.array([width, height])
    return f"{CLASSES.index(found.surface)} {' '.join(f'{share:.6f}' for share in shares.ravel())}"


def _data_yaml() -> str:
    return "\n".join(
        [
            "# Training and validation photos are the same until you divide them.",
            "train: images",
            "val: images",
            "names:",
            *(f"  {index}: {surface.name}" for index, surface in enumerate(CLASSES)),
            "",
        ]
    )
