"""Decides which photos a corpus keeps, and why it drops the others; docs/data.md has the error rates."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np

from autolabel.crawling.filters.interiors import SceneModel, SceneShares
from autolabel.crawling.filters.statistics import (
    ImageStats,
    colour_spread,
    count_seams,
    lightness_entropy,
    text_share,
)
from autolabel.crawling.records import FORGOTTEN, ForgottenPhoto, Superseded
from surfaces.detections import Image
from surfaces.drawing.labels import fitting_size
from surfaces.errors import DecodeError
from surfaces.images.load import ImageLimits, decode_image
from surfaces.images.near_duplicates import NearDuplicateIndex, near_hash

_SEAM_SIDE, _SIDE = 1024, 640  # pixels of the longer side, for seams and for all other measures
_THUMBNAIL_QUALITY = 60


class Reason(StrEnum):
    """`kept`, or the first of the others, in this order, that is true of a photo."""

    KEPT = "kept"
    FORGOTTEN = FORGOTTEN
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"
    TOO_SMALL = "too-small"
    TEXT = "text"
    COLLAGE = "collage"
    GREY = "grey"
    NOT_INTERIOR = "not-interior"
    NEAR_DUPLICATE = "near-duplicate"


@dataclass(frozen=True)
class FilterSettings:
    """Thresholds of the filter."""

    side_min: int = 400  # pixels of the shorter side
    any_picture: bool = False  # keep pictures regardless of their content; the network is not run
    text_max: float = 0.04  # share of lines of text; a watermark has less, a poster more
    entropy_min: float = 4.0  # bits of grey levels; drawings, plans and screenshots have less
    colour_min: float = 4.0  # spread of colours; black-and-white photos, toned or not, have less
    room_min: float = 0.5  # interior score
    near_max: int = 64  # bits, of 256, in which a copy's perceptual hashes differ
    weights: Path | None = None  # an ONNX file of `distill export`; None: the shipped one
    threads: int = 1  # CPU threads of the network per photo
    thumbnail_side: int = 160  # pixels of the thumbnail's longer side
    limits: ImageLimits = field(default_factory=ImageLimits)  # of decoding


@dataclass(frozen=True)
class FilterResult:
    """The decision on a photo."""

    reason: Reason
    detail: str = ""  # the measured value, a few words
    duplicate_of: str = ""  # sha256 of the kept photo, or the forgotten one, that it resembles
    supersedes: tuple[Superseded, ...] = ()  # kept photos that it resembles and is better than

    @property
    def kept(self) -> bool:
        """Whether the corpus keeps the photo."""
        return self.reason is Reason.KEPT


class ImageFilter:
    """Filters photos. `measure` is heavy and thread-safe; `classify` is quick and not thread-safe.

    Args:
        known: the statistics of the photos that the corpus keeps.
        scene_of: computes wall, floor, table and room of a photo (uint8 HxWx3 RGB); None: the student network.
        forgotten: photos that were removed, and must not be kept again, nor copies of them.

    Raises:
        WeightsError: the student's file is missing or is not such a file.
    """

    def __init__(
        self,
        settings: FilterSettings | None = None,
        known: Iterable[ImageStats] = (),
        scene_of: Callable[[Image], SceneShares] | None = None,
        forgotten: Iterable[ForgottenPhoto] = (),
    ) -> None:
        self._settings = settings or FilterSettings()
        self._kept: dict[str, tuple[int, int]] = {}
        self._near = NearDuplicateIndex(self._settings.near_max)
        self._forgotten: set[str] = set()
        self._forgotten_near = NearDuplicateIndex(self._settings.near_max)
        for photo in forgotten:
            self._forgotten.add(photo.sha256)
            if photo.near_hash:
                self._forgotten_near.add(photo.sha256, photo.near_hash)
        for stats in known:
            self._keep(stats)
        self._scene_of = scene_of
        if scene_of is None and not self._settings.any_picture:
            self._scene_of = SceneModel(self._settings.weights, self._settings.threads)

    def measure(self, data: bytes) -> ImageStats:
        """Measures a photo's bytes; no photo makes it raise."""
        stats = ImageStats(hashlib.sha256(data).hexdigest(), len(data))
        if stats.sha256 in self._kept or stats.sha256 in self._forgotten:
            return stats
        try:
            image = decode_image(io.BytesIO(data), self._settings.limits)
        except DecodeError as error:
            return replace(stats, unreadable=str(error))
        stats = replace(stats, width=image.shape[1], height=image.shape[0])
        image = _shrink(image, _SEAM_SIDE)
        stats = replace(stats, thumbnail=_encode_thumbnail(_shrink(image, self._settings.thumbnail_side)))
        if self._reject(stats):
            return stats
        small = _shrink(image, _SIDE)
        stats = replace(
            stats,
            near_hash=near_hash(small),
            text=text_share(small),
            entropy=lightness_entropy(small),
            colour=colour_spread(small),
            seams=count_seams(image),
        )
        if self._scene_of is None or self._reject(stats):
            return stats
        wall, floor, table, room = self._scene_of(image)
        return replace(stats, wall=wall, floor=floor, table=table, room=room)

    def classify(self, stats: ImageStats) -> FilterResult:
        """Decides on a photo. Of near-duplicates the best is kept (`ImageStats.worth`), of equal ones the first."""
        if forgotten := self._find_forgotten(stats):
            return FilterResult(Reason.FORGOTTEN, duplicate_of=forgotten)
        measured = stats.width or stats.unreadable  # else `measure` knew it; a better copy may have come since
        if stats.sha256 in self._kept or not measured:
            return FilterResult(Reason.DUPLICATE, duplicate_of=stats.sha256)
        if rejected := self._reject(stats):
            return rejected
        near = self._near.find_all(stats.near_hash)
        for sha256, distance in near:
            if self._kept[sha256] >= stats.worth:
                return FilterResult(Reason.NEAR_DUPLICATE, f"{distance} of 256 bits differ", sha256)
        for sha256, _ in near:
            del self._kept[sha256]
            self._near.discard(sha256)
        self._keep(stats)
        better = f"superseded by a copy of {stats.width}x{stats.height} pixels, {stats.size} bytes"
        superseded = (
            Superseded(sha256, Reason.NEAR_DUPLICATE, f"{distance} of 256 bits differ; {better}")
            for sha256, distance in near
        )
        return FilterResult(Reason.KEPT, supersedes=tuple(superseded))

    def _find_forgotten(self, stats: ImageStats) -> str:
        """The sha256 of the removed photo that a photo is, or resembles; empty if there is none."""
        if stats.sha256 in self._forgotten:
            return stats.sha256
        near = self._forgotten_near.find_all(stats.near_hash) if stats.near_hash else []
        return near[0][0] if near else ""

    def _keep(self, stats: ImageStats) -> None:
        self._kept[stats.sha256] = stats.worth
        self._near.add(stats.sha256, stats.near_hash)

    def _reject(self, stats: ImageStats) -> FilterResult | None:
        """Why a photo is dropped regardless of other photos, as far as it is measured; None if it is not."""
        settings = self._settings
        if stats.unreadable:
            return FilterResult(Reason.UNREADABLE, stats.unreadable)
        if min(stats.width, stats.height) < settings.side_min:
            return FilterResult(Reason.TOO_SMALL, f"a side of {min(stats.width, stats.height)} pixels")
        return None if settings.any_picture else _reject_content(stats, settings)


def _reject_content(stats: ImageStats, settings: FilterSettings) -> FilterResult | None:
    if stats.text is not None and stats.text > settings.text_max:
        return FilterResult(Reason.TEXT, f"{stats.text:.0%} text")
    if stats.entropy is not None and stats.entropy < settings.entropy_min:
        return FilterResult(Reason.TEXT, f"drawn: {stats.entropy:.1f} bits of grey levels")
    if stats.seams:
        return FilterResult(Reason.COLLAGE, f"{stats.seams} seams")
    if stats.colour is not None and stats.colour < settings.colour_min:
        return FilterResult(Reason.GREY, f"colours spread by {stats.colour:.1f}")
    if stats.room is not None and stats.room < settings.room_min:
        return FilterResult(Reason.NOT_INTERIOR, f"{stats.room:.0%} like a room")
    return None


def _shrink(image: Image, side: int) -> Image:
    size = fitting_size(image.shape, side, side)
    if size == (image.shape[1], image.shape[0]):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _encode_thumbnail(image: Image) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
