"""Photo in, segments out."""

from __future__ import annotations

import json
import math
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from models.inference.model_output import Floats, ModelOutput, choose_input_size
from models.inference.postprocess import FusionSettings, fuse
from models.inference.session import first_line, open_session
from models.weights.registry import WeightsFile, sha256_of, shipped
from models.weights.training_photos import TrainingPhotos
from surfaces.classes import NUM_CHANNELS
from surfaces.detections import Detection, Image
from surfaces.errors import WeightsError
from surfaces.images.load import as_image
from surfaces.messages import brief

_FIRST_CHANNELS = 4  # of the network that ships; a product with further classes still opens it
NAME_KEY = "interior-surfaces.name"
SETTINGS_KEY = "interior-surfaces.merge"
TRAINING_PHOTOS_KEY = "interior-surfaces.training-photos"


class Segmenter:
    """Finds walls, floors and dining tables.

    Args:
        weights: an ONNX file that `python -m distill export` wrote; None: the shipped one, its hash checked.
        threads: CPU threads for the network; None: ONNX Runtime's choice, one a core.
        accurate: average class probabilities over the photo and its mirror image, in twice the time
            (docs/results.md).
        device: `cpu`, or `cuda` with the package onnxruntime-gpu.
        table_score: the least score of dining tables, 0 to 1; None: the network's own.

    Raises:
        DeviceError: the device cannot be used.
        WeightsError: the file is missing, is not such a file, or is not the one that was shipped.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        accurate: bool = False,
        device: str = "cpu",
        table_score: float | None = None,
    ) -> None:
        file = shipped("onnx") if weights is None else _chosen(weights)
        self._session = open_session(file.path, threads, file.sha256, device)
        try:
            metadata = self._session.get_modelmeta().custom_metadata_map
            self.name: str = metadata[NAME_KEY]
            self.settings = _settings(metadata[SETTINGS_KEY])
            self.training_photos = TrainingPhotos.from_text(metadata.get(TRAINING_PHOTOS_KEY))
        except KeyError as error:
            raise WeightsError(f"expected a network that `distill export` wrote at {file.path}, got another") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise WeightsError(f"expected an ONNX file with settings of ours at {file.path}: {error}") from error
        if table_score is not None:
            self.settings = replace(self.settings, table_score=table_score)
        self.sha256 = file.sha256
        self._path, self._accurate = file.path, accurate

    def infer(self, image: Image) -> ModelOutput:
        """The network's outputs for a photo, uint8 HxWx3 RGB, before panoptic fusion.

        Raises:
            WeightsError: the network fails on it, or gives something else than a network of ours.
        """
        output = self._run(image)
        if not self._accurate:
            return output
        mirrored = self._run(np.ascontiguousarray(image[:, ::-1])).probabilities[..., ::-1]
        return replace(output, probabilities=(output.probabilities + mirrored) / np.float32(2))

    def _run(self, image: Image) -> ModelOutput:
        height, width = choose_input_size(image.shape[0], image.shape[1])
        try:
            outputs = self._session.run(None, {"image": network_input(image, height, width)})
        except Exception as error:  # onnxruntime's errors share no public base class
            raise WeightsError(f"expected {self._path} to take a photo, got: {first_line(error)}") from error
        if not _is_ours(outputs):
            shapes = ", ".join(str(list(np.shape(array))) for array in outputs)
            raise WeightsError(
                f"expected outputs of a network of ours, finite and not negative, from {self._path}, got {shapes}"
            )
        return model_output(outputs, height, width)

    def predict(self, image: Image | Pillow.Image | str | os.PathLike[str]) -> list[Detection]:
        """Finds the surfaces of one photo.

        Args:
            image: uint8 HxWx3 RGB of any size, EXIF orientation applied, or what `surfaces.images.load.as_image` takes.

        Returns:
            Detections with masks of the photo's size that do not overlap: wall, floor, then dining tables by
            descending score. Surfaces that were not found are omitted.

        Raises:
            FetchError: the photo cannot be read.
            DecodeError: it is none that can be used; where its type is wrong, also a TypeError and a ValueError.
        """
        pixels = as_image(image)
        return fuse(self.infer(pixels), pixels.shape[0], pixels.shape[1], self.settings)


def _chosen(weights: str | os.PathLike[str]) -> WeightsFile:
    path = Path(weights)
    file = WeightsFile(path, sha256_of(path))
    if zipfile.is_zipfile(path):  # .npz, and torch's checkpoints
        raise WeightsError(
            f"expected an ONNX file at {path}, got weights for training; "
            f"run `python -m distill export {path} --out mine.onnx --check DATA` first"
        )
    return file


def _settings(text: str) -> FusionSettings:
    values = json.loads(text)
    for name, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"expected {name!r} to be a number, got {brief(value)}")
    return FusionSettings(**values)


def _is_ours(outputs: list[Floats]) -> bool:
    """Whether outputs are finite numbers from 0 on, of the shapes that `model_output` takes."""
    if len(outputs) != 4 or not all(isinstance(array, np.ndarray) and array.dtype == np.float32 for array in outputs):
        return False
    probabilities, boxes, scores, masks = (array.shape for array in outputs)
    return (
        len(probabilities) == 4
        and probabilities[0] == 1
        and _FIRST_CHANNELS <= probabilities[1] <= NUM_CHANNELS
        and len(scores) == 1
        and boxes == (scores[0], 4)
        and len(masks) == 4
        and masks[:2] == (scores[0], 1)
        and min(probabilities[2:] + masks[2:]) > 0
        and all(array.size == 0 or (array.min() >= 0 and array.max() < np.inf) for array in outputs)  # NaN is neither
    )


def network_input(image: Image, height: int, width: int) -> Floats:
    """The photo as float32 (1, 3, height, width), RGB, 0 to 255; downsampled by area, upsampled bilinearly."""
    # Halving is several times faster than a fractional reduction, which the last step is.
    while min(image.shape[0] // height, image.shape[1] // width) >= 2 and not (
        image.shape[0] % 2 or image.shape[1] % 2
    ):
        half = image.shape[1] // 2, image.shape[0] // 2
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
    shrinks = image.shape[0] * image.shape[1] > height * width
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized.transpose(2, 0, 1)[None], dtype=np.float32)


def model_output(outputs: list[Floats], height: int, width: int) -> ModelOutput:
    """ModelOutput from the network's arrays, whose boxes are in pixels of its `height` x `width` input.

    They are float32: probabilities (1, 4, h, w), boxes (N, 4) xyxy, scores (N,), masks (N, 1, M, M).
    """
    probabilities, boxes, scores, masks = outputs
    shares = boxes / np.array([width, height, width, height], np.float32)
    return ModelOutput(probabilities[0], shares.astype(np.float32), scores, masks[:, 0])
