"""What is kept of a segmented photo: the picture, COCO-style JSON, masks."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from surfaces.detections import Detection, Image, Mask
from surfaces.io import atomic_files as files
from surfaces.masks import rle as masks
from surfaces.messages import encodable

_JPEG_QUALITY = 92


@dataclass(frozen=True)
class Model:
    """Which network found the segments.

    Attributes:
        name: its name.
        sha256: the hash of its weights.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class Parts:
    """What is written beside the picture.

    Attributes:
        json: a COCO-style JSON file.
        masks: a PNG file a segment.
    """

    json: bool = False
    masks: bool = False


def save_result(
    folder: Path,
    stems: Iterable[str],
    source: str,
    picture: Image,
    detections: Sequence[Detection],
    model: Model,
    parts: Parts,
) -> Path:
    """Writes the picture and what goes with it; all of it or, on an error, nothing.

    Args:
        folder: an existing folder.
        stems: names without suffix; the first that is free is taken.
        source: where the photo came from.
        picture: uint8 HxWx3 RGB, what is to be seen; of the photo's size.
        detections: with masks of the same size.
        model: which network found them.
        parts: what is written beside the picture.

    Returns:
        The picture's path: `{stem}.jpg`; beside it `{stem}.json` and `{stem}_wall.png`, `{stem}_dining-table-1.png`, ….

    Raises:
        OutputError: it can't be written.
    """
    fixed = {".jpg": encode_jpeg(picture)}
    if parts.masks:
        fixed |= {f"_{n}.png": encode_mask(d.mask) for n, d in zip(segment_names(detections), detections, strict=True)}

    def contents(stem: str) -> Mapping[str, bytes]:
        if not parts.json:
            return fixed
        height, width, _ = picture.shape
        document = describe(source, folder / f"{stem}.jpg", (height, width), detections, model)
        return fixed | {".json": json.dumps(document, ensure_ascii=False, indent=1).encode()}

    return files.write_together(folder, stems, contents)[0]


def describe(
    source: str, output: Path, size_hw: tuple[int, int], detections: Sequence[Detection], model: Model
) -> dict[str, Any]:
    """The content of the JSON file. Its keys are an interface.

    Args:
        source: where the photo came from.
        output: the picture's path.
        size_hw: the photo's height and width in pixels.
        detections: what was found.
        model: which network found it.

    Returns:
        `image` (source, width, height, output), `model` (name, sha256) and `segments`, each with its class, score from
        0 to 1, box_xyxy (absolute pixels; right and bottom exclusive), area_share from 0 to 1, and segmentation (RLE
        as pycocotools reads it, at the photo's size). Paths are as `surfaces.messages.encodable` writes them.
    """
    height, width = size_hw
    return {
        "image": {"source": encodable(source), "width": width, "height": height, "output": encodable(str(output))},
        "model": {"name": model.name, "sha256": model.sha256},
        "segments": [_describe_segment(detection) for detection in detections],
    }


def _describe_segment(detection: Detection) -> dict[str, Any]:
    return {
        "class": detection.surface.name,
        "score": round(float(detection.score), 4),
        "box_xyxy": [round(float(edge), 2) for edge in detection.box_xyxy],
        "area_share": round(detection.area_share, 6),
        "segmentation": masks.encode(detection.mask),
    }


def segment_names(detections: Sequence[Detection]) -> list[str]:
    """A name a segment, fit for files: `wall`, `floor`; things are numbered: `dining-table-1`."""
    names = []
    for index, detection in enumerate(detections):
        name = detection.surface.name.replace(" ", "-")
        number = sum(other.surface == detection.surface for other in detections[: index + 1])
        names.append(f"{name}-{number}" if detection.surface.is_thing else name)
    return names


def encode_jpeg(image: Image) -> bytes:
    """A picture, uint8 HxWx3 RGB, as a JPEG file; colours at full resolution, so that thin outlines stay clear."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling="4:4:4")
    return buffer.getvalue()


def encode_mask(mask: Mask) -> bytes:
    """A mask, bool HxW, as a PNG file: 255 inside and 0 outside."""
    buffer = io.BytesIO()
    Pillow.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()
