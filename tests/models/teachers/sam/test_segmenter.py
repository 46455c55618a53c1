from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.utils.amg import calculate_stability_score

from models.device import DeviceError
from models.teachers.base import Floats
from models.teachers.sam.photo import SamMask, choose_whole
from models.teachers.sam.prompts import SamPrompt, SamSettings, thing_prompt
from models.teachers.sam.segmenter import Sam
from models.weights.checkpoint_files import load_exactly
from models.weights.official import SAM
from models.weights.registry import sha256_of
from surfaces.detections import Image, Mask
from surfaces.errors import WeightsError
from tests.models.teachers.sam.tiny_sam import PromptLog, bright_sam, tiny_sam

BOX = np.array([20, 30, 90, 80], np.float32)
POINTS = SamPrompt(BOX, np.array([[40, 50], [70, 60], [25, 35]], np.float32), np.array([True, True, False]))


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def the_packages_own(
    network: torch.nn.Module, image: Image, prompt: SamPrompt, several: bool, feedback: Floats | None
) -> tuple[Floats, Floats, Floats]:
    """The result of segment-anything's SamPredictor; its boxes end in a pixel, ours behind it."""
    predictor = SamPredictor(network)
    predictor.set_image(image)
    given = len(prompt.points_xy) > 0
    return predictor.predict(
        point_coords=prompt.points_xy if given else None,
        point_labels=prompt.inside.astype(int) if given else None,
        box=prompt.box_xyxy - np.array([0, 0, 1, 1], np.float32),
        mask_input=feedback,
        multimask_output=several,
        return_logits=True,
    )


def check_equal(
    network: torch.nn.Module,
    image: Image,
    prompt: SamPrompt,
    several: bool,
    feedback: Floats | None,
    ours: Sam | None = None,
) -> None:
    logits, predicted_iou, low_res = the_packages_own(network, image, prompt, several, feedback)
    answers = (ours or Sam(network)).encode(image).candidates(prompt, several, feedback)
    assert len(answers) == (3 if several else 1)
    stability = calculate_stability_score(torch.from_numpy(logits), 0.0, 1.0).nan_to_num(0.0).numpy()
    for i, answer in enumerate(answers):
        np.testing.assert_array_equal(answer.mask, logits[i] > 0)
        np.testing.assert_array_equal(answer.low_res_logits, low_res[i : i + 1])
        assert answer.predicted_iou == np.clip(predicted_iou[i], 0, 1)
        assert answer.stability == stability[i]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("prompt", [thing_prompt(BOX), POINTS], ids=["box", "points"])
@pytest.mark.parametrize("size_hw", [(100, 140), (300, 121)])
def test_answers_are_those_of_the_package(prompt: SamPrompt, several: bool, size_hw: tuple[int, int]) -> None:
    network = tiny_sam()
    check_equal(network, noise(*size_hw), prompt, several, None)
    feedback = np.random.default_rng(1).normal(size=(1, 32, 32)).astype(np.float32) * 5
    check_equal(network, noise(*size_hw), prompt, several, feedback)


@pytest.mark.slow
def test_the_full_size_network_from_its_official_format_answers_as_the_package(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / SAM["vit_b"].name
    torch.save(sam_model_registry["vit_b"]().state_dict(), path)
    theirs, ours = sam_model_registry["vit_b"](checkpoint=path), Sam.load("vit_b", path, "cpu")
    for prompt, several in ((thing_prompt(BOX), True), (POINTS, False)):
        check_equal(theirs, noise(480, 640), prompt, several, None, ours)


@pytest.mark.parametrize("size", SAM)
def test_the_architectures_are_as_large_as_the_official_files(size: str) -> None:
    with torch.device("meta"):
        tensors = sam_model_registry[size]().state_dict()
    total = sum(tensor.numel() * 4 for tensor in tensors.values())
    # The rest is what torch.save adds.
    assert 300 < (SAM[size].size - total) / len(tensors) < 330


def test_weights_of_another_size_are_refused_by_name() -> None:
    with torch.device("meta"):
        large, base = sam_model_registry["vit_l"](), sam_model_registry["vit_b"]()
    words = r"^expected vit_l, got ones without \S+ and 167 more, with another shape of"
    with pytest.raises(WeightsError, match=words):
        load_exactly(large, base.state_dict(), "vit_l")


@pytest.fixture
def tiny_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny network's weights; vit_b is tiny meanwhile."""
    monkeypatch.setitem(sam_model_registry, "vit_b", lambda: tiny_sam(seed=1))
    path = tmp_path / "sam.pth"
    torch.save(tiny_sam(seed=2).state_dict(), path)
    return path


def test_a_state_dict_is_loaded_whole(tiny_file: Path) -> None:
    image = noise(90, 120)
    sam = Sam.load("vit_b", tiny_file, "cpu")
    assert sam.name == "sam vit_b"
    assert sam.weights_sha256 == sha256_of(tiny_file)
    loaded, own = (s.encode(image).candidates(POINTS, True) for s in (sam, Sam(tiny_sam(seed=2))))
    for one, other in zip(loaded, own, strict=True):
        np.testing.assert_array_equal(one.low_res_logits, other.low_res_logits)
    # The format before torch 1.6 is read too.
    torch.save(tiny_sam(seed=2).state_dict(), tiny_file, _use_new_zipfile_serialization=False)
    Sam.load("vit_b", tiny_file, "cpu")


def check_refused(weights: Path, *words: str) -> None:
    with pytest.raises(WeightsError) as caught:
        Sam.load("vit_b", weights, "cpu")
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tiny_file: Path) -> None:
    check_refused(tiny_file.with_name("absent.pth"), "No such file")


