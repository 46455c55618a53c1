"""Galleries of photos to look at first, drawn small with their labels."""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from surfaces.classes import DINING_TABLE
from surfaces.datasets.sample import shrink_labels
from surfaces.drawing.labels import draw_labels, fitting_size
from surfaces.errors import DatasetError, DecodeError
from surfaces.images.encode import write_picture
from surfaces.images.load import decode_image
from surfaces.store.label_store import LabelStore, StoredPhoto

_IMAGES = "images"
_THUMBNAIL = 480  # pixels, the longer side
_NOTES = {
    "Lowest scores": "The lowest photo scores: the beginning of the review queue.",
    "Lowest agreement": "Where the mirrored photo, or several teachers, agree least with each other.",
    "Dining tables, lowest scores": "Photos by the lowest score of their dining tables.",
    "A random sample": "The first photos by sha256, which does not depend on their content.",
    "Highest scores": "The highest photo scores.",
}

Scored = Iterator[tuple[float, str, StoredPhoto]]
"""A score, the photo's sha256 to order equal ones by, and the photo."""


@dataclass(frozen=True)
class Gallery:
    """Photos in order, with a title and a note in plain text."""

    title: str
    note: str
    photos: Sequence[StoredPhoto]


def choose_galleries(store: LabelStore, count: int) -> list[Gallery]:
    """The galleries of a store of any size; no more than `count` photos of each are in memory."""

    def lowest(scored: Scored) -> list[StoredPhoto]:
        return [photo for *_, photo in heapq.nsmallest(count, scored)]

    chosen = {
        "Lowest scores": lowest(_scored(store, "score")),
        "Lowest agreement": lowest(_scored(store, "flips", "backends")),
        "Dining tables, lowest scores": lowest(_scored_by_tables(store)),
        "A random sample": list(islice(store.photos(), count)),
        "Highest scores": [photo for *_, photo in heapq.nlargest(count, _scored(store, "score"))],
    }
    return [Gallery(title, _NOTES[title], photos) for title, photos in chosen.items()]


def _scored(store: LabelStore, *names: str) -> Scored:
    """Photos with the lowest of some of their quality scores; those without any are left out."""
    for photo in store.photos():
        if known := [photo.quality_scores[name] for name in names if name in photo.quality_scores]:
            yield min(known), photo.sha256, photo


def _scored_by_tables(store: LabelStore) -> Scored:
    for photo in store.photos():
        segments = store.segments(photo.sha256)
        if scores := [segment.score for segment in segments if segment.surface is DINING_TABLE]:
            yield min(scores), photo.sha256, photo


@dataclass(frozen=True)
class Figure:
    """A photo on a page, in plain text: paths of its picture and of that with labels, or the problem with it."""

    score: str
    name: str
    lines: Sequence[str]
    photo: str = ""
    labels: str = ""
    problem: str = ""


class Thumbnails:
    """Draws each photo once, however many galleries show it, below `images` in an existing folder."""

    def __init__(self, store: LabelStore, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._drawn: dict[str, Figure] = {}

    def figure(self, photo: StoredPhoto) -> Figure:
        """The figure of a photo."""
        if photo.sha256 not in self._drawn:
            self._drawn[photo.sha256] = self._draw(photo)
        return self._drawn[photo.sha256]

    def _draw(self, photo: StoredPhoto) -> Figure:
        score = f"{photo.quality_scores['score']:.2f}" if "score" in photo.quality_scores else "?"
        figure = Figure(score, photo.name, _lines(self._store, photo))
        stem = f"{_IMAGES}/{photo.sha256[:16]}"
        plain, labelled = f"{stem}.jpg", f"{stem}_labels.jpg"
        try:
            # Only photos whose bytes have this sha256 are read, so the file name is hexadecimal.
            image = decode_image(io.BytesIO(self._store.read_photo(photo)))
            size = fitting_size(image.shape, _THUMBNAIL, _THUMBNAIL)
            small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            labels = shrink_labels(self._store.labels(photo.sha256).labels(), size)
            write_picture(self._folder / plain, small)
            write_picture(self._folder / labelled, draw_labels(small, labels))
        except (DatasetError, DecodeError) as error:
            return replace(figure, problem=str(error))
        return replace(figure, photo=plain, labels=labelled)


def _lines(store: LabelStore, photo: StoredPhoto) -> list[str]:
    found = [f"{segment.surface.name} {segment.score:.2f}" for segment in store.segments(photo.sha256)]
    known = [f"{name.replace('_', ' ')} {value:.2f}" for name, value in photo.quality_scores.items() if name != "score"]
    reviewed = f"reviewed by {photo.reviewer}" if photo.origin == "reviewed" else ""
    return [line for line in (" · ".join(found) or "nothing found", " · ".join(known), reviewed) if line]
