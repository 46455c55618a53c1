"""The contenders of a score sheet, ready to run: what each finds in a photo, and how large it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import onnx
from onnx import TensorProto

from distill.evaluation.single_pass import DOUBTFUL_SCORE
from distill.score_sheet_config import ContenderEntry, resolved
from distill.score_sheet_contender import OpenContender
from models.inference.model_output import ModelOutput
from models.inference.postprocess import FusionSettings, merge
from models.inference.segmenter import Segmenter
from models.teachers.base import SemanticPrediction, Teacher
from models.teachers.class_map import MOSAIC, ClassMap
from models.teachers.ensemble import Ensemble
from models.teachers.onnx_semantic import OnnxSemantic
from models.teachers.student import StudentTeacher
from models.weights.registry import shipped
from surfaces.detections import Detection, Image

MOST_PROBABLE = FusionSettings(residual_score=0.0)
"""A belief's own operating point: the most probable class of each pixel, each region of table a table."""


def missing_weights(entry: ContenderEntry) -> list[str]:
    """The files of a contender, as its entry writes them, that are not there."""
    return [text for text in entry.weights if not resolved(text).is_file()]


def open_contender(entry: ContenderEntry, threads: int) -> OpenContender:
    """Opens a contender whose files are there.

    Args:
        entry: which.
        threads: CPU threads.

    Raises:
        WeightsError: a file is not what is expected.
        ConfigError: there is no such network.
        MissingExtraError: it needs a package that is not installed.
    """
    files = [resolved(text) for text in entry.weights]
    if entry.kind == "mask-rcnn":
        from distill.score_sheet_large import open_mask_rcnn

        return open_mask_rcnn(entry.network)
    if entry.kind == "grounded-sam":
        from distill.score_sheet_large import open_random_grounded_sam

        return open_random_grounded_sam()
    if entry.kind == "segmenter":
        return _open_segmenter(files[0] if files else None, threads)
    members = files or [shipped("onnx").path]
    teachers = [_open_teacher(entry, file, threads) for file in members]
    teacher = teachers[0] if len(teachers) == 1 and not entry.mirror else Ensemble(teachers, mirror=entry.mirror)
    return _believing(teacher, members)


def belief_detections(
    soft_labels: SemanticPrediction, height: int, width: int, settings: FusionSettings
) -> list[Detection]:
    """Segments of a photo that follow from a belief alone.

    Args:
        belief: of the photo, at any resolution.
        height, width: of the photo in pixels.
        settings: the operating point; a table's score is its mean probability.

    Returns:
        Wall, floor, then dining tables by descending score, as `merge` gives them where no box is.
    """
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 1, 1), np.float32)
    return merge(ModelOutput(soft_labels.probabilities, *nothing), height, width, settings)


def onnx_parameters(path: Path) -> int:
    """How many floating-point numbers an ONNX file holds, as initialisers or as constants."""
    graph = onnx.load(path).graph
    constants = [attribute.t for node in graph.node if node.op_type == "Constant" for attribute in node.attribute]
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16)
    return sum(prod(one.dims) for one in (*graph.initializer, *constants) if one.data_type in kinds)


def _open_teacher(entry: ContenderEntry, weights: Path, threads: int) -> Teacher:
    if entry.kind == "student":
        return StudentTeacher(weights, threads)
    class_map = MOSAIC if entry.class_map == MOSAIC.stem else resolved(entry.class_map)
    return OnnxSemantic(weights, ClassMap.read(class_map), threads)


def _open_segmenter(weights: Path | None, threads: int) -> OpenContender:
    segmenter = Segmenter(weights, threads)
    raw = _Remembered(segmenter.raw)
    with_doubtful = replace(segmenter.settings, table_score=DOUBTFUL_SCORE)
    path = weights or shipped("onnx").path
    return OpenContender(
        predict=lambda image: merge(raw(image), image.shape[0], image.shape[1], segmenter.settings),
        doubtful=lambda image: merge(raw(image), image.shape[0], image.shape[1], with_doubtful),
        fingerprint=segmenter.sha256,
        parameters=onnx_parameters(path),
        file_bytes=path.stat().st_size,
    )


def _believing(teacher: Teacher, files: list[Path]) -> OpenContender:
    look = _Remembered(teacher.look)

    def predict(image: Image) -> list[Detection]:
        soft_labels = look(image).soft_labels
        assert soft_labels is not None  # semantic networks and their ensembles always have one
        return belief_detections(soft_labels, image.shape[0], image.shape[1], MOST_PROBABLE)

    return OpenContender(
        predict=predict,
        doubtful=predict,
        fingerprint=teacher.fingerprint,
        parameters=sum(map(onnx_parameters, files)),
        file_bytes=sum(file.stat().st_size for file in files),
    )


R = TypeVar("R")


class _Remembered(Generic[R]):
    """A function of a photo that is not computed twice for the same photo object in a row."""

    def __init__(self, compute: Callable[[Image], R]) -> None:
        self._compute = compute
        self._last: tuple[Any, R] | None = None

    def __call__(self, image: Image) -> R:
        if self._last is None or self._last[0] is not image:
            self._last = image, self._compute(image)
        return self._last[1]
