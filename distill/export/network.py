"""Writes a student as ONNX: traced, weights stored as float16, and checked against torch."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from distill.export.padding import pads_into_convolutions
from distill.export.parity import Difference, compare
from models.inference.postprocess import FusionSettings
from models.inference.segmenter import NAME_KEY, SETTINGS_KEY, TRAINING_PHOTOS_KEY
from models.student.network import Student
from models.weights.training_photos import TrainingPhotos
from surfaces.errors import SurfacesError
from surfaces.io.atomic_files import make_folder, temporary_path

OPSET = 17
OUTPUTS = ("probabilities", "boxes", "scores", "masks")


class ExportError(SurfacesError):
    """The exported network does not do what the trained one does."""

    exit_code = 12


def rounded_to_half(student: Student) -> Student:
    """The student with weights that float16 can hold, so that storing them so loses nothing."""
    for parameter in student.parameters():
        parameter.data = parameter.data.half().float()
    return student.eval()


def export(
    student: Student, out: Path, name: str, settings: FusionSettings, images: Sequence[npt.NDArray[np.uint8]]
) -> list[Difference]:
    """Writes OUT: ONNX, weights stored as float16, computed in float32.

    Args:
        student: weights already rounded to float16.
        out: the ONNX file.
        name: the model's name, kept in the file.
        settings: the operating point, kept in the file.
        images: photos that both networks are run on.

    Returns:
        How far the exported network is from torch, output by output.

    Raises:
        ExportError: farther than distill.export.parity allows; no file is left then.
    """
    make_folder(out.parent)
    temporary = temporary_path(out.parent)
    try:
        trace(student, temporary)
        model = half_weights(pads_into_convolutions(onnx.load(temporary)))
        store(model, temporary, name, settings, student.training_photos)
        differences = compare(student, temporary, images)
        wrong = [difference for difference in differences if not difference.tolerated]
        if wrong:
            raise ExportError(f"expected the exported network to agree with torch, got {wrong[0]}")
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return differences


class Exported(nn.Module):
    """The student with plain tensors as inputs and outputs."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `Student.detect` finds in a photo: probabilities, tables' boxes, their scores and masks."""
        found = self.student.detect(image)
        return found.probabilities, found.boxes_xyxy, found.scores, found.masks


def trace(student: Student, path: Path) -> None:
    """Writes the network as ONNX for one photo of any size that it takes.

    The TorchScript exporter is used, since the newer one fails on torchvision's detection code (pytorch/vision #9306).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Exported(student).eval(),
            (torch.rand(1, 3, 512, 640) * 255,),
            str(path),
            input_names=["image"],
            output_names=list(OUTPUTS),
            dynamic_axes={
                "image": {2: "height", 3: "width"},
                "probabilities": {2: "rows", 3: "columns"},
                **{output: {0: "tables"} for output in OUTPUTS[1:]},
            },
            opset_version=OPSET,
            dynamo=False,
        )


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
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


def store(model: onnx.ModelProto, path: Path, name: str, settings: FusionSettings, photos: TrainingPhotos) -> None:
    """Writes the model with its name, operating point and training photos, checked to be valid ONNX."""
    metadata = {
        NAME_KEY: name,
        SETTINGS_KEY: json.dumps(dataclasses.asdict(settings), sort_keys=True),
        TRAINING_PHOTOS_KEY: photos.to_text(),
    }
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
