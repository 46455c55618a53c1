"""What `python -m distill evaluate --out` wrote, as the tables and figures need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from docs.made.formats import read_result, share
from surfaces.classes import CLASSES


@dataclass(frozen=True)
class Evaluation:
    """A network's scores on a set of photos; those by class in the order of `surfaces.classes.CLASSES`.

    Attributes:
        photos: how many.
        iou: by class, 0 to 1.
        iou_intervals: 95 % bootstrap intervals over photos, low and high, by class.
        boundary_iou: by class, 2 % of the diagonal.
        tables: of tables as objects: `ap`, `ap50`, `precision`, `recall`.
        calibration_error: expected calibration error of the scores, 0 to 1.
    """

    photos: int
    iou: tuple[float, ...]
    iou_intervals: tuple[tuple[float, float], ...]
    boundary_iou: tuple[float, ...]
    tables: Mapping[str, float]
    calibration_error: float

    @property
    def mean_iou(self) -> float:
        """The mean over the classes."""
        return float(np.mean(self.iou))

    @property
    def mean_boundary_iou(self) -> float:
        """The mean over the classes."""
        return float(np.mean(self.boundary_iou))

    @property
    def precision_and_recall(self) -> str:
        """Of tables, as the documents write them."""
        return f"{share(self.tables['precision'], 2)} / {share(self.tables['recall'], 2)}"


def read_evaluation(results: Path, name: str) -> Evaluation:
    """Reads a report.

    Args:
        results: the folder of the result files.
        name: of the file.

    Raises:
        MadeError: it is missing or not JSON.
    """
    report = read_result(results, name)
    scores: list[Mapping[str, Any]] = [report["classes"][surface.name] for surface in CLASSES]
    return Evaluation(
        photos=report["data"]["photos"],
        iou=tuple(score["iou"] for score in scores),
        iou_intervals=tuple((score["iou_interval"][0], score["iou_interval"][1]) for score in scores),
        boundary_iou=tuple(score["boundary_iou"] for score in scores),
        tables=report["tables"],
        calibration_error=report["calibration_error"],
    )
