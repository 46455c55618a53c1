"""The steps from a photo to its results: loads it, predicts, draws, and saves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import cv2
import numpy as np

from surfaces.classes import CLASSES, SurfaceClass
from surfaces.detections import Detection, Image
from surfaces.images.encode import encode_jpeg, encode_png
from surfaces.images.load import ImageLimits, load_image
from surfaces.io.atomic_files import replace_together, write_together
from surfaces.io.http import FetchLimits
from surfaces.masks.rle import encode
from surfaces.messages import encodable
from surfaces.segmenting.naming import Signature, stems
from surfaces.threads import call_in_thread

_JPEG_QUALITY = 92
_THUMBNAIL_PIXELS = 480


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
        overlay: write the picture, the photo with its segments drawn in, as JPEG.
        json: write a COCO-style JSON file.
        masks: write a PNG file a segment, 255 inside.
        cutouts: write a PNG file a segment, the photo inside, transparent outside.
        annotations: outcomes have the segments as COCO's annotations.
        thumbnails: outcomes have a thumbnail.
        names: of results by photo, paths below `folder` without suffix; what is there is replaced. Results of other
            photos are named by signature and time.
    """

    folder: Path
    signature: Signature = field(default_factory=Signature)
    names: Mapping[str, str] = field(default_factory=dict)
    classes: Collection[SurfaceClass] = CLASSES
    min_score: float = 0.0
    alpha: float = 0.4
    overlay: bool = True
    json: bool = False
    masks: bool = False
    cutouts: bool = False
    annotations: bool = False
    thumbnails: bool = False
    fetch_limits: FetchLimits = field(default_factory=FetchLimits)
    image_limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(frozen=True, eq=False)
class Segmented:
    """A photo, uint8 HxWx3 RGB, its segments, and the milliseconds that finding them took."""

    image: Image
    detections: list[Detection]
    milliseconds: float


@dataclass(frozen=True)
class Outcome:
    """What was found in a photo and where it was written.

    Attributes:
        path: of the first file written, the picture unless it was not asked for; None: none was.
        width, height: of the photo.
        shares: of the photo's pixels, by class that was found.
        tables: the number of dining tables.
        milliseconds: from the decoded photo to its segments.
        annotations: the segments as COCO's annotations without ids, if the settings ask for them.
        thumbnail: a JPEG file of the photo with its segments, if the settings ask for it.
    """

    path: Path | None
    width: int
    height: int
    shares: Mapping[str, float]
    tables: int
    milliseconds: float
    annotations: tuple[Mapping[str, Any], ...] = ()
    thumbnail: bytes | None = None


def segment_photo(source: str, open_predictor: Callable[[], Predictor], settings: Settings) -> Outcome:
    """Segments a photo, which is loaded while the network opens, and writes its results.

    The network is closed before the photo is drawn on, to save its memory. Errors are those of the steps.
    """
    photo = call_in_thread(lambda: load_photo(source, settings))
    predictor = open_predictor()
    image = photo.result()
    segmented = find_segments(image, predictor, settings.classes, settings.min_score)
    model = NamedModel(predictor.name, predictor.sha256)
    del predictor
    return draw_and_save(source, segmented, model, settings)


def load_photo(source: str, settings: Settings) -> Image:
    """Loads a photo: an http or https URL, a path, or a file URL. Raises FetchError, DecodeError."""
    return load_image(source, settings.image_limits, settings.fetch_limits)


def find_segments(
    image: Image, predictor: Predictor, classes: Collection[SurfaceClass] = CLASSES, min_score: float = 0.0
) -> Segmented:
    """The segments of a photo, uint8 HxWx3 RGB, of these classes and with this score or a higher one."""
    started = perf_counter()
    found = [
        detection
        for detection in predictor.predict(image)
        if detection.surface in classes and detection.score >= min_score
    ]
    return Segmented(image, found, 1000 * (perf_counter() - started))


def draw_and_save(source: str, segmented: Segmented, model: ModelInfo, settings: Settings) -> Outcome:
    """Draws a photo's segments, over the photo itself, and writes its results. Raises OutputError."""
    detections = segmented.detections
    height, width = segmented.image.shape[:2]
    annotations = _annotations(detections) if settings.annotations else ()
    paths = save_results(source, segmented, model, settings, stems(settings.signature, datetime.now()))
    shares: dict[str, float] = {}
    for detection in detections:
        shares[detection.surface.name] = shares.get(detection.surface.name, 0.0) + detection.area_share
    tables = sum(detection.surface.is_thing for detection in detections)
    if settings.thumbnails and not settings.overlay:
        _draw(segmented, settings.alpha)
    thumbnail = _thumbnail(segmented.image) if settings.thumbnails else None
    return Outcome(
        paths[0] if paths else None,
        width,
        height,
        shares,
        tables,
        segmented.milliseconds,
        annotations,
        thumbnail,
    )


def found_line(outcome: Outcome) -> str:
    """What was found, such as `wall 41 %, floor 22 %, 1 dining table, 143 ms`."""
    things = {surface.name for surface in CLASSES if surface.is_thing}
    found = [f"{name} {share:.0%}".replace("%", " %") for name, share in outcome.shares.items() if name not in things]
    if outcome.tables:
        found.append(f"{outcome.tables} dining table{'s' if outcome.tables > 1 else ''}")
    return ", ".join([*(found or ["nothing found"]), f"{outcome.milliseconds:.0f} ms"])


