"""Reports of an error analysis: a table, JSON, and a page with the worst photos and their error maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from distill.evaluation.error_analysis import UNCATEGORIZED, Contributions, ErrorAnalysis, PhotoCategories
from distill.evaluation.page import IMAGES
from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER, OTHER_TABLE
from surfaces.cli.progress import track
from surfaces.datasets import Labels, Sample
from surfaces.datasets.sample import read_sample
from surfaces.detections import Detection, Image
from surfaces.drawing.contact_sheet import SheetLayout, contact_sheet
from surfaces.drawing.labels import draw_labels, fitting_size
from surfaces.drawing.overlay import draw_overlay
from surfaces.drawing.web_page import PAGE_NAME, render_page
from surfaces.images.encode import write_picture
from surfaces.io.atomic_files import replace_file

MISSED, FALSE, CONFUSED = 1, 2, 3
LEGEND = {"missed": (214, 40, 40), "false": (245, 200, 40), "one class for another": (120, 50, 170)}
"""The colours of MISSED, FALSE and CONFUSED pixels in an error map."""

_DIGITS = 5
_UNLABELLED_GREY = 60
_TINT = 0.75
_PALE = 0.55  # how far the photo below is moved towards white
_TILE_WIDTH, _TILE_HEIGHT = 366, 420


def error_kinds(detections: Sequence[Detection], labels: Labels) -> npt.NDArray[np.uint8]:
    """The error of each pixel, uint8 HxW: 0 none, MISSED, FALSE or CONFUSED; unlabelled classes have none."""
    predicted = np.full(labels.size_hw, OTHER, np.uint8)
    measured = {surface.coco_id for surface in CLASSES} - labels.scope.unlabelled
    for detection in detections:
        if detection.surface.coco_id in measured:
            predicted[detection.mask] = detection.surface.coco_id
    true = labels.semantic
    is_class = np.isin(true, list(measured))
    differs = (true != predicted) & (true != IGNORE)
    tolerated = (true == OTHER_TABLE) & np.isin(predicted, [OTHER, DINING_TABLE.coco_id])
    kinds = np.zeros(true.shape, np.uint8)
    kinds[is_class & differs & (predicted == OTHER)] = MISSED
    kinds[~is_class & differs & ~tolerated] = FALSE
    kinds[is_class & differs & (predicted != OTHER)] = CONFUSED
    return kinds


def error_map(image: Image, detections: Sequence[Detection], labels: Labels) -> Image:
    """Draws errors over a pale grey copy of a photo, in the colours of `LEGEND`; unlabelled pixels are dark."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    scene = np.repeat((grey * (1 - _PALE) + 255 * _PALE)[..., None], 3, axis=2)
    scene[labels.semantic == IGNORE] = _UNLABELLED_GREY
    kinds = error_kinds(detections, labels)
    for kind, colour in enumerate(LEGEND.values(), MISSED):
        wrong = kinds == kind
        scene[wrong] = (1 - _TINT) * scene[wrong] + _TINT * np.array(colour, np.float32)
    return scene.astype(np.uint8)


def draw_panels(title: str, image: Image, detections: Sequence[Detection], labels: Labels) -> Image:
    """Photo, labels, prediction and error map in a row, each above its caption; uint8 HxWx3 RGB."""
    size = fitting_size(image.shape, _TILE_WIDTH - 6, _TILE_HEIGHT)
    panels = {
        title: image,
        "label": draw_labels(image, labels),
        "prediction": draw_overlay(image, detections),
        "errors: red missed, yellow false, violet confused": error_map(image, detections, labels),
    }
    tiles = [
        (text, np.asarray(cv2.resize(panel, size, interpolation=cv2.INTER_AREA), np.uint8))
        for text, panel in panels.items()
    ]
    return contact_sheet(tiles, SheetLayout(len(panels), _TILE_WIDTH, size[1] + 4))


def to_json(analysis: ErrorAnalysis) -> dict[str, Any]:
    """The analysis as JSON; `lost_iou` is of the whole dataset's IoU."""
    return {
        "lost_iou": _lost_json(analysis.lost.sum(axis=0)),
        "lost_iou_of_worst": _lost_json(analysis.lost[analysis.worst].sum(axis=0)),
        "causes": [
            {"cause": one.category, "photos": one.photos, "main": one.main, "lost_iou": _lost_json(one.lost)}
            for one in analysis.by_category
        ],
        "worst": [_photo_json(analysis, index) for index in analysis.worst],
        "photos": {
            photo.name: {surface.name: photo.lost(surface) for surface in photo.present()} for photo in analysis.photos
        },
    }


