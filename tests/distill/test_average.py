"""Between two networks: encoder and branch are mixed, the heads stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from distill.commands.average import average
from models.student.network import Student
from models.student.weights import BRANCH_PARTS, save_student
from surfaces.errors import WeightsError


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.npz", tmp_path / "b.npz"
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        save_student(Student(), path)
    return paths


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_branches_are_mixed_by_share_and_heads_are_the_students(two: tuple[Path, Path], share: float) -> None:
    mixed = {name: tensor.numpy() for name, tensor in average(*two, share).state_dict().items()}
    own, other = (dict(np.load(path)) for path in two)
    for name, array in mixed.items():
        in_branch = name.split(".")[0] in BRANCH_PARTS
        expected = share * own[name] + (1 - share) * other[name] if in_branch else own[name]
        np.testing.assert_allclose(array, expected, atol=1e-5, err_msg=name)


def test_other_encoders_do_not_mix(two: tuple[Path, Path], tmp_path: Path) -> None:
    lite = tmp_path / "lite.npz"
    save_student(Student("efficientnet_lite0"), lite)
    with pytest.raises(WeightsError, match="expected a mosaic network"):
        average(two[0], lite, 0.5)
