"""Several teachers as one, with flip and multi-scale test-time augmentation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from models.teachers.base import Floats, Prediction, SemanticPrediction, Teacher, teacher_licences
from models.teachers.batches import predict_all
from models.teachers.grounded_sam import rasterize_instances
from models.teachers.windows import predict_windows
from surfaces.classes import CLASSES
from surfaces.detections import Image
from surfaces.licences import merged

MemberWeight = float | Mapping[str, float]
"""How much a member counts: for all classes alike, or by a class's name; classes that are not named count 1."""

_RASTER_SIDE = 256  # longest side in pixels of the raster on which instances become probabilities
_LEAST_SHARE = 0.001  # classes below this share of the photo do not count for agreement


class Ensemble:
    """A teacher that averages its members' probabilities over both orientations and all scales.

    Args:
        members: teachers; instances of those without semantic probabilities are rasterized.
        weights: one a member; None: all alike. Means by class are normalized to sum to 1.
        mirror: whether the mirrored photo is predicted too.
        scales: from 1: multiples of the photo's size, predicted in sliding windows.

    Raises:
        ValueError: no member, another number of weights, a weight below 0, none above it, or a scale below 1.
    """

    def __init__(
        self,
        members: Sequence[Teacher],
        weights: Sequence[MemberWeight] | None = None,
        mirror: bool = True,
        scales: Sequence[float] = (1.0,),
    ) -> None:
        if not members or not scales or min(scales) < 1:
            raise ValueError(f"expected members, and scales from 1, got {len(members)} members, scales {list(scales)}")
        self._members = tuple(members)
        self._weights = _weight_matrix(weights if weights is not None else [1.0] * len(members))
        if len(self._weights) != len(members):
            raise ValueError(f"expected a weight for each of {len(members)} members, got {len(self._weights)}")
        self._mirror = mirror
        self._scales = tuple(scales)
        settings = [self._weights.tolist(), mirror, list(self._scales)]
        described = json.dumps([[member.fingerprint for member in members], settings])
        self.licences = merged(licence for member in members for licence in teacher_licences(member))
        self.name = f"ensemble ({', '.join(member.name for member in members)})"
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()

    def predict(self, image: Image) -> Prediction:
        """The mean probabilities on the finest raster of any member, and the members' agreement.

        That is the mean IoU of the most probable classes, between `flips` and between `backends` (members).
        """
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Sequence[Image]) -> list[Prediction]:
        """As `predict`, for several photos: each member gets all at once, if it can."""
        views = [self._views(member, images) for member in self._members]
        return [self._mean([member[index] for member in views]) for index in range(len(images))]

    def _mean(self, views: list[list[list[Floats]]]) -> Prediction:
        """Of the views of one photo, by member, orientation and scale."""
        shapes = [view.shape[1:] for member in views for orientation in member for view in orientation]
        rows, columns = np.max(shapes, axis=0)
        raster = np.array([[[_upsample(v, rows, columns) for v in scales] for scales in member] for member in views])
        mean = _weighted_mean(raster.mean(axis=(1, 2)), self._weights)
        return Prediction(
            semantic=SemanticPrediction(mean, _disagreement(raster, mean)), agreement=self._agreement(raster)
        )

    def _views(self, member: Teacher, images: Sequence[Image]) -> list[list[list[Floats]]]:
        """A member's probabilities (4, h, w), for each photo in each orientation at each scale."""
        upright = self._at_scales(member, images)
        if not self._mirror:
            return [[scales] for scales in upright]
        mirrored = self._at_scales(member, [np.ascontiguousarray(image[:, ::-1]) for image in images])
        return [[scales, [view[:, :, ::-1] for view in back]] for scales, back in zip(upright, mirrored, strict=True)]

    def _at_scales(self, member: Teacher, images: Sequence[Image]) -> list[list[Floats]]:
        predict = partial(_predict_probabilities, member)
        at_scales = [predict_windows(images, scale, predict) for scale in self._scales]
        return [list(scales) for scales in zip(*at_scales, strict=True)]

    def _agreement(self, raster: Floats) -> dict[str, float]:
        """Of views (members, orientations, scales, 4, h, w)."""
        agreement = {}
        if self._mirror:
            orientations = raster.mean(axis=2).argmax(axis=2)
            agreement["flips"] = float(np.mean([_mean_iou(*both) for both in orientations]))
        if len(self._members) > 1:
            found = raster.mean(axis=(1, 2)).argmax(axis=1)
            agreement["backends"] = float(np.mean([_mean_iou(*pair) for pair in combinations(found, 2)]))
        return agreement


def _predict_probabilities(member: Teacher, images: Sequence[Image]) -> list[Floats]:
    predictions = predict_all(member, images)
    return [_probabilities(prediction, image) for prediction, image in zip(predictions, images, strict=True)]


def _probabilities(prediction: Prediction, image: Image) -> Floats:
    if prediction.semantic is not None:
        return prediction.semantic.probabilities
    scale = min(1.0, _RASTER_SIDE / max(image.shape[:2]))
    rows, columns = (max(1, round(side * scale)) for side in image.shape[:2])
    return rasterize_instances(prediction.instances, (rows, columns)).probabilities


def _weight_matrix(weights: Sequence[MemberWeight]) -> Floats:
    """Weights as float32 (members, 4): other, wall, floor, dining table."""
    names = ["other", *(surface.name for surface in CLASSES)]
    for weight in weights:
        if isinstance(weight, Mapping) and not set(weight) <= set(names):
            raise ValueError(f"expected weights of {', '.join(names)}, got {', '.join(weight)}")
    matrix = np.array(
        [[w.get(name, 1.0) for name in names] if isinstance(w, Mapping) else [w] * len(names) for w in weights],
        np.float32,
    )
    if not ((matrix >= 0).all() and (matrix.sum(axis=0) > 0).all()):
        raise ValueError(f"expected weights from 0, one of them above it for each class, got {list(weights)}")
    return matrix


def _weighted_mean(soft_labels: Floats, weights: Floats) -> Floats:
    """The mean of probabilities (members, 4, h, w) with weights (members, 4), summing to 1 over the classes."""
    mean = np.einsum("mchw,mc->chw", soft_labels, weights / weights.sum(axis=0))
    return np.asarray(mean / np.maximum(mean.sum(axis=0), np.finfo(np.float32).tiny), np.float32)


def _disagreement(raster: Floats, mean: Floats) -> Floats:
    """The largest total variation distance of any view (…, 4, h, w) to the mean (4, h, w)."""
    views = raster.reshape(-1, *mean.shape)
    distance = np.abs(views - mean).sum(axis=1).max(axis=0) / 2
    return np.asarray(np.minimum(distance, 1), np.float32)


def _mean_iou(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp]) -> float:
    """Mean IoU of the classes that either label map has; 1 where none has any."""
    ious = []
    for surface in CLASSES:
        first, second = one == surface.coco_id, other == surface.coco_id
        union = np.count_nonzero(first | second)
        if union >= _LEAST_SHARE * one.size:
            ious.append(np.count_nonzero(first & second) / union)
    return float(np.mean(ious)) if ious else 1.0


def _upsample(semantic: Floats, rows: int, columns: int) -> Floats:
    if semantic.shape[1:] == (rows, columns):
        return semantic
    bilinear = cv2.resize(semantic.transpose(1, 2, 0), (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(bilinear, np.float32).transpose(2, 0, 1)
