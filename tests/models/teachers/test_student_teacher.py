"""Our own network as a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import Segmenter
from models.registry import shipped
from models.teachers.student import StudentTeacher
from surfaces.errors import WeightsError
from surfaces.images import load_image


def test_it_believes_what_the_branch_says(room_path: Path) -> None:
    room = load_image(str(room_path))
    teacher = StudentTeacher(threads=1)
    opinion = teacher.look(room)
    assert opinion.belief is not None
    np.testing.assert_array_equal(opinion.belief.probabilities, Segmenter(threads=1).raw(room).probabilities)
    assert not opinion.belief.disagreement.any()
    assert (opinion.proposals, opinion.agreement) == ((), {})
    named = StudentTeacher(shipped("onnx").path, threads=1)
    assert (named.name, named.fingerprint) == (teacher.name, teacher.fingerprint)
    assert teacher.name == "student (surfaces)"


def test_weights_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected weights at"):
        StudentTeacher(tmp_path / "none.onnx")
