"""The candidate models. Nothing is downloaded: where COCO's weights are not cached, Mask R-CNN is only timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights, maskrcnn_resnet50_fpn

from distill.commands.benchmark import MASK_RCNNS, random_mask_rcnn
from distill.evaluation.single_pass import DOUBTFUL_SCORE
from distill.training.config import ConfigError
from models.inference.model_output import ModelOutput, choose_input_size
from models.inference.postprocess import FusionSettings, fuse
from models.inference.segmenter import Segmenter
from models.student.instance_heads import MAX_DETECTIONS
from models.teachers.base import SemanticPrediction, Teacher
from models.teachers.class_map import MOSAIC, ClassMap
from models.teachers.ensemble import Ensemble
from models.teachers.onnx_semantic import OnnxSemantic
from models.teachers.student import StudentTeacher
from models.weights.registry import shipped
from surfaces.classes import DINING_TABLE
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import WeightsError
from tools.compare_models.config import ModelEntry, resolve

Predict = Callable[[Image], list[Detection]]

MOST_PROBABLE = FusionSettings(residual_score=0.0)
"""Operating point of semantic probabilities: each pixel's most probable class, each table region a table."""

COCO_DINING_TABLE = 67
TABLE_SCORE = MASK_THRESHOLD = 0.5


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that is ready to run."""

    predict: Predict
    fingerprint: str  # changes whenever predictions may
    parameters: int
    file_bytes: int
    low_confidence: Predict | None = None  # as `predict`, with the tables that it drops for their low scores
    scored: bool = True  # False: random weights, only timed
    note: str = ""


def load_model(entry: ModelEntry, threads: int) -> LoadedModel:
    """Loads a model whose files exist."""
    files = [resolve(text) for text in entry.weights]
    if entry.kind == "mask-rcnn":
        return load_mask_rcnn(entry.network)
    if entry.kind == "segmenter":
        return _load_segmenter(files[0] if files else None, threads)
    return _load_semantic(entry, files or [shipped("onnx").path], threads)


def fuse_probabilities(soft_labels: SemanticPrediction, height: int, width: int) -> list[Detection]:
    """Segments of a photo of that size from semantic probabilities alone; a table's score is its mean probability."""
    no_boxes = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 1, 1), np.float32)
    return fuse(ModelOutput(soft_labels.probabilities, *no_boxes), height, width, MOST_PROBABLE)


def count_onnx_parameters(path: Path) -> int:
    """Floating-point numbers in an ONNX file, initialisers and constants."""
    graph = onnx.load(path).graph
    constants = [attribute.t for node in graph.node if node.op_type == "Constant" for attribute in node.attribute]
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16)
    return sum(prod(one.dims) for one in (*graph.initializer, *constants) if one.data_type in kinds)


def _load_segmenter(weights: Path | None, threads: int) -> LoadedModel:
    segmenter = Segmenter(weights, threads)
    low_confidence = replace(segmenter.settings, table_score=DOUBTFUL_SCORE)
    path = weights or shipped("onnx").path

    def predict(image: Image, settings: FusionSettings) -> list[Detection]:
        return fuse(segmenter.infer(image), image.shape[0], image.shape[1], settings)

    return LoadedModel(
        predict=lambda image: predict(image, segmenter.settings),
        fingerprint=segmenter.sha256,
        parameters=count_onnx_parameters(path),
        file_bytes=path.stat().st_size,
        low_confidence=lambda image: predict(image, low_confidence),
    )


def _load_semantic(entry: ModelEntry, files: Sequence[Path], threads: int) -> LoadedModel:
    teachers: list[Teacher] = []
    for file in files:
        if entry.kind == "student":
            teachers.append(StudentTeacher(file, threads))
        else:
            class_map = MOSAIC if entry.class_map == MOSAIC.stem else resolve(entry.class_map)
            teachers.append(OnnxSemantic(file, ClassMap.read(class_map), threads))
    teacher = teachers[0] if len(teachers) == 1 and not entry.mirror else Ensemble(teachers, mirror=entry.mirror)

    def predict(image: Image) -> list[Detection]:
        soft_labels = teacher.predict(image).semantic
        assert soft_labels is not None  # semantic networks and their ensembles always have one
        return fuse_probabilities(soft_labels, image.shape[0], image.shape[1])

    parameters, size = sum(map(count_onnx_parameters, files)), sum(file.stat().st_size for file in files)
    return LoadedModel(predict, teacher.fingerprint, parameters, size)


def coco_file() -> Path:
    """Where torchvision caches its Mask R-CNN with COCO's weights."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(MaskRCNN_ResNet50_FPN_Weights.COCO_V1.url).name)


def load_mask_rcnn(name: str) -> LoadedModel:
    """A Mask R-CNN of `MASK_RCNNS` at the student's input size, with COCO's weights where they are cached (tables)."""
    if name not in MASK_RCNNS:
        raise ConfigError(f"expected `network` out of {', '.join(MASK_RCNNS)}; got {name!r}")
    cached = name == "resnet50_fpn" and coco_file().is_file()
    network = _load_coco_weights() if cached else random_mask_rcnn(name)
    network.eval()

    def predict(image: Image, min_score: float) -> list[Detection]:
        height, width = choose_input_size(image.shape[0], image.shape[1])
        network.transform.min_size, network.transform.max_size = (min(height, width),), max(height, width)
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
        with torch.inference_mode():
            found = network([tensor])[0]
        wanted = (found["labels"] == COCO_DINING_TABLE) & (found["scores"] >= min_score)
        masks = (found["masks"][wanted, 0] > MASK_THRESHOLD).numpy()
        pairs = zip(masks, found["scores"][wanted].tolist(), strict=True)
        return [Detection(DINING_TABLE, score, box_of_mask(mask), mask) for mask, score in pairs if mask.any()]

    parameters = sum(parameter.numel() for parameter in network.parameters())
    return LoadedModel(
        predict=lambda image: predict(image, TABLE_SCORE),
        low_confidence=lambda image: predict(image, 0.0),
        fingerprint=f"{name} {'coco' if cached else 'random'}",
        parameters=parameters,
        file_bytes=coco_file().stat().st_size if cached else 4 * parameters,
        scored=cached,
        note="COCO's weights: dining tables only" if cached else "random weights: COCO's are not cached here",
    )


def _load_coco_weights() -> Any:
    try:
        return maskrcnn_resnet50_fpn(
            weights=MaskRCNN_ResNet50_FPN_Weights.COCO_V1, progress=False, box_detections_per_img=MAX_DETECTIONS
        )
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"expected torchvision's Mask R-CNN at {coco_file()}: {reason}") from error
