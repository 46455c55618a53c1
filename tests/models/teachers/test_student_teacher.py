"""Our own network as a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import Segmenter
from models.teachers.student import StudentTeacher
from models.weights.registry import shipped
from surfaces.errors import WeightsError
from surfaces.images.load import load_image


def test_it_believes_what_the_branch_says(room_path: Path) -> None:
    room = load_image(str(room_path))
    teacher = StudentTeacher(threads=1)
    prediction = teacher.predict(room)
    assert prediction.semantic is not None
    np.testing.assert_array_equal(prediction.semantic.probabilities, Segmenter(threads=1).raw(room).probabilities)
    assert not prediction.semantic.disagreement.any()
    assert (prediction.instances, prediction.agreement) == ((), {})
    named = StudentTeacher(shipped("onnx").path, threads=1)
    assert (named.name, named.fingerprint) == (teacher.name, teacher.fingerprint)
    assert teacher.name == "student (surfaces)"


def test_weights_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected weights at"):
        StudentTeacher(tmp_path / "none.onnx")
