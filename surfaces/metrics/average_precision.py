"""COCO's mask AP of dining tables, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surfaces.classes import DINING_TABLE
from surfaces.datasets.coco_writer import coco_annotation, coco_categories, coco_regions
from surfaces.datasets.sample import Labels
from surfaces.detections import Detection
from surfaces.errors import MissingExtraError
from surfaces.metrics.confusion import counted_pixels


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's average precision (mean over IoU .50, .55, … .95) and that at IoU .50; NaN without a dining table."""

    ap: float
    ap50: float


class TableAp:
    """Accumulates photos; keeps their regions as packed RLE, a few kilobytes per photo.

    Unlabelled pixels and tables of another kind are void, as in `match_segments`: predictions are cut to the other
    pixels, and those that mostly lie on void do not count. Crowds are COCO's `iscrowd`.
    """

    def __init__(self) -> None:
        self._photos: list[dict[str, Any]] = []
        self._truth: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def add(self, detections: Sequence[Detection], labels: Labels) -> None:
        """Adds a photo: its predictions, with those of low scores, and its true labels."""
        height, width = labels.size_hw
        counted = counted_pixels(labels, DINING_TABLE)
        photo = len(self._photos) + 1
        self._photos.append({"id": photo, "height": height, "width": width})
        for truth in coco_regions(labels):
            if truth.surface is DINING_TABLE:
                region = coco_annotation(truth.surface, truth.mask, truth.crowd)
                self._truth.append({"id": len(self._truth) + 1, "image_id": photo, **region})
        for detection in detections:
            if detection.surface is DINING_TABLE and detection.mask.any():
                mask = detection.mask & counted
                mostly_void = 2 * np.count_nonzero(mask) < np.count_nonzero(detection.mask)
                region = coco_annotation(DINING_TABLE, detection.mask if mostly_void else mask, crowd=False)
                self._found.append({"image_id": photo, "score": detection.score, **region})

    def result(self) -> AveragePrecision:
        """AP over the added photos; raises MissingExtraError where faster-coco-eval is not installed."""
        try:
            from faster_coco_eval import COCO, COCOeval_faster
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"mask AP needs {error.name}, which is not installed; pip install 'interior-surfaces[train]'"
            ) from error
        if all(region["iscrowd"] for region in self._truth):
            return AveragePrecision(float("nan"), float("nan"))
        truth = COCO(
            {"images": self._photos, "annotations": self._truth, "categories": coco_categories()}, use_deepcopy=True
        )
        evaluation = COCOeval_faster(truth, truth.loadRes([dict(region) for region in self._found]), "segm")
        evaluation.params.catIds = [DINING_TABLE.coco_id]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return AveragePrecision(float(evaluation.stats[0]), float(evaluation.stats[1]))
