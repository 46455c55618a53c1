"""The rule that tells rooms: its numbers, its file, and the weights that are shipped."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from autolabel.crawling.filters.interiors import InteriorClassifier, interior_features
from surfaces.errors import WeightsError


def belief() -> np.ndarray:
    """Wall above, floor below, half of each in between; a table in a corner of the floor."""
    made = np.zeros((4, 48, 48), np.float32)
    made[1, :16] = 0.9
    made[0, :16] = 0.1
    made[1:3, 16:32] = 0.5
    made[2, 32:] = 1.0
    made[2, 44:, :12], made[3, 44:, :12] = 0.0, 1.0
    return made


def test_features_are_those_of_the_belief() -> None:
    found = interior_features(belief())
    shares = {
        "table": 1 / 48,
        "wall sure": 1 / 3,
        "floor sure": 1 / 3 - 1 / 48,
        "wall top": 0.9,
        "wall middle": 0.5,
        "wall bottom": 0,
        "floor top": 0,
        "floor middle": 0.5,
    }
    means = {
        "other top": 0.1,
        "wall steps": (0.4 + 0.5) / 47,
        "entropy": (-0.9 * math.log(0.9) - 0.1 * math.log(0.1) + math.log(2)) / 3,
    }
    expected = {name: math.log(share + 1e-3) for name, share in shares.items()} | means
    assert found == pytest.approx(expected, abs=1e-4)


def test_features_do_not_depend_on_the_size() -> None:
    large = np.stack([np.repeat(np.repeat(plane, 4, axis=0), 2, axis=1) for plane in belief()])
    assert interior_features(large) == pytest.approx(interior_features(belief()), abs=1e-4)


def test_a_score_is_a_logistic_function_of_the_sum() -> None:
    rule = InteriorClassifier({"a": 2.0, "b": -1.0}, 0.5)
    assert rule.score({"a": 1.0, "b": 3.0, "c": 9.0}) == pytest.approx(1 / (1 + math.exp(0.5)))
    assert rule.score({"a": 1e9, "b": 0.0}) == pytest.approx(1)
    assert rule.score({"a": -1e9, "b": 0.0}) == pytest.approx(0, abs=1e-12)


def test_the_shipped_rule_weighs_what_is_measured() -> None:
    assert set(InteriorClassifier.load().weights) == set(interior_features(belief()))


@pytest.mark.parametrize(
    "text", [None, "", "bias = 1.0", "bias = 'a'\n[weights]", "[weights]\na = 1.0", "weights = 1\nbias = 0.0", "a b"]
)
def test_another_file_is_no_rule(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "rule.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(WeightsError, match="expected an interior classifier at"):
        InteriorClassifier.load(path)
