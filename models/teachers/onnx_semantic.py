"""Any semantic network in an ONNX file, read by a class map."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.inference.segmenter import TRAINING_PHOTOS_KEY, network_input
from models.inference.session import first_line, open_session
from models.teachers.base import Floats, Prediction, SemanticPrediction
from models.teachers.batches import run_in_groups
from models.teachers.class_map import ClassMap
from models.weights.registry import sha256_of
from models.weights.training_photos import TrainingPhotos
from surfaces.detections import Image
from surfaces.errors import WeightsError
from surfaces.licences import Licence, with_source
from surfaces.messages import brief

_INPUT_TYPES: dict[str, npt.DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}


class OnnxSemantic:
    """A teacher that runs a semantic network with one input, of which the first output is read.

    Raises:
        WeightsError: the file is missing, is not an ONNX file, has tensors in other files, or another input.
    """

    def __init__(self, weights: Path, class_map: ClassMap, threads: int | None = None) -> None:
        described = json.dumps(class_map.model_dump(), sort_keys=True)
        self.name = f"onnx ({weights.stem})"
        sha256 = sha256_of(weights)
        self.fingerprint = hashlib.sha256(f"{sha256} {described}".encode()).hexdigest()
        self._path = weights
        self._map = class_map
        self._session = open_session(weights, threads, sha256)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _INPUT_TYPES:
            found = ", ".join(f"{one.name} {one.type}" for one in inputs)
            raise WeightsError(f"expected one input of {', '.join(_INPUT_TYPES)} in {weights}, got {found}")
        self.licences = self._read_licences()
        self._input_name, self._input_type = inputs[0].name, _INPUT_TYPES[inputs[0].type]
        self._takes_several = not isinstance(next(iter(inputs[0].shape), 1), int)

    def _read_licences(self) -> tuple[Licence, ...]:
        """Those that a network of ours records, in the form of `distill export`."""
        recorded = self._session.get_modelmeta().custom_metadata_map.get(TRAINING_PHOTOS_KEY)
        try:
            return with_source(TrainingPhotos.from_text(recorded).licences, self._path.name)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise WeightsError(
                f"expected a record of training photos in {self._path}, got {brief(recorded)}"
            ) from error

    def predict(self, image: Image) -> Prediction:
        """The probabilities for a photo, uint8 HxWx3 RGB, at the output's resolution.

        Raises:
            WeightsError: the network's input or output is not that of the class map.
        """
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Sequence[Image]) -> list[Prediction]:
        """As `predict`, for several photos; those of one input size have one pass, if the file takes several."""
        sizes = [self._map.input.size_for(image.shape[0], image.shape[1]) for image in images]

        def run(group: Sequence[int]) -> Iterator[Prediction]:
            output = self._run([images[index] for index in group], sizes[group[0]])
            if len(group) > 1 and len(output) != len(group):
                raise self._other_shape(f"{len(group)} photos' classes", output)
            for rank in range(len(group)):
                probabilities = self._grouped(output[rank : rank + 1] if len(group) > 1 else output)
                disagreement = np.zeros(probabilities.shape[1:], np.float32)
                yield Prediction(semantic=SemanticPrediction(probabilities, disagreement))

        return run_in_groups(sizes if self._takes_several else range(len(images)), run)

    def _run(self, images: Sequence[Image], size_hw: tuple[int, int]) -> npt.NDArray[Any]:
        form = self._map.input
        pixels = np.concatenate([network_input(image, *size_hw) for image in images])
        if form.channels == "bgr":
            pixels = pixels[:, ::-1]
        column = (1, 3, 1, 1)
        values = (pixels - np.reshape(form.mean, column)) / np.reshape(form.std, column)
        if form.layout == "nhwc":
            values = values.transpose(0, 2, 3, 1)
        try:
            outputs = self._session.run(None, {self._input_name: np.ascontiguousarray(values, self._input_type)})
        except Exception as error:  # onnxruntime's errors share no public base class
            raise WeightsError(
                f"expected {self._path} to take {list(values.shape)}, got: {first_line(error)}"
            ) from error
        return np.asarray(outputs[0])

    def _grouped(self, output: npt.NDArray[Any]) -> Floats:
        classes = self._map.output.classes
        if self._map.output.kind == "argmax":
            numbers = self._class_numbers(output)
            ours = [np.isin(numbers, group) for group in self._map.classes]
            return _with_other(np.stack(ours).astype(np.float32))
        if self._map.output.layout == "nhwc" and output.ndim == 4:
            output = output.transpose(0, 3, 1, 2)
        if output.ndim != 4 or output.shape[:2] != (1, classes):
            raise self._other_shape(f"1 x {classes} classes x rows x columns", output)
        values = output[0].astype(np.float32, copy=False)
        if self._map.output.kind == "logits":
            values = np.exp(values - values.max(axis=0))
        groups = np.stack([values[list(group)].sum(axis=0) for group in self._map.classes])
        return _with_other(groups / values.sum(axis=0))

    def _class_numbers(self, output: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if output.ndim not in (3, 4) or output.size != output.shape[-1] * output.shape[-2]:
            raise self._other_shape("1 x rows x columns of class numbers", output)
        return output.reshape(output.shape[-2:])

    def _other_shape(self, expected: str, output: npt.NDArray[Any]) -> WeightsError:
        layout = f" ({self._map.output.layout})" if self._map.output.kind != "argmax" else ""
        return WeightsError(f"expected {self._path} to give {expected}{layout}, got {list(output.shape)}")


def _with_other(groups: Floats) -> Floats:
    """Adds the channel `other` before our classes' (3, h, w), so that all sum to 1."""
    other = np.maximum(1 - groups.sum(axis=0, keepdims=True), 0)
    return np.concatenate([other, groups], dtype=np.float32)
