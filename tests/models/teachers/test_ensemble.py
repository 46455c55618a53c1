from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.teachers.base import Floats, InstancePrediction, Prediction, SemanticPrediction
from models.teachers.ensemble import Ensemble
from models.teachers.grounded_sam import rasterize_instances
from models.teachers.windows import predict_windows, windows_of
from surfaces.classes import DINING_TABLE, FLOOR, WALL, SurfaceClass
from surfaces.detections import Image, Mask, box_of_mask


@dataclass
class SemanticTeacher:
    """Predicts a function of the photo; records the shapes of the photos."""

    probabilities: Callable[[Image], Floats]
    name: str = "semantic"
    seen: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def predict(self, image: Image) -> Prediction:
        self.seen.append(image.shape)
        semantic = self.probabilities(image).astype(np.float32)
        return Prediction(semantic=SemanticPrediction(semantic, np.zeros(semantic.shape[1:], np.float32)))


@dataclass
class InstanceTeacher:
    """Predicts the same instance in every photo."""

    instance: InstancePrediction
    name: str = "instances"
    fingerprint: str = "instances"

    def predict(self, image: Image) -> Prediction:
        assert self.instance.mask.shape == image.shape[:2]
        return Prediction(instances=(self.instance,))


def constant(*probabilities: float, size_hw: tuple[int, int] = (4, 6)) -> SemanticTeacher:
    """The same probabilities (other, wall, floor, dining table) everywhere."""
    semantic = np.empty((4, *size_hw), np.float32)
    semantic[:] = np.reshape(probabilities, (4, 1, 1))
    return SemanticTeacher(lambda _: semantic)


def by_brightness(image: Image) -> Floats:
    """As fine as the photo: the brighter a pixel, the more it is wall, else floor."""
    bright = image[:, :, 0].astype(np.float32) / 255
    return np.stack([np.zeros_like(bright), bright, 1 - bright, np.zeros_like(bright)])


def left_half(image: Image) -> Floats:
    """The left half of any photo is wall, the right half floor."""
    semantic = np.zeros((4, *image.shape[:2]), np.float32)
    middle = image.shape[1] // 2
    semantic[1, :, :middle] = semantic[2, :, middle:] = 1
    return semantic


def photo(height: int = 8, width: int = 12) -> Image:
    """Grey that changes smoothly from the upper left to the lower right."""
    rows, columns = np.mgrid[:height, :width]
    grey = 40 + 170 * (rows / height + columns / width) / 2
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)


def semantic_of(ensemble: Ensemble, image: Image) -> SemanticPrediction:
    semantic = ensemble.predict(image).semantic
    assert semantic is not None
    assert semantic.probabilities.dtype == semantic.disagreement.dtype == np.float32
    np.testing.assert_allclose(semantic.probabilities.sum(axis=0), 1, atol=1e-5)
    assert semantic.disagreement.shape == semantic.probabilities.shape[1:]
    return semantic


def instance(surface: SurfaceClass | None, score: float, mask: Mask) -> InstancePrediction:
    return InstancePrediction(surface, "words", score, box_of_mask(mask), mask)


def test_the_mean_and_the_largest_distance_to_it() -> None:
    semantic = semantic_of(Ensemble([constant(0.1, 0.9, 0, 0), constant(0.3, 0.5, 0.2, 0)]), photo())
    np.testing.assert_allclose(semantic.probabilities[:, 0, 0], [0.2, 0.7, 0.1, 0], atol=1e-6)
    np.testing.assert_allclose(semantic.disagreement, (0.1 + 0.2 + 0.1) / 2, atol=1e-6)
    three = Ensemble([constant(1, 0, 0, 0), constant(1, 0, 0, 0), constant(0, 1, 0, 0)])
    np.testing.assert_allclose(semantic_of(three, photo()).disagreement, 2 / 3, atol=1e-6)


def test_one_teacher_alone_is_unchanged() -> None:
    prediction = Ensemble([SemanticTeacher(by_brightness)], mirror=False).predict(photo())
    assert prediction.semantic is not None
    np.testing.assert_array_equal(prediction.semantic.probabilities, by_brightness(photo()))
    assert not prediction.semantic.disagreement.any()
    assert prediction.agreement == {}


