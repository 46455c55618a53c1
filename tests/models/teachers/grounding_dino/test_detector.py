from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from models.device import pick_device
from models.teachers.base import Prompt, PromptedBoxes, PromptError
from models.teachers.grounding_dino.detector import (
    DinoSettings,
    GroundingDino,
    boxes_in_photo,
    network_input,
    resized_size,
)
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Image
from surfaces.errors import DeviceError, WeightsError
from surfaces.images.load import decode_image, load_image
from tests.absent_packages import without
from tests.models.teachers.grounding_dino.tiny_dino import (
    FakeNetwork,
    Found,
    RedFinder,
    vocabulary,
    write_official_folder,
    write_tiny_folder,
    write_vocabulary,
)

ROOT = Path(__file__).parents[4]
WORDS = vocabulary()
WALL_ID, FLOOR_ID, DINING_ID, TABLE_ID = WORDS.token_ids("wall floor dining table")
PROMPTS = (Prompt("wall", WALL), Prompt("floor", FLOOR), Prompt("dining table", DINING_TABLE))
WHOLE = (0.5, 0.5, 1.0, 1.0)
LOWER_HALF = (0.5, 0.75, 1.0, 0.5)


def photo(width: int = 64, height: int = 48) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def detect(*found: Found, **settings: object) -> PromptedBoxes:
    return GroundingDino(FakeNetwork(found), WORDS, settings=DinoSettings(**settings)).detect(photo(), PROMPTS)


def test_boxes_score_for_their_own_tokens_alone() -> None:
    network = FakeNetwork([(WHOLE, {WALL_ID: 0.7, FLOOR_ID: 0.4}), (LOWER_HALF, {DINING_ID: 0.5, TABLE_ID: 0.9})])
    found = GroundingDino(network, WORDS).detect(photo(100, 60), PROMPTS)
    np.testing.assert_allclose(found.scores, [[0.7, 0.4, 0], [0, 0, 0.7]], atol=1e-6)
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 100, 60], [0, 30, 100, 60]], atol=1e-4)
    assert found.prompts == PROMPTS
    assert found.boxes_xyxy.dtype == found.scores.dtype == np.float32


def test_threshold_is_on_the_best_prompt_and_inclusive() -> None:
    found = detect(*((WHOLE, {WALL_ID: p, FLOOR_ID: 0.1}) for p in (0.2, 0.3, 0.5, 0.8)), box_threshold=0.5)
    np.testing.assert_allclose(found.scores[:, 0], [0.8, 0.5], atol=1e-6)


@pytest.mark.parametrize(("token_score", "scores"), [("mean", [0.45, 0.75]), ("max", [0.9, 0.8])])
def test_all_words_or_the_best_word(token_score: str, scores: list[float]) -> None:
    # The first is a coffee table: sure of `table`, not of `dining`.
    boxes = (WHOLE, {DINING_ID: 0, TABLE_ID: 0.9}), (LOWER_HALF, {DINING_ID: 0.8, TABLE_ID: 0.7})
    found = detect(*boxes, token_score=token_score)
    assert sorted(found.scores[:, 2].tolist()) == pytest.approx(sorted(scores), abs=1e-6)


def test_best_first() -> None:
    found = detect((WHOLE, {WALL_ID: 0.3}), (LOWER_HALF, {FLOOR_ID: 0.9}), (WHOLE, {FLOOR_ID: 0.6}))
    np.testing.assert_allclose(found.scores.max(axis=1), [0.9, 0.6, 0.3], atol=1e-6)


def test_passes_by_class_are_joined() -> None:
    network = FakeNetwork([(WHOLE, {WALL_ID: 0.7, FLOOR_ID: 0.4})])
    found = GroundingDino(network, WORDS, settings=DinoSettings(passes="class")).detect(photo(), PROMPTS)
    assert [len(ids) for ids in network.asked] == [4, 4, 5]
    np.testing.assert_allclose(found.scores, [[0.7, 0, 0], [0, 0.4, 0]], atol=1e-6)
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 64, 48]] * 2, atol=1e-4)


def test_more_prompts_than_a_caption_holds() -> None:
    prompts = [*(Prompt(f"door {i}", None) for i in range(90)), PROMPTS[0]]
    network = FakeNetwork([(WHOLE, {WALL_ID: 0.7})])
    found = GroundingDino(network, WORDS).detect(photo(), prompts)
    assert len(network.asked) > 1
    assert max(len(ids) for ids in network.asked) <= 256
    assert found.scores.shape == (1, 91)
    np.testing.assert_allclose(found.scores[0, 90], 0.7, atol=1e-6)


