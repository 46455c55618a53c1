"""Soft labels of a network for photos whose labels leave a choice of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models import Segmenter
from models.teachers.student import StudentTeacher
from models.weights.training_photos import TrainingPhotos
from surfaces.datasets import Labels, Sample
from surfaces.datasets.sample import WrappedSample
from surfaces.licences import Licence

SHIPPED = "shipped"


@dataclass(frozen=True, eq=False)
class SoftLabelledSample(WrappedSample):
    """A sample that also has the probabilities of a network."""

    teacher: StudentTeacher

    def labels(self) -> Labels:
        """The sample's labels; where some classes are unlabelled, with the network's probabilities as soft labels."""
        labels = self.sample.labels()
        if not labels.scope.unlabelled:
            return labels
        semantic = self.teacher.predict(self.image()).semantic
        assert semantic is not None
        soft_labels = (255 * semantic.probabilities).round().clip(0, 255).astype(np.uint8)
        return replace(labels, soft_labels=soft_labels)


def add_soft_labels(samples: Sequence[Sample], network: str) -> list[Sample]:
    """The samples with a network's soft labels.

    Args:
        samples: read later, one at a time.
        network: an ONNX file that `python -m distill export` wrote, or SHIPPED.

    Raises:
        WeightsError: it is no such network, or one of other classes.
    """
    teacher = StudentTeacher(None if network == SHIPPED else Path(network))
    return [SoftLabelledSample(sample, teacher) for sample in samples]


def licences_of_network(network: str) -> tuple[Licence, ...]:
    """Of what a network, as `add_soft_labels` takes it, learned from: its labels carry them on."""
    photos: TrainingPhotos = Segmenter(None if network == SHIPPED else Path(network)).training_photos
    return photos.licences