def test_the_mirrored_photo_is_mirrored_back() -> None:
    same = semantic_of(Ensemble([SemanticTeacher(by_brightness)]), photo())
    np.testing.assert_allclose(same.probabilities, by_brightness(photo()), atol=1e-6)
    np.testing.assert_allclose(same.disagreement, 0, atol=1e-6)

    prediction = Ensemble([SemanticTeacher(left_half)]).predict(photo())
    assert prediction.semantic is not None
    np.testing.assert_allclose(prediction.semantic.probabilities[1:3], 0.5)
    np.testing.assert_allclose(prediction.semantic.disagreement, 0.5)
    assert prediction.agreement == {"flips": 0.0}


def test_the_finest_raster_is_taken() -> None:
    members = [constant(0, 1, 0, 0, size_hw=(4, 9)), constant(0, 0, 1, 0, size_hw=(6, 5))]
    semantic = semantic_of(Ensemble(members), photo())
    assert semantic.probabilities.shape == (4, 6, 9)
    np.testing.assert_allclose(semantic.probabilities[1:3], 0.5)


def test_coarse_probabilities_stay_in_their_places() -> None:
    coarse = np.zeros((4, 2, 2), np.float32)
    coarse[1, :, 0] = coarse[2, :, 1] = 1
    members = [SemanticTeacher(lambda _: coarse), constant(0, 0.5, 0.5, 0, size_hw=(8, 8))]
    wall = semantic_of(Ensemble(members, mirror=False), photo()).probabilities[1]
    np.testing.assert_allclose(wall[0], (np.clip(1 - (np.arange(8) + 0.5 - 2) / 4, 0, 1) + 0.5) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([3, 1], [0.5, 0.375, 0, 0.125]),
        ([{"dining table": 0.25}, {"dining table": 0.75}], np.array([0.5, 0.25, 0, 0.375]) / 1.125),
    ],
    ids=["by member", "by class"],
)
def test_weights(weights: list[float], expected: list[float]) -> None:
    ensemble = Ensemble([constant(0.5, 0.5, 0, 0), constant(0.5, 0, 0, 0.5)], weights)
    np.testing.assert_allclose(semantic_of(ensemble, photo()).probabilities[:, 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize(("columns", "expected"), [((5, 10), 0.5), ((5, 10, 5), (0.5 + 1 + 0.5) / 3), ((0, 0), 1.0)])
def test_agreement_of_members(columns: tuple[int, ...], expected: float) -> None:
    def wall_until(column: int) -> SemanticTeacher:
        semantic = np.zeros((4, 10, 10), np.float32)
        semantic[1, :, :column] = semantic[0, :, column:] = 1
        return SemanticTeacher(lambda _: semantic)

    ensemble = Ensemble([wall_until(column) for column in columns], mirror=False)
    assert ensemble.predict(photo()).agreement == {"backends": pytest.approx(expected)}


def test_names_and_fingerprints() -> None:
    first, second = SemanticTeacher(by_brightness, "a"), SemanticTeacher(by_brightness, "b")
    ensembles = [
        Ensemble([first, second]),
        Ensemble([second, first]),
        Ensemble([first]),
        Ensemble([first, second], weights=[1, 2]),
        Ensemble([first, second], mirror=False),
        Ensemble([first, second], scales=(1, 1.5)),
    ]
    assert len({ensemble.fingerprint for ensemble in ensembles}) == len(ensembles)
    assert Ensemble([first, second], weights=[1, 1]).fingerprint == ensembles[0].fingerprint
    assert ensembles[0].name == "ensemble (a, b)"


@pytest.mark.parametrize(
    "wrong",
    [
        {"members": []},
        {"weights": [1, 2]},
        {"weights": [-1]},
        {"weights": [0]},
        {"weights": [{"table": 1}]},
        {"scales": ()},
        {"scales": (0.5,)},
    ],
)
def test_invalid_settings(wrong: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Ensemble(**({"members": [SemanticTeacher(by_brightness)]} | wrong))


def test_scales_use_windows() -> None:
    teacher = SemanticTeacher(by_brightness)
    semantic = semantic_of(Ensemble([teacher], mirror=False, scales=(1, 1.5)), photo(60, 90))
    assert teacher.seen == [(60, 90, 3)] + 4 * [(40, 60, 3)]
    assert semantic.probabilities.shape == (4, 60, 90)
    np.testing.assert_allclose(semantic.probabilities, by_brightness(photo(60, 90)), atol=0.01)
    assert semantic.disagreement.max() < 0.02


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 90), st.integers(2, 90), st.sampled_from([1.0, 1.25, 1.5, 2.0, 3.0]) | st.floats(1, 5))
@example(30, 76, 2.984375)
def test_windows_cover_the_photo(height: int, width: int, scale: float) -> None:
    seen = np.zeros((height, width), int)
    for window in windows_of(height, width, scale):
        assert seen[window].shape == (math.ceil(height / scale), math.ceil(width / scale))
        seen[window] += 1
    assert seen.min() >= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(30, 90), st.integers(30, 90), st.floats(1.1, 3), st.integers(1, 3))
