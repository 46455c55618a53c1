"""SAM 2 through our loading code, against transformers' own processor and post-processing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import Sam2Model, Sam2Processor, Sam2VideoConfig, Sam2VideoModel

from models.teachers.base import Floats
from models.teachers.sam.prompts import SamPrompt, SamSettings, thing_prompt
from models.teachers.sam.sam2 import Sam2, sam2_config
from models.weights.official import SAM2
from surfaces.detections import Image
from surfaces.errors import WeightsError
from tests.models.teachers.sam.tiny_sam2 import SIDE, tiny_sam2, write_sam2, write_sam2_video

ImageProcessor = getattr(transformers, "Sam2ImageProcessor", None) or transformers.Sam2ImageProcessorFast
"""Its name, today and in the oldest allowed version."""

TOLERANCE = 1e-4
"""Largest difference of logits and of predicted IoU."""

BOX = np.array([20, 30, 90, 80], np.float32)
POINTS = SamPrompt(BOX, np.array([[40, 50], [70, 60], [25, 35]], np.float32), np.array([True, True, False]))


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sam2(tmp_path_factory.mktemp("sam2"))


def of_transformers(
    network: Sam2Model, image: Image, prompt: SamPrompt, several: bool, feedback: Floats | None
) -> tuple[Floats, Floats, Floats]:
    """Logits at the photo's size, predicted IoU, low-resolution logits; its boxes end in a pixel, ours behind it."""
    processor = Sam2Processor(ImageProcessor(size={"height": SIDE, "width": SIDE}))
    given = len(prompt.points_xy) > 0
    inputs = processor(
        images=image,
        input_points=[[prompt.points_xy.tolist()]] if given else None,
        input_labels=[[prompt.inside.astype(int).tolist()]] if given else None,
        input_boxes=[[(prompt.box_xyxy - [0, 0, 1, 1]).tolist()]],
        return_tensors="pt",
    )
    sizes = inputs.pop("original_sizes")
    masks = None if feedback is None else torch.from_numpy(feedback)[None]
    with torch.inference_mode():
        found = network(**inputs, input_masks=masks, multimask_output=several)
        logits = processor.post_process_masks(found.pred_masks, sizes, binarize=False)[0]
    return logits[0].numpy(), found.iou_scores[0, 0].numpy(), found.pred_masks[0, 0].numpy()


@pytest.mark.parametrize("size_hw", [(100, 140), (333, 61), (128, 128)])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("prompt", [thing_prompt(BOX), POINTS], ids=["box", "box and points"])
def test_masks_are_those_of_transformers(
    folder: Path, size_hw: tuple[int, int], several: bool, prompt: SamPrompt
) -> None:
    image, network = noise(*size_hw), Sam2Model.from_pretrained(folder)
    photo = Sam2.load("tiny", folder, "cpu").encode(image)
    feedback = None
    for _ in range(2):
        logits, predicted_iou, low_res = of_transformers(network, image, prompt, several, feedback)
        answers = photo.candidates(prompt, several, feedback)
        assert len(answers) == (3 if several else 1)
        assert low_res.std() > 100 * TOLERANCE, "logits that are all alike would prove nothing"
        for i, answer in enumerate(answers):
            clear = np.abs(logits[i]) > TOLERANCE
            np.testing.assert_array_equal(answer.mask[clear], logits[i][clear] > 0)
            np.testing.assert_allclose(answer.low_res_logits[0], low_res[i], atol=TOLERANCE)
            assert answer.predicted_iou == pytest.approx(np.clip(predicted_iou[i], 0, 1), abs=TOLERANCE)
            assert 0 <= answer.stability <= 1
        feedback = answers[0].low_res_logits


def test_photos_are_encoded_once_and_do_not_mix() -> None:
    network = tiny_sam2()
    seen: list[object] = []
    network.vision_encoder.register_forward_hook(lambda *_: seen.append(1))
    sam2 = Sam2(network)
    first = sam2.encode(noise(100, 140))
    alone = first.stuff(POINTS, SamSettings(feedback_rounds=2))
    sam2.encode(noise(64, 64)).thing(thing_prompt(BOX), SamSettings())
    np.testing.assert_array_equal(first.stuff(POINTS, SamSettings(feedback_rounds=2)).mask, alone.mask)
    assert len(seen) == 2


def test_the_files_for_videos_hold_the_same_network(tmp_path: Path) -> None:
    folder = write_sam2_video(tmp_path / "video")
    assert any(name.startswith("memory_") for name in load_file(folder / "model.safetensors"))
    network = Sam2Model.from_pretrained(folder)
    (answer,) = Sam2.load("tiny", folder, "cpu").encode(noise(90, 120)).candidates(POINTS, False)
    _, _, low_res = of_transformers(network, noise(90, 120), POINTS, False, None)
    np.testing.assert_allclose(answer.low_res_logits, low_res, atol=TOLERANCE)


@pytest.mark.parametrize("size", SAM2)
def test_the_architectures_have_the_sizes_of_the_official_files(size: str) -> None:
    with torch.device("meta"):
        official = Sam2VideoModel(Sam2VideoConfig(vision_config=sam2_config(size).vision_config.to_dict()))
    tensors = official.state_dict()
    # The file's header has the name, shape and place of each tensor in about 120 bytes.
    assert 0 < SAM2[size].size - 4 * sum(tensor.numel() for tensor in tensors.values()) < 200 * len(tensors)


@pytest.mark.slow
def test_an_official_file_is_loaded_whole(tmp_path: Path) -> None:
    file = tmp_path / SAM2["tiny"].name
    network = Sam2Model(sam2_config("tiny"))
    extra = {"memory_temporal_positional_encoding": torch.zeros(7, 1, 1, 64)}
    save_file(network.state_dict() | extra, file, {"format": "pt"})
    sam2 = Sam2.load("tiny", file, "cpu")
    assert sam2.name == "sam2.1 tiny"
    one, other = (s.encode(noise(200, 300)).candidates(POINTS, True) for s in (sam2, Sam2(network.eval())))
    for mine, its in zip(one, other, strict=True):
        np.testing.assert_allclose(mine.low_res_logits, its.low_res_logits, atol=TOLERANCE / 100)
    with pytest.raises(WeightsError, match=r"\Aexpected weights of this size of SAM 2 at .*; tensors: .*\Z"):
        Sam2.load("small", file, "cpu")


@pytest.mark.security
@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"model_type": "llama"}, "expected settings of SAM 2 in .*, got .*llama.*"),
        ({"vision_config": {"model_type": "timm_wrapper"}}, "expected settings of SAM 2 in .*"),
        ({"vision_config": {"backbone_config": {"model_type": "timm_backbone"}}}, "expected settings of SAM 2 in .*"),
        ({"vision_config": 3}, "expected settings of SAM 2 in .*"),
        ({"mask_decoder_config": {"hidden_size": "many"}}, "expected weights of SAM 2 at .*"),
        ({"mask_decoder_config": {"hidden_size": 64}}, "expected weights of .*SAM 2 at .*"),
    ],
)
def test_untrusted_folders_are_one_line_and_contact_no_hub(
    tmp_path: Path, part: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_sam2(tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | part))
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host, **_: asked.append(host))
    with pytest.raises(WeightsError, match=rf"\A{message}\Z"):
        Sam2.load("tiny", folder, "cpu")
    assert asked == []


@pytest.mark.security
@pytest.mark.parametrize("content", [None, b"", b"not tensors", b"\xff" * 100])
def test_other_files_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "sam2.1_hiera_tiny.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"\Aexpected a \.safetensors file at {file}: .*\Z"):
        Sam2.load("tiny", file, "cpu")
