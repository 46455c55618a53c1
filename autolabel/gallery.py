"""Photos worth looking at, drawn small with their labels."""

from __future__ import annotations

import heapq
import html
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from surfaces.classes import DINING_TABLE
from surfaces.dataset.store import LabelStore, StoredPhoto
from surfaces.detections import Image
from surfaces.errors import DatasetError, DecodeError
from surfaces.images import decode_image
from surfaces.label_drawing import draw_labels, fitting_size, shrink_labels
from surfaces.pictures import write_picture

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


class Thumbnails:
    """Draws each photo once, however many galleries show it."""

    def __init__(self, store: LabelStore, folder: Path) -> None:
        """Pictures go to `folder`, an existing one, below `images`."""
        self._store = store
        self._folder = folder
        self._drawn: dict[str, str] = {}

    def figure(self, photo: StoredPhoto) -> str:
        """HTML of a photo and its labels, one over the other, and of what is known of them."""
        if photo.sha256 not in self._drawn:
            self._drawn[photo.sha256] = self._draw(photo)
        return self._drawn[photo.sha256]

    def _draw(self, photo: StoredPhoto) -> str:
        stem = f"{IMAGES}/{photo.sha256[:16]}"
        try:
            image = decode_image(io.BytesIO(self._store.read_photo(photo)))
            pictures = f'<a href="{stem}_labels.jpg"><img src="{stem}.jpg" alt="photo" loading="lazy">'
            pictures += f'<img src="{stem}_labels.jpg" alt="its labels" loading="lazy"></a>'
            self._write(photo, image, stem)
        except (DatasetError, DecodeError) as error:
            pictures = f"<p>{html.escape(str(error))}</p>"
        return f'<figure class="photo">{pictures}<figcaption>{_caption(self._store, photo)}</figcaption></figure>'

    def _write(self, photo: StoredPhoto, image: Image, stem: str) -> None:
        size = fitting_size(image.shape, _THUMBNAIL, _THUMBNAIL)
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        labels = shrink_labels(self._store.labels(photo.sha256).labels(), size)
        write_picture(self._folder / f"{stem}.jpg", small)
        write_picture(self._folder / f"{stem}_labels.jpg", draw_labels(small, labels))


def _caption(store: LabelStore, photo: StoredPhoto) -> str:
    found = [f"{segment.surface.name} {segment.score:.2f}" for segment in store.segments(photo.sha256)]
    known = [f"{name.replace('_', ' ')} {value:.2f}" for name, value in photo.qualities.items() if name != "score"]
    score = f"{photo.qualities['score']:.2f}" if "score" in photo.qualities else "?"
    lines = [
        f"<b>{score}</b> {html.escape(photo.name)}",
        html.escape(" · ".join(found)) or "nothing found",
        html.escape(" · ".join(known)),
    ]
    if photo.origin == "reviewed":
        lines.append(f"reviewed by {html.escape(photo.reviewer)}")
    return "<br>".join(line for line in lines if line)


def _with(store: LabelStore, quality: str) -> Iterator[StoredPhoto]:
    return (photo for photo in store.photos() if quality in photo.qualities)


def _disputed(store: LabelStore) -> Iterator[StoredPhoto]:
    return (photo for photo in store.photos() if any(name in photo.qualities for name in _AGREEMENTS))


def _with_tables(store: LabelStore) -> Iterator[tuple[float, str, StoredPhoto]]:
    for photo in store.photos():
        scores = [segment.score for segment in store.segments(photo.sha256) if segment.surface is DINING_TABLE]
        if scores:
            yield min(scores), photo.sha256, photo


def _score(photo: StoredPhoto) -> tuple[float, str]:
    return photo.qualities["score"], photo.sha256


def _agreement(photo: StoredPhoto) -> tuple[float, str]:
    return min(photo.qualities[name] for name in _AGREEMENTS if name in photo.qualities), photo.sha256
