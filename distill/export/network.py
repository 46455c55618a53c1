"""Writes a student as ONNX: traced, weights stored as float16, and checked against torch."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from distill.export.padding import fold_padding
from models.inference.model_output import ModelOutput, choose_input_size
from models.inference.postprocess import FusionSettings
from models.inference.segmenter import (
    NAME_KEY,
    SETTINGS_KEY,
    TRAINING_PHOTOS_KEY,
    Segmenter,
    model_output,
    network_input,
)
from models.student.network import Student
from surfaces.detections import Image
from surfaces.errors import SurfacesError
from surfaces.io.atomic_files import make_folder, temporary_path

OPSET = 17
TOLERANCES = {"probabilities": 1e-3, "boxes": 1e-3, "scores": 1e-3, "masks": 1e-2}
"""Export parity: largest absolute differences by output; boxes as shares of the photo's sides."""


class ExportError(SurfacesError):
    """The exported network differs from the trained one."""

    exit_code = 28


def round_to_half(student: Student) -> Student:
    """The student with weights rounded to float16."""
    for parameter in student.parameters():
        parameter.data = parameter.data.half().float()
    return student.eval()


def export(student: Student, out: Path, name: str, settings: FusionSettings, images: Sequence[Image]) -> list[str]:
    """Writes an ONNX file with weights stored as float16 and computed in float32.

    Args:
        student: weights already rounded to float16.
        out: the ONNX file.
        name: the model's name, kept in the file.
        settings: the operating point, kept in the file.
        images: photos, uint8 HxWx3 RGB, that both networks are run on.

    Returns:
        A line on the difference from torch of each output.

    Raises:
        ExportError: a difference exceeds its tolerance; no file is left then.
    """
    make_folder(out.parent)
    temporary = temporary_path(out.parent)
    try:
        _trace(student, temporary)
        onnx.save(fold_padding(onnx.load(temporary)), str(temporary))
        model = _half_weights(_simplify(temporary))
        metadata = {
            NAME_KEY: name,
            SETTINGS_KEY: json.dumps(asdict(settings), sort_keys=True),
            TRAINING_PHOTOS_KEY: student.training_photos.to_text(),
        }
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        onnx.save(model, str(temporary))
        lines = []
        for output, largest in compare(student, temporary, images).items():
            tolerance = TOLERANCES[output]
            lines.append(f"{output} differ from torch by at most {largest:.1e} (tolerance {tolerance:.0e})")
            if not largest <= tolerance:
                raise ExportError(f"expected the exported network to agree with torch, got {lines[-1]}")
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return lines


@torch.no_grad()
def torch_output(student: Student, image: Image) -> ModelOutput:
    """The torch network's output for a photo (uint8 HxWx3 RGB), which is preprocessed as at runtime."""
    height, width = choose_input_size(image.shape[0], image.shape[1])
    found = student.detect(torch.from_numpy(network_input(image, height, width)))
    arrays = [found.probabilities, found.boxes_xyxy, found.scores, found.masks]
    return model_output([array.numpy() for array in arrays], height, width)


def compare(student: Student, path: Path, images: Sequence[Image]) -> dict[str, float]:
    """Runs both networks on photos (uint8 HxWx3 RGB); returns the largest difference of each output."""
    segmenter = Segmenter(path)
    largest = dict.fromkeys(TOLERANCES, 0.0)
    for image in images:
        expected, got = torch_output(student, image), segmenter.infer(image)
        for name in largest:
            largest[name] = max(largest[name], largest_difference(getattr(expected, name), getattr(got, name)))
    return largest


def largest_difference(expected: npt.NDArray[np.float32], got: npt.NDArray[np.float32]) -> float:
    """The largest absolute difference; infinite where the shapes differ or numbers are none, 0 for empty arrays."""
    if expected.shape != got.shape or not (np.isfinite(expected).all() and np.isfinite(got).all()):
        return float("inf")
    return float(np.abs(expected - got).max(initial=0))


class _Exported(nn.Module):
    """The student with plain tensors as inputs and outputs."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found = self.student.detect(image)
        return found.probabilities, found.boxes_xyxy, found.scores, found.masks


def _trace(student: Student, path: Path) -> None:
    """Writes the network as ONNX for one photo of any size that it takes.

    The TorchScript exporter is used, since the newer one fails on torchvision's detection code (pytorch/vision #9306).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Exported(student).eval(),
            (torch.rand(1, 3, 512, 640) * 255,),
            str(path),
            input_names=["image"],
            output_names=list(TOLERANCES),
            dynamic_axes={
                "image": {2: "height", 3: "width"},
                "probabilities": {2: "rows", 3: "columns"},
                **{output: {0: "tables"} for output in ("boxes", "scores", "masks")},
            },
            opset_version=OPSET,
            dynamo=False,
        )


def _simplify(path: Path) -> onnx.ModelProto:
    """The network with what is constant computed, which halves its operators: it opens a third faster.

    ONNX Runtime's basic optimizations are used, since they keep to the operators of ONNX and fit every machine.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    model = onnx.load(path)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    return model


def _half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Stores large float32 weights as float16 and casts them back where they are used; ONNX Runtime does so once."""
    casts = []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < 64:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
    return model