@pytest.mark.parametrize("prompts", [(), PROMPTS])
def test_nothing_found(prompts: Sequence[Prompt]) -> None:
    found = GroundingDino(FakeNetwork([]), WORDS).detect(photo(), prompts)
    assert (found.boxes_xyxy.shape, found.scores.shape) == ((0, 4), (0, len(prompts)))


def test_boxes_that_enclose_nothing_and_broken_numbers_are_dropped() -> None:
    empty = ((0.5, 0.5, 0.0, 0.5), {WALL_ID: 0.9})
    found = detect(empty, (WHOLE, {WALL_ID: float("nan")}), (WHOLE, {WALL_ID: 0.5}))
    np.testing.assert_allclose(found.scores, [[0.5, 0, 0]], atol=1e-6)


def test_prompts_that_cannot_be_read_are_one_line() -> None:
    with pytest.raises(PromptError, match=r"\Aexpected a prompt that BERT's vocabulary can spell, got 'стена'\Z"):
        GroundingDino(FakeNetwork([]), WORDS).detect(photo(), [Prompt("стена", WALL)])


@given(
    st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 4), min_size=1, max_size=5),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_boxes_are_inside_the_photo(shares: list[tuple[float, ...]], height: int, width: int) -> None:
    boxes = boxes_in_photo(np.array(shares, np.float32), height, width)
    assert boxes.dtype == np.float32
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    assert (boxes[:, :2] <= boxes[:, 2:]).all()


def test_boxes_of_a_photo_by_hand() -> None:
    boxes = boxes_in_photo(np.array([[0.25, 0.5, 0.1, 0.2], [0.9, 0.1, 0.4, 0.4]], np.float32), 200, 1000)
    np.testing.assert_allclose(boxes, [[200, 80, 300, 120], [700, 0, 1000, 60]], atol=1e-3)