def save_results(
    source: str, segmented: Segmented, model: ModelInfo, settings: Settings, free_names: Iterable[str]
) -> list[Path]:
    """Writes the results of a photo under its name in the settings, else under the first free name.

    The picture is `{name}.jpg`; beside it are `{name}.json`, and `{name}_wall.png`, `{name}_dining-table-1.png`, …
    (masks), `{name}_wall_cutout.png`, …. The photo is drawn over. Returns the files' paths. Raises OutputError; under
    a free name no file is left then.
    """
    height, width = segmented.image.shape[:2]
    files: dict[str, bytes] = {}
    if settings.masks:
        files |= {f"_{name}": content for name, content in mask_files(segmented.detections).items()}
    if settings.cutouts:
        files |= {f"_{name}": content for name, content in cutout_files(segmented).items()}
    if settings.overlay:
        files = {".jpg": draw_jpeg(segmented, settings.alpha)} | files

    def contents(stem: str) -> Mapping[str, bytes]:
        if not settings.json:
            return files
        path = settings.folder / f"{stem}{'.jpg' if settings.overlay else '.json'}"
        document = describe(source, path, (height, width), segmented.detections, model)
        return files | {".json": json.dumps(document, ensure_ascii=False, indent=1).encode()}

    name = settings.names.get(source)
    if name is None:
        return write_together(settings.folder, free_names, contents) if files or settings.json else []
    place = settings.folder / name
    written = replace_together(place.parent, place.name, contents(name))
    _remove_stale(place, settings, set(written))
    return written


def mask_files(detections: Sequence[Detection]) -> dict[str, bytes]:
    """A PNG file a segment by its name, such as `dining-table-1.png`: 255 inside, 0 outside."""
    named = zip(segment_names(detections), detections, strict=True)
    return {f"{name}.png": encode_png(found.mask.astype(np.uint8) * 255) for name, found in named}


def cutout_files(segmented: Segmented) -> dict[str, bytes]:
    """A PNG file a segment by its name, such as `wall_cutout.png`: the photo inside, transparent outside."""
    named = zip(segment_names(segmented.detections), segmented.detections, strict=True)
    return {f"{name}_cutout.png": encode_png(_cutout(segmented.image, found)) for name, found in named}


def draw_jpeg(segmented: Segmented, alpha: float) -> bytes:
    """The photo with its segments drawn in, a JPEG file; the photo itself is drawn over."""
    _draw(segmented, alpha)
    return encode_jpeg(segmented.image, _JPEG_QUALITY, full_chroma=True, in_place=True)


def _draw(segmented: Segmented, alpha: float) -> None:
    """Draws the segments over the photo itself."""
    from surfaces.drawing.overlay import draw_overlay  # supervision takes longer to import than the network to run

    draw_overlay(segmented.image, segmented.detections, alpha, in_place=True)


def _annotations(detections: Sequence[Detection]) -> tuple[Mapping[str, Any], ...]:
    """The segments as COCO's annotations without ids."""
    from surfaces.datasets.coco_writer import detection_annotation  # most runs need nothing of datasets

    return tuple(detection_annotation(detection) for detection in detections)


def _thumbnail(picture: Image) -> bytes:
    """A small JPEG file of a picture."""
    from surfaces.drawing.labels import fitting_size

    size = fitting_size(picture.shape, _THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS)
    return encode_jpeg(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8), _JPEG_QUALITY)


def _cutout(image: Image, detection: Detection) -> Image:
    """A segment of a photo (uint8 HxWx3 RGB) on transparent ground, uint8 HxWx4 in OpenCV's order (BGRA)."""
    opacity = detection.mask.astype(np.uint8) * 255
    return np.dstack([image[:, :, ::-1] * detection.mask[:, :, None], opacity])


def _remove_stale(place: Path, settings: Settings, written: Collection[Path]) -> None:
    """Removes masks and cutouts that an earlier run wrote for the same photo, of segments that are not there now."""
    endings = [ending for ending, asked in (("", settings.masks), ("_cutout", settings.cutouts)) if asked]
    names = "|".join(
        f"{surface.name.replace(' ', '-')}{r'-[0-9]+' if surface.is_thing else ''}" for surface in settings.classes
    )
    ours = re.compile(rf"{re.escape(place.name)}_({names})({'|'.join(endings)})\.png")
    for path in place.parent.iterdir() if endings else ():
        if ours.fullmatch(path.name) and path not in written:
            path.unlink(missing_ok=True)


def segment_names(detections: Sequence[Detection]) -> list[str]:
    """A name for each segment: `wall`, `floor`; things are numbered: `dining-table-1`."""
    names = []
    for index, detection in enumerate(detections):
        name = detection.surface.name.replace(" ", "-")
        number = sum(other.surface == detection.surface for other in detections[: index + 1])
        names.append(f"{name}-{number}" if detection.surface.is_thing else name)
    return names


def describe(
    source: str, output: Path | None, size_hw: tuple[int, int], detections: Sequence[Detection], model: ModelInfo
) -> dict[str, Any]:
    """The content of the JSON file, whose keys are a public interface; `output` is the picture's path, if any."""
    height, width = size_hw
    written = None if output is None else encodable(str(output))
    return {
        "image": {"source": encodable(source), "width": width, "height": height, "output": written},
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
