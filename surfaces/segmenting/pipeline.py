"""From a photo's address to its picture: load, predict, draw, save."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from surfaces.classes import CLASSES, SurfaceClass
from surfaces.detections import Detection, Image
from surfaces.drawing.overlay import OverlayStyle, draw_overlay
from surfaces.images.load import ImageLimits, load_image
from surfaces.io.http import FetchLimits
from surfaces.segmenting.naming import Signature, stems
from surfaces.segmenting.results import Model, Parts, save_result


class Predictor(Protocol):
    """What finds segments, such as `models.Segmenter`."""

    @property
    def name(self) -> str:
        """The network's."""

    @property
    def sha256(self) -> str:
        """Of its weights, hexadecimal."""

    def predict(self, image: Image) -> list[Detection]:
        """Walls, floors and tables of a photo, uint8 HxWx3 RGB."""


@dataclass(frozen=True)
class Settings:
    """What is to become of each photo.

    Attributes:
        folder: where results go; exists.
        signature: who signs.
        classes: what is shown.
        min_score: what score a segment must reach beyond the network's own thresholds.
        style: how it is drawn.
        parts: what is written beside the picture.
        fetch_limits: of downloads.
        image_limits: of photos.
    """

    folder: Path
    signature: Signature = field(default_factory=Signature)
    classes: Collection[SurfaceClass] = CLASSES
    min_score: float = 0.0
    style: OverlayStyle = field(default_factory=OverlayStyle)
    parts: Parts = field(default_factory=Parts)
    fetch_limits: FetchLimits = field(default_factory=FetchLimits)
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Attributes:
        picture: the path of the masked photo.
        segments: how many segments it shows.
    """

    picture: Path
    segments: int


def segment_photo(source: str, predictor: Predictor, settings: Settings) -> Outcome:
    """Makes the picture of one photo, and what else the settings ask for.

    Args:
        source: an http or https address, or a file's path or address.
        predictor: finds the segments.
        settings: what is to be shown and written.

    Returns:
        Where the picture is and how many segments it shows.

    Raises:
        FetchError: the photo can't be read.
        DecodeError: it is not a photo that can be used.
        OutputError: the result can't be written; nothing of it is left behind.
    """
    image = load_image(source, settings.image_limits, settings.fetch_limits)
    detections = [
        detection
        for detection in predictor.predict(image)
        if detection.surface in settings.classes and detection.score >= settings.min_score
    ]
    picture = save_result(
        settings.folder,
        stems(settings.signature, datetime.now()),
        source,
        draw_overlay(image, detections, settings.style),
        detections,
        Model(predictor.name, predictor.sha256),
        settings.parts,
    )
    return Outcome(picture, len(detections))