SIZES = [(640, 480), (480, 640), (799, 801), (800, 800), (1333, 801), (67, 31), (501, 1999), (2000, 300), (3000, 17)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_input_is_the_originals(width: int, height: int) -> None:
    transforms = pytest.importorskip("groundingdino.datasets.transforms", reason="needs groundingdino-py")
    image = photo(width, height)
    prepare = transforms.Compose(
        [
            transforms.RandomResize([800], max_size=1333),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    expected, _ = prepare(Pillow.fromarray(image), None)
    assert torch.equal(network_input(image, 800, 1333), expected[None])


@given(st.integers(16, 65_500), st.integers(16, 65_500))
def test_sizes_are_within_bounds(width: int, height: int) -> None:
    resized, ratio = resized_size(width, height, 800, 1333), max(width, height) / min(width, height)
    assert 1 <= min(resized) <= 800
    assert max(resized) <= max(1333 + ratio / 2, ratio)  # the shorter side is rounded first, and is never nothing
    assert (resized[0] <= resized[1]) == (width <= height) or resized[0] == resized[1]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_boxes_land_on_the_right_pixels(width: int, height: int) -> None:
    image = np.full((height, width, 3), 128, np.uint8)
    left, top, right, bottom = width // 5, height // 3, width * 4 // 5, height * 2 // 3
    image[top:bottom, left:right] = (255, 0, 0)
    found = GroundingDino(RedFinder(), WORDS).detect(image, PROMPTS[:1])
    pixel_of_input = max(width / resized_size(width, height, 800, 1333)[0], 1)
    np.testing.assert_allclose(found.boxes_xyxy, [[left, top, right, bottom]], atol=2 * pixel_of_input)


def test_the_photo_is_not_changed(room_path: Path) -> None:
    image = decode_image(io.BytesIO(room_path.read_bytes()))
    before = image.copy()
    network = FakeNetwork([(WHOLE, {WALL_ID: 0.7})])
    GroundingDino(network, WORDS).detect(image, PROMPTS)
    assert np.array_equal(image, before)
    assert network.sizes == [(1066, 800)]


SMALL = DinoSettings(box_threshold=0, shortest_side=200, longest_side=333)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize(("width", "height"), [(97, 61), (61, 203), (1200, 16)])
def test_a_loaded_network_detects(folder: Path, width: int, height: int) -> None:
    detector = GroundingDino.load("swint", folder, device="cpu", settings=SMALL)
    image = photo(width, height)
    found = detector.detect(image, PROMPTS)
    assert 0 < len(found) <= 20
    assert np.isfinite(found.boxes_xyxy).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    again = detector.detect(image, PROMPTS)
    assert np.array_equal(found.boxes_xyxy, again.boxes_xyxy)
    assert np.array_equal(found.scores, again.scores)


TOLERANCE, PIXELS = 1e-4, 0.05
"""Largest difference of scores, and of boxes in pixels of the photo, between the two implementations."""


def test_both_implementations_detect_the_same(tmp_path: Path, room_path: Path) -> None:
    pytest.importorskip("groundingdino", reason="needs groundingdino-py, see the Makefile")
    file = write_official_folder(tmp_path, "groundingdino_swint_ogc.pth") / "groundingdino_swint_ogc.pth"
    image = load_image(str(room_path))
    port, original = (
        GroundingDino.load("swint", file, device="cpu", settings=SMALL, implementation=implementation)
        for implementation in ("transformers", "groundingdino-py")
    )
    found, expected = (detector.detect(image, PROMPTS) for detector in (port, original))
    assert len(found) == len(expected) == 20
    assert expected.scores.std() > 100 * TOLERANCE, "scores that are all alike would prove nothing"
    np.testing.assert_allclose(found.scores, expected.scores, atol=TOLERANCE)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=PIXELS)
    assert (port.name, original.name) == ("grounding-dino swint", "groundingdino-py swint")


def test_without_groundingdino_py_is_one_line_with_the_remedy() -> None:
    program = """
from pathlib import Path
from models.teachers.grounding_dino.checkpoint import dino_config
from models.teachers.grounding_dino.original import load_original
from surfaces.errors import MissingExtraError
try:
    load_original(Path("none.pth"), dino_config("swint"))
except MissingExtraError as error:
    print(error)
"""
    for absent, named in (("groundingdino", "groundingdino"), ("timm", "timm")):
        ran = subprocess.run(
            [sys.executable, "-c", without([absent], program)], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert ran.stdout == (
            f"`groundingdino-py` needs {named}, which is not installed; pip install "
            "'interior-surfaces[autolabel,groundingdino]' && pip install --no-deps groundingdino-py==0.4.0\n"
        )


def test_a_folder_is_for_the_port_alone(folder: Path) -> None:
    pytest.importorskip("groundingdino", reason="needs groundingdino-py, see the Makefile")
    with pytest.raises(WeightsError, match=r"\Aexpected weights at .*\Z"):
        GroundingDino.load("swint", folder, device="cpu", implementation="groundingdino-py")


def test_fingerprint_changes_with_weights_and_settings(folder: Path, tmp_path: Path) -> None:
    def fingerprint(weights: Path = folder, **settings: object) -> str:
        return GroundingDino.load("swint", weights, device="cpu", settings=DinoSettings(**settings)).fingerprint

    prints = [
        fingerprint(),
        fingerprint(write_tiny_folder(tmp_path, seed=1)),
        fingerprint(box_threshold=0.3),
        fingerprint(passes="class"),
        fingerprint(shortest_side=600),
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint() == prints[0]


def test_vocabulary_in_another_folder(folder: Path, tmp_path: Path) -> None:
    elsewhere = write_vocabulary(tmp_path)
    by_default = GroundingDino.load("swint", folder, device="cpu")
    assert GroundingDino.load("swint", folder, elsewhere, "cpu").fingerprint == by_default.fingerprint
    with pytest.raises(WeightsError, match=r"\Aexpected BERT's vocabulary at .*\Z"):
        GroundingDino.load("swint", folder, tmp_path / "none.txt")


def test_a_larger_vocabulary_than_the_weights_is_one_line(folder: Path, tmp_path: Path) -> None:
    path = write_vocabulary(tmp_path)
    with path.open("a") as file:
        file.write("another\n")
    with pytest.raises(WeightsError, match=r"\Aexpected a vocabulary of \d+ word pieces, .*, got \d+\Z"):
        GroundingDino.load("swint", folder, path, "cpu")


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("toaster", "cuda:99"):
        with pytest.raises(DeviceError, match=rf"\Aexpected a device of this machine, got '{name}': .*\Z"):
            pick_device(name)
