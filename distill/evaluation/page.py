"""A page of the photos on which a model is most wrong: photo, truth and prediction beside each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from distill.evaluation.report import PhotoScore, Report
from surfaces.classes import CLASSES
from surfaces.datasets import Sample
from surfaces.datasets.sample import read_sample
from surfaces.detections import Detection, Image
from surfaces.drawing.labels import draw_labels, fitting_size
from surfaces.drawing.overlay import draw_overlay
from surfaces.drawing.web_page import PAGE_NAME, render_page
from surfaces.images.encode import write_picture
from surfaces.io.atomic_files import replace_file

IMAGES = "images"
"""The folder of pictures beside the page."""

_PANEL = 480  # pixels, the longer side
_GAP = 6  # pixels


def write_page(
    folder: Path,
    title: str,
    report: Report,
    samples: Sequence[Sample],
    predict: Callable[[Image], list[Detection]],
    cases: int = 12,
) -> Path:
    """Writes a page of the worst photos, which are read again, with its pictures beside it; returns its path.

    Args:
        folder: created where absent.
        title: of the page.
        report: of these samples; photos are ranked by their share of wrong pixels, for each class.
        samples: the dataset.
        predict: the model.
        cases: photos a class at most.

    Raises:
        OutputError: it cannot be written.
    """
    by_name = {sample.name: sample for sample in samples}
    sections: dict[str, list[tuple[str, str]]] = {surface.name: [] for surface in CLASSES}
    for index, surface in enumerate(CLASSES):
        for rank, photo in enumerate(worst_photos(report.photos, index, cases), 1):
            picture = f"{IMAGES}/{surface.name.replace(' ', '_')}_{rank:02d}.jpg"
            write_picture(folder / picture, _draw_panels(by_name[photo.name], predict, report.min_score))
            sections[surface.name].append((picture, _caption(photo, index)))
    page = render_page(
        "distill/evaluation.html", title, table=report.table(), curve=report.tables.curve, sections=sections
    )
    replace_file(folder / PAGE_NAME, page.encode("utf-8"))
    return folder / PAGE_NAME


def worst_photos(photos: Sequence[PhotoScore], class_index: int, count: int) -> list[PhotoScore]:
    """The photos with the largest share of wrong pixels for a class, those without any left out."""
    wrong = [photo for photo in photos if photo.wrong_share(class_index) > 0]
    return sorted(wrong, key=lambda photo: -photo.wrong_share(class_index))[:count]


def _caption(photo: PhotoScore, class_index: int) -> str:
    iou = photo.iou(class_index)
    parts = [
        photo.name,
        f"IoU {iou:.2f}" if not math.isnan(iou) else "IoU undefined",
        f"{photo.wrong_share(class_index):.1%} of the pixels wrong",
    ]
    match = photo.matches[class_index]
    if CLASSES[class_index].is_thing:
        parts.append(
            f"{len(match.matched_ious)} found, {match.false_negatives} missed, {match.false_positives} not there"
        )
    return " · ".join(parts)


def _draw_panels(sample: Sample, predict: Callable[[Image], list[Detection]], min_score: float) -> Image:
    image, labels = read_sample(sample)
    found = [detection for detection in predict(image) if detection.score >= min_score]
    width, height = fitting_size(image.shape, _PANEL, _PANEL)
    row = [
        cv2.resize(panel, (width, height), interpolation=cv2.INTER_AREA)
        for panel in (image, draw_labels(image, labels), draw_overlay(image, found))
    ]
    gap = np.full((height, _GAP, 3), 255, np.uint8)
    return np.asarray(np.concatenate([row[0], gap, row[1], gap, row[2]], axis=1), np.uint8)
