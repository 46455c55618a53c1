"""Labels as COCO JSON, of the project's own form (`surfaces.datasets.coco`) with scores and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from autolabel.export.selection import IMAGES, WHOLE, Add, Part, in_folders, provenance
from surfaces.classes import CLASSES
from surfaces.datasets.coco_writer import new_coco
from surfaces.store.label_store import StoredPhoto
from surfaces.store.records import ScoredLabels


@contextmanager
def coco_export(
    folder: Path, parts: Sequence[str] = WHOLE, with_ignored: bool = True, info: Mapping[str, object] | None = None
) -> Iterator[Mapping[str, Part]]:
    """`annotations.json`: each segment an annotation with `score` and `qualities`, each image with its provenance.

    Args:
        folder: an existing folder.
        parts: see `in_folders`.
        with_unsure: whether unsure pixels are written, as one `iscrowd` region for each class they could be.
        info: what COCO's `info` shall say.
    """
    with in_folders(folder, parts, partial(_coco_part, with_ignored=with_ignored, info=info)) as made:
        yield made


@contextmanager
def _coco_part(folder: Path, with_ignored: bool, info: Mapping[str, object] | None) -> Iterator[Add]:
    with new_coco(folder, info) as coco:

        def add(photo: StoredPhoto, file_name: str, labels: ScoredLabels) -> None:
            image_id = coco.add_image(f"{IMAGES}/{file_name}", (photo.height, photo.width), **provenance(photo))
            for segment in labels.segments:
                found = segment.detection
                more = {"score": found.score, "qualities": dict(segment.quality_scores)}
                coco.add_region(image_id, found.surface, found.mask, crowd=False, **more)
            if with_ignored and labels.ignore_mask.any():
                for surface in CLASSES:
                    coco.add_region(image_id, surface, labels.ignore_mask, crowd=True)

        yield add