class Intruder:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("intruded"),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "that torch.save wrote"),
        (b"<!doctype html>", "that torch.save wrote"),
        (b"PK\x03\x04" + bytes(100), "that torch.save wrote"),
        ([1, 2], "something other than tensors by name"),
        ({"model": {}}, "something other than tensors by name"),
        (Intruder(), "that torch.save wrote"),
        ("cut off", "that torch.save wrote"),
    ],
)
def test_other_files_are_one_line(
    tiny_file: Path, content: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_file.parent)
    if content == "cut off":
        content = tiny_file.read_bytes()[:100_000]
    if isinstance(content, bytes):
        tiny_file.write_bytes(content)
    else:
        torch.save(content, tiny_file)
    check_refused(tiny_file, words, str(tiny_file))
    assert not Path("intruded").exists()


def test_missing_left_over_and_misshapen_tensors_are_named(tiny_file: Path) -> None:
    tensors = tiny_sam().state_dict()
    missing = tensors.pop("mask_decoder.iou_token.weight")
    tensors["mask_decoder.other"] = missing
    tensors["image_encoder.pos_embed"] = torch.zeros(1, 2, 2, 32)
    torch.save(tensors, tiny_file)
    names = "without mask_decoder.iou_token.weight", "unknown mask_decoder.other", "image_encoder.pos_embed"
    check_refused(tiny_file, *names)


def test_a_device_that_does_not_exist_is_reported_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="nonsense"):
        Sam.load("vit_b", tmp_path / "absent", "nonsense")