def category_table(analysis: ErrorAnalysis) -> str:
    """The contributions by category as lines for a terminal."""
    of_worst = analysis.lost[analysis.worst].sum(axis=0)
    heads = "".join(f"{surface.name:>14}" for surface in CLASSES)
    lines = [f"{'cause':<18}{'photos':>8}{'main':>6}{heads}{'mean':>8}{'share':>8}"]
    lines += [
        f"{one.category:<18}{one.photos:>8}{one.main:>6}{_columns(one.lost)}"
        f"{one.lost.mean() / max(of_worst.mean(), 1e-12):>8.0%}"
        for one in analysis.by_category
    ]
    lines.append(f"{f'these {len(analysis.worst)} photos':<32}{_columns(of_worst)}")
    lines.append(f"{f'all {len(analysis.photos)} photos':<32}{_columns(analysis.lost.sum(axis=0))}")
    return "\n".join(lines)


def write_error_page(
    folder: Path,
    title: str,
    analysis: ErrorAnalysis,
    samples: Sequence[Sample],
    predict: Callable[[Image], list[Detection]],
    sheet: Path | None = None,
) -> Path:
    """Writes a page of the worst photos, which are read again, with its pictures beside it; returns its path.

    Args:
        folder: created where absent.
        title: of the page.
        analysis: of these samples.
        samples: the dataset.
        predict: the model.
        sheet: file for all pictures as one, `.jpg` or `.png`.

    Raises:
        OutputError: it cannot be written.
    """
    figures, rows = [], []
    for rank, index in enumerate(track(analysis.worst), 1):
        image, labels = read_sample(samples[index])
        row = draw_panels(f"{rank}. {samples[index].name}", image, predict(image), labels)
        picture = f"{IMAGES}/{rank:02d}.jpg"
        write_picture(folder / picture, row)
        figures.append((picture, _caption(analysis, index, rank)))
        if sheet:
            rows.append(row)
    if sheet and rows:
        write_picture(sheet, np.concatenate(rows))
    page = render_page("distill/errors.html", title, table=category_table(analysis), key=LEGEND, figures=figures)
    replace_file(folder / PAGE_NAME, page.encode())
    return folder / PAGE_NAME


def _photo_json(analysis: ErrorAnalysis, index: int) -> dict[str, Any]:
    photo = analysis.photos[index]
    assigned = analysis.categories.get(photo.name, PhotoCategories())
    return {
        "name": photo.name,
        "pixels": photo.pixels,
        "iou": {surface.name: round(photo.iou(surface), _DIGITS) for surface in photo.present()},
        "lost_iou": _lost_json(analysis.lost[index]),
        "missed": {surface.name: photo.missed(surface) for surface in photo.present()},
        "false": {surface.name: photo.false(surface) for surface in photo.present()},
        "causes": dict(assigned.by_class),
        "note": assigned.note,
    }


def _caption(analysis: ErrorAnalysis, index: int, rank: int) -> str:
    photo = analysis.photos[index]
    assigned = analysis.categories.get(photo.name, PhotoCategories())
    parts = [f"{rank}. {photo.name}: takes {analysis.lost[index].mean():.4f} from the mean IoU"]
    parts += [
        f"{surface.name} IoU {photo.iou(surface):.2f}, missed {_shares(photo.missed(surface), photo.pixels)}, "
        f"false {_shares(photo.false(surface), photo.pixels)} ({assigned.by_class.get(surface.name, UNCATEGORIZED)})"
        for surface in photo.present()
    ]
    return " · ".join([*parts, assigned.note] if assigned.note else parts)


def _shares(pixels: Mapping[str, int], of: int) -> str:
    """Shares of the photo, such as `12.1% (other 11.0%, floor 1.1%)`."""
    parts = ", ".join(f"{name} {count / of:.1%}" for name, count in sorted(pixels.items(), key=lambda pair: -pair[1]))
    return f"{sum(pixels.values()) / of:.1%} ({parts})" if parts else "0%"


def _columns(lost: Contributions) -> str:
    return "".join(f"{amount:>14.4f}" for amount in lost) + f"{lost.mean():>8.4f}"


def _lost_json(lost: Contributions) -> dict[str, float]:
    by_class = {surface.name: float(amount) for surface, amount in zip(CLASSES, lost, strict=True)}
    return {name: round(amount, _DIGITS) for name, amount in (by_class | {"mean": float(lost.mean())}).items()}
