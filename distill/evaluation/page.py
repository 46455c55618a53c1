"""A page of the photos on which a model is most wrong: photo, truth and prediction beside each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from distill.datasets import read_sample
from distill.evaluation.report import PhotoScore, Report
from surfaces.classes import CLASSES
from surfaces.datasets import Sample
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
    """Writes a page that needs nothing but its folder. The worst photos are read again, one at a time.

    Args:
        folder: where to; created where absent.
        title: of the page.
        report: the scores; photos are ranked by their share of wrong pixels, for each class.
        samples: the dataset that was scored.
        predict: the model that was scored.
        cases: photos a class at the most.

    Returns:
        The page's path.

    Raises:
        OutputError: it cannot be written.
    """
    by_name = {sample.name: sample for sample in samples}
    sections = {
        surface.name: _figures(
            folder, index, worst_photos(report.photos, index, cases), by_name, predict, report.min_score
        )
        for index, surface in enumerate(CLASSES)
    }
    path = folder / PAGE_NAME
    page = render_page("distill/evaluation.html", title, table=report.table(), sections=sections)
    replace_file(path, page.encode("utf-8"))
    return path


def worst_photos(photos: Sequence[PhotoScore], class_index: int, count: int) -> list[PhotoScore]:
    """The photos with the largest share of wrong pixels for a class, those without any left out."""
    wrong = [photo for photo in photos if photo.wrong_share(class_index) > 0]
    return sorted(wrong, key=lambda photo: -photo.wrong_share(class_index))[:count]


def _figures(
    folder: Path,
    class_index: int,
    photos: Sequence[PhotoScore],
    samples: Mapping[str, Sample],
    predict: Callable[[Image], list[Detection]],
    min_score: float,
) -> list[tuple[str, str]]:
    """Draws photos; their pictures' paths beside the page, and captions."""
    figures = []
    for rank, photo in enumerate(photos, 1):
        name = f"{IMAGES}/{CLASSES[class_index].name.replace(' ', '_')}_{rank:02d}.jpg"
        write_picture(folder / name, _panels(samples[photo.name], predict, min_score))
        figures.append((name, _caption(photo, class_index)))
    return figures


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


def _panels(sample: Sample, predict: Callable[[Image], list[Detection]], min_score: float) -> Image:
    image, labels = read_sample(sample)
    found = [detection for detection in predict(image) if detection.score >= min_score]
    size = fitting_size(image.shape, _PANEL, _PANEL)
    return np.concatenate(list(_spaced(size, image, draw_labels(image, labels), draw_overlay(image, found))), axis=1)


def _spaced(size_wh: tuple[int, int], *pictures: Image) -> Iterator[Image]:
    for number, picture in enumerate(pictures):
        if number:
            yield np.full((size_wh[1], _GAP, 3), 255, np.uint8)
        yield np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