def bright(size_hw: tuple[int, int], box: tuple[int, int, int, int]) -> tuple[Image, Mask]:
    """A dark photo with a bright rectangle, and where that is."""
    left, top, right, bottom = box
    mask = np.zeros(size_hw, np.bool_)
    mask[top:bottom, left:right] = True
    return np.where(mask[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=2), mask


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize(
    ("size_hw", "box"),
    [
        ((480, 640), (100, 50, 300, 400)),
        ((2000, 300), (10, 1500, 200, 1990)),
        ((300, 2000), (1500, 10, 1990, 200)),
        ((16, 16), (4, 8, 12, 16)),
        ((16, 600), (500, 4, 560, 12)),
        ((1021, 767), (333, 111, 766, 1000)),
        ((1, 1000), (100, 0, 400, 1)),
    ],
)
def test_masks_are_on_the_right_pixels(size_hw: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    image, truth = bright(size_hw, box)
    photo = Sam(bright_sam()).encode(image)
    for several in (False, True):
        for answer in photo.candidates(thing_prompt(np.array(box, np.float32)), several):
            assert answer.mask.shape == size_hw
            assert answer.mask.dtype == np.bool_
            assert iou(answer.mask, truth) > 0.96


def test_a_mask_without_a_pixel_is_not_stable() -> None:
    dark = np.zeros((100, 140, 3), np.uint8)
    (empty,) = Sam(bright_sam()).encode(dark).candidates(thing_prompt(BOX), False)
    assert not empty.mask.any()
    assert empty.stability == 0


def test_prompts_reach_the_network_in_its_own_square() -> None:
    network = tiny_sam()
    log = PromptLog(network)
    Sam(network).encode(noise(256, 512)).candidates(POINTS, False)
    (call,) = log.calls
    points, labels = call["points"]
    assert points.tolist() == [[[10, 12.5], [17.5, 15], [6.25, 8.75]]]
    assert labels.tolist() == [[1, 1, 0]]
    assert call["boxes"].tolist() == [[5, 7.5, 22.25, 19.75]]
    assert call["masks"] is None


def test_photos_are_encoded_once_and_do_not_mix() -> None:
    network = tiny_sam()
    seen: list[object] = []
    network.image_encoder.register_forward_hook(lambda *_: seen.append(1))
    first = Sam(network).encode(noise(100, 140))
    alone = first.candidates(POINTS, True)
    Sam(network).encode(noise(64, 64, seed=5)).thing(thing_prompt(BOX), SamSettings())
    first.stuff(POINTS, SamSettings())
    for one, other in zip(alone, first.candidates(POINTS, True), strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
    assert len(seen) == 2


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_each_round_feeds_the_last_mask_back(rounds: int) -> None:
    network = tiny_sam()
    log = PromptLog(network)
    photo = Sam(network).encode(noise(100, 140))
    answer = photo.stuff(POINTS, SamSettings(feedback_rounds=rounds))
    assert len(log.calls) == 1 + rounds
    assert log.calls[0]["masks"] is None
    answers = photo.candidates(POINTS, False)
    for call in log.calls[1 : 1 + rounds]:
        np.testing.assert_array_equal(call["masks"][0].numpy(), answers[-1].low_res_logits)
        answers += photo.candidates(POINTS, False, answers[-1].low_res_logits)
        assert call["points"][1].tolist() == [[1, 1, 0]]
    best = max(answers, key=lambda a: a.predicted_iou)
    np.testing.assert_array_equal(answer.mask, best.mask)
    assert answer.predicted_iou == pytest.approx(best.predicted_iou)


def test_whole_over_part_can_be_switched_off() -> None:
    network = tiny_sam()
    photo = Sam(network).encode(noise(100, 140))
    single = photo.candidates(thing_prompt(BOX), False)[0]
    plain = photo.thing(thing_prompt(BOX), SamSettings(whole_over_part=False))
    np.testing.assert_array_equal(plain.low_res_logits, single.low_res_logits)
    chosen = photo.thing(thing_prompt(BOX), SamSettings(iou_tolerance=0.0))
    best = max(photo.candidates(thing_prompt(BOX), True), key=lambda answer: answer.predicted_iou)
    np.testing.assert_array_equal(chosen.low_res_logits, best.low_res_logits)


def answer(*boxes: tuple[int, int, int, int], predicted_iou: float) -> SamMask:
    mask = np.zeros((100, 100), np.bool_)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return SamMask(mask, predicted_iou, 1.0, np.zeros((1, 256, 256), np.float32))


TABLE = np.array([10, 20, 90, 80], np.float32)
TOP = answer((10, 20, 90, 40), predicted_iou=0.95)
WHOLE = answer((10, 20, 90, 40), (12, 40, 20, 80), (80, 40, 88, 80), predicted_iou=0.90)
ROOM = answer((0, 0, 100, 100), predicted_iou=0.93)


WITH_SPECK = answer((10, 20, 90, 40), (89, 79, 90, 80), predicted_iou=0.95)
EMPTY = answer(predicted_iou=0.99)


@pytest.mark.parametrize(
    ("candidates", "iou_tolerance", "best"),
    [
        ([TOP, WHOLE, ROOM], 0.1, 1),
        ([TOP, WHOLE], 0.04, 0),
        ([TOP, replace(WHOLE, predicted_iou=0.8)], 0.1, 0),
        ([WITH_SPECK, WHOLE], 0.1, 1),
        ([EMPTY, WHOLE, replace(WHOLE, predicted_iou=0.91)], 0.1, 2),
        ([EMPTY], 0.1, 0),
    ],
    ids=["fills the box", "tolerance", "much worse", "speck far off", "equal extents", "empty"],
)
def test_choose_whole(candidates: list[SamMask], iou_tolerance: float, best: int) -> None:
    assert choose_whole(candidates, TABLE, iou_tolerance) is candidates[best]


@pytest.mark.security
def test_tensors_of_another_kind_are_one_line() -> None:
    sparse = torch.sparse_coo_tensor(torch.zeros(1, 1).long(), torch.zeros(1), (2,))
    with pytest.raises(WeightsError, match=r"\Aexpected weights, got tensors of another kind\Z"):
        load_exactly(torch.nn.Linear(2, 2), {"weight": torch.zeros(2, 2), "bias": sparse}, "weights")
