"""Photos worth looking at, drawn small with their labels."""

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
from surfaces.detections import Image
from surfaces.drawing.labels import draw_labels, fitting_size, shrink_labels
from surfaces.errors import DatasetError, DecodeError
from surfaces.images.encode import write_picture
from surfaces.images.load import decode_image
from surfaces.store.label_store import LabelStore, StoredPhoto

IMAGES = "images"

_THUMBNAIL = 480  # pixels, the longer side
_AGREEMENTS = ("flips", "backends")


@dataclass(frozen=True)
class Gallery:
    """A row of photos.

    Attributes:
        title: plain text.
        note: what brought them there, plain text.
        photos: in order.
    """

    title: str
    note: str
    photos: Sequence[StoredPhoto]


def choose_galleries(store: LabelStore, count: int) -> list[Gallery]:
    """What to look at first; a store of any size is read with no more than `count` photos a gallery in memory."""
    return [
        Gallery(
            "Least trusted",
            "The lowest photo scores: what the review queue begins with.",
            heapq.nsmallest(count, _with(store, "score"), key=_score),
        ),
        Gallery(
            "Most disputed",
            "Where the mirrored photo, or several teachers, agree least with each other.",
            heapq.nsmallest(count, _disputed(store), key=_agreement),
        ),
        Gallery(
            "Dining tables, least sure",
            "Photos by their least sure dining table.",
            [photo for _, _, photo in heapq.nsmallest(count, _with_tables(store), key=lambda entry: entry[:2])],
        ),
        Gallery(
            "A random sample",
            "The first photos by sha256, which says nothing of what they show.",
            list(islice(store.photos(), count)),
        ),
        Gallery(
            "Most trusted",
            "The highest photo scores.",
            heapq.nlargest(count, _with(store, "score"), key=_score),
        ),
    ]


@dataclass(frozen=True)
class Figure:
    """A photo and its labels as a page shows them; all is plain text.

    Attributes:
        score: of the photo.
        name: of the photo.
        lines: what else is known of it.
        photo: path of its picture, beside the page; empty where there is none.
        labels: path of the same picture with the labels.
        problem: why there is no picture; empty where there is one.
    """

    score: str
    name: str
    lines: Sequence[str]
    photo: str = ""
    labels: str = ""
    problem: str = ""


class Thumbnails:
    """Draws each photo once, however many galleries show it."""

    def __init__(self, store: LabelStore, folder: Path) -> None:
        """Pictures go to `folder`, an existing one, below `images`."""
        self._store = store
        self._folder = folder
        self._drawn: dict[str, Figure] = {}

    def figure(self, photo: StoredPhoto) -> Figure:
        """A photo and its labels, one over the other, and what is known of them."""
        if photo.sha256 not in self._drawn:
            self._drawn[photo.sha256] = self._draw(photo)
        return self._drawn[photo.sha256]

    def _draw(self, photo: StoredPhoto) -> Figure:
        score = f"{photo.quality_scores['score']:.2f}" if "score" in photo.quality_scores else "?"
        described = Figure(score, photo.name, _lines(self._store, photo))
        stem = f"{IMAGES}/{photo.sha256[:16]}"
        try:
            # Only a photo that has this sha256 is read, so that no other name gets to the disk.
            image = decode_image(io.BytesIO(self._store.read_photo(photo)))
            self._write(photo, image, stem)
        except (DatasetError, DecodeError) as error:
            return replace(described, problem=str(error))
        return replace(described, photo=f"{stem}.jpg", labels=f"{stem}_labels.jpg")

    def _write(self, photo: StoredPhoto, image: Image, stem: str) -> None:
        size = fitting_size(image.shape, _THUMBNAIL, _THUMBNAIL)
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        labels = shrink_labels(self._store.labels(photo.sha256).labels(), size)
        write_picture(self._folder / f"{stem}.jpg", small)
        write_picture(self._folder / f"{stem}_labels.jpg", draw_labels(small, labels))


def _lines(store: LabelStore, photo: StoredPhoto) -> list[str]:
    found = [f"{segment.surface.name} {segment.score:.2f}" for segment in store.segments(photo.sha256)]
    known = [f"{name.replace('_', ' ')} {value:.2f}" for name, value in photo.quality_scores.items() if name != "score"]
    reviewed = f"reviewed by {photo.reviewer}" if photo.origin == "reviewed" else ""
    return [line for line in (" · ".join(found) or "nothing found", " · ".join(known), reviewed) if line]


def _with(store: LabelStore, quality: str) -> Iterator[StoredPhoto]:
    return (photo for photo in store.photos() if quality in photo.quality_scores)


def _disputed(store: LabelStore) -> Iterator[StoredPhoto]:
    return (photo for photo in store.photos() if any(name in photo.quality_scores for name in _AGREEMENTS))


def _with_tables(store: LabelStore) -> Iterator[tuple[float, str, StoredPhoto]]:
    for photo in store.photos():
        scores = [segment.score for segment in store.segments(photo.sha256) if segment.surface is DINING_TABLE]
        if scores:
            yield min(scores), photo.sha256, photo


def _score(photo: StoredPhoto) -> tuple[float, str]:
    return photo.quality_scores["score"], photo.sha256


def _agreement(photo: StoredPhoto) -> tuple[float, str]:
    return min(photo.quality_scores[name] for name in _AGREEMENTS if name in photo.quality_scores), photo.sha256