@example(30, 76, 2.984375, 2)
def test_predictions_of_windows_stay_in_their_places(height: int, width: int, scale: float, coarser: int) -> None:
    def predict(parts: Sequence[Image]) -> list[np.ndarray]:
        assert 1 <= len(parts) <= 2
        return [by_brightness(part).repeat(coarser, axis=1).repeat(coarser, axis=2) for part in parts]

    alone = predict_windows([photo(height, width)], scale, predict)
    both = predict_windows([photo(height, width), photo(width, height)], scale, predict)
    np.testing.assert_array_equal(alone[0], both[0])
    wall = alone[0][1]
    rows, columns = ((np.arange(side) + 0.5) / side for side in wall.shape)
    expected = (40 + 170 * (rows[:, None] + columns[None]) / 2) / 255
    # Half a pixel of the photo is where its grey is sampled, and one where windows are rounded to.
    slack = 170 / 255 * 1.5 / min(height, width) + 2 / 255
    np.testing.assert_allclose(wall, expected, atol=slack)


def test_instances_are_rasterized() -> None:
    wall, floor, table, rug = (np.zeros((4, 8), bool) for _ in range(4))
    wall[:2], floor[2:], table[1:3, 2:6], rug[3, 6:] = True, True, True, True
    found = [
        instance(DINING_TABLE, 0.4, table),
        instance(FLOOR, 0.8, floor),
        instance(None, 0.6, rug),
        instance(WALL, 0.9, wall),
    ]
    semantic = rasterize_instances(found, (4, 8))
    for place, expected in (
        ((0, 0), (0.1, 0.9, 0, 0)),
        ((3, 0), (0.2, 0, 0.8, 0)),
        ((1, 3), (0.6, 0, 0, 0.4)),
        ((2, 3), (0.6, 0, 0, 0.4)),
        ((3, 7), (1, 0, 0, 0)),
    ):
        np.testing.assert_allclose(semantic.probabilities[:, *place], expected, atol=1e-6)
    coarse = rasterize_instances(found, (2, 4)).probabilities
    np.testing.assert_allclose(coarse[:, 0, 1], [0.1 / 2 + 0.6 / 2, 0.9 / 2, 0, 0.4 / 2], atol=0.005)
    np.testing.assert_array_equal(rasterize_instances([], (2, 3)).probabilities[0], np.ones((2, 3)))


def test_the_best_thing_is_on_top() -> None:
    mask = np.ones((2, 2), bool)
    found = [instance(DINING_TABLE, 0.7, mask), instance(None, 0.5, mask), instance(WALL, 0.99, mask)]
    np.testing.assert_allclose(rasterize_instances(found, (2, 2)).probabilities[:, 0, 0], [0.3, 0, 0, 0.7], atol=1e-6)


def test_a_detector_among_semantic_networks() -> None:
    mask = np.zeros((8, 12), bool)
    mask[:, 3:9] = True  # alike mirrored
    members = [InstanceTeacher(instance(WALL, 0.8, mask)), constant(0, 1, 0, 0, size_hw=(2, 2))]
    semantic = semantic_of(Ensemble(members), photo())
    assert semantic.probabilities.shape == (4, 8, 12)
    np.testing.assert_allclose(semantic.probabilities[1][mask], 0.9, atol=1e-6)
    np.testing.assert_allclose(semantic.probabilities[1][~mask], 0.5, atol=1e-6)


def test_instances_of_large_photos_are_rasterized_small() -> None:
    mask = np.zeros((1000, 2000), bool)
    mask[:, :1000] = True
    semantic = semantic_of(Ensemble([InstanceTeacher(instance(FLOOR, 1.0, mask))], mirror=False), photo(1000, 2000))
    assert semantic.probabilities.shape == (4, 128, 256)
    np.testing.assert_array_equal(semantic.probabilities[2], np.arange(256)[None].repeat(128, 0) < 128)
