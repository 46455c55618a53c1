"""The steps from a photo to its results: loads it, predicts, draws, and saves."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from surfaces.classes import CLASSES, SurfaceClass
from surfaces.detections import Detection, Image
from surfaces.images.encode import encode_jpeg, encode_png
from surfaces.images.load import ImageLimits, load_image
from surfaces.io.atomic_files import write_together
from surfaces.io.http import FetchLimits
from surfaces.masks.rle import encode
from surfaces.messages import encodable
from surfaces.segmenting.naming import Signature, stems
from surfaces.threads import call_in_thread

_JPEG_QUALITY = 92


class ModelInfo(Protocol):
    """Which network it is."""

    @property
    def name(self) -> str:
        """The network's."""

    @property
    def sha256(self) -> str:
        """Of its weights, hexadecimal."""


@dataclass(frozen=True)
class NamedModel:
    """ModelInfo of a network that is closed."""

    name: str
    sha256: str


class Predictor(ModelInfo, Protocol):
    """A network, such as `models.Segmenter`."""

    def predict(self, image: Image) -> list[Detection]:
        """The segments of a photo, uint8 HxWx3 RGB."""


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes:
        folder: of the results; must exist.
        min_score: of segments, in addition to the network's own thresholds.
        alpha: opacity of the tint.
        json: write a COCO-style JSON file beside each picture.
        masks: write a PNG file per segment beside each picture.
    """

    folder: Path
    signature: Signature = field(default_factory=Signature)
    classes: Collection[SurfaceClass] = CLASSES
    min_score: float = 0.0
    alpha: float = 0.4
    json: bool = False
    masks: bool = False
    fetch_limits: FetchLimits = field(default_factory=FetchLimits)
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(frozen=True)
class Outcome:
    """The path of a photo's picture, and the number of its segments."""

    picture: Path
    segments: int


def segment_photo(source: str, open_predictor: Callable[[], Predictor], settings: Settings) -> Outcome:
    """Segments a photo, which is loaded while the network opens, and writes its results.

    The network is closed before the photo is drawn on: it has a third of the memory. Errors are those of the steps.
    """
    photo = call_in_thread(lambda: load_photo(source, settings))
    predictor = open_predictor()
    image = photo.result()
    detections, model = find_segments(image, predictor, settings), NamedModel(predictor.name, predictor.sha256)
    del predictor
    return draw_and_save(source, image, detections, model, settings)


def load_photo(source: str, settings: Settings) -> Image:
    """Loads a photo: an http or https URL, a path, or a file URL. Raises FetchError, DecodeError."""
    return load_image(source, settings.image_limits, settings.fetch_limits)


def find_segments(image: Image, predictor: Predictor, settings: Settings) -> list[Detection]:
    """The segments of a photo, uint8 HxWx3 RGB, that the settings ask for."""
    return [
        detection
        for detection in predictor.predict(image)
        if detection.surface in settings.classes and detection.score >= settings.min_score
    ]


def draw_and_save(
    source: str, image: Image, detections: Sequence[Detection], model: ModelInfo, settings: Settings
) -> Outcome:
    """Draws a photo's segments, over the photo itself, and writes its results. Raises OutputError."""
    from surfaces.drawing.overlay import draw_overlay  # supervision takes longer to import than the network to run

    picture = draw_overlay(image, detections, settings.alpha, in_place=True)
    names = stems(settings.signature, datetime.now())
    return Outcome(save_results(source, picture, detections, model, settings, names), len(detections))


def save_results(
    source: str,
    picture: Image,
    detections: Sequence[Detection],
    model: ModelInfo,
    settings: Settings,
    names: Iterable[str],
) -> Path:
    """Writes the results of a photo under the first free name; all of them or, on an error, none.

    Returns the picture's path, `{name}.jpg`. Beside it are `{name}.json`, and `{name}_wall.png`,
    `{name}_dining-table-1.png`, … (255 inside, 0 outside). Raises OutputError.
    """
    fixed = {".jpg": encode_jpeg(picture, _JPEG_QUALITY, full_chroma=True, in_place=True)}
    if settings.masks:
        for name, detection in zip(segment_names(detections), detections, strict=True):
            fixed[f"_{name}.png"] = encode_png(detection.mask.astype(np.uint8) * 255)

    def contents(stem: str) -> Mapping[str, bytes]:
        if not settings.json:
            return fixed
        path = settings.folder / f"{stem}.jpg"
        document = _describe(source, path, (picture.shape[0], picture.shape[1]), detections, model)
        return fixed | {".json": json.dumps(document, ensure_ascii=False, indent=1).encode()}

    return write_together(settings.folder, names, contents)[0]


def segment_names(detections: Sequence[Detection]) -> list[str]:
    """A name for each segment: `wall`, `floor`; things are numbered: `dining-table-1`."""
    names = []
    for index, detection in enumerate(detections):
        name = detection.surface.name.replace(" ", "-")
        number = sum(other.surface == detection.surface for other in detections[: index + 1])
        names.append(f"{name}-{number}" if detection.surface.is_thing else name)
    return names


def _describe(
    source: str, output: Path, size_hw: tuple[int, int], detections: Sequence[Detection], model: ModelInfo
) -> dict[str, Any]:
    """The content of the JSON file, whose keys are a public interface."""
    height, width = size_hw
    return {
        "image": {"source": encodable(source), "width": width, "height": height, "output": encodable(str(output))},
        "model": {"name": model.name, "sha256": model.sha256},
        "segments": [
            {
                "class": detection.surface.name,
                "score": round(float(detection.score), 4),
                "box_xyxy": [round(float(edge), 2) for edge in detection.box_xyxy],
                "area_share": round(detection.area_share, 6),
                "segmentation": encode(detection.mask),
            }
            for detection in detections
        ],
    }
