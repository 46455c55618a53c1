"""SAM 3 through our loading code, against transformers' own processor and post-processing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import Sam3Model, Sam3Processor, Sam3VideoConfig, Sam3VideoModel

from models.teachers.base import PromptError
from models.teachers.sam.sam3 import Sam3
from models.weights.gated import SAM3
from surfaces.detections import Image
from surfaces.errors import WeightsError
from tests.models.teachers.sam.tiny_sam3 import SIDE, sam3_tokenizer, write_sam3, write_sam3_video

ImageProcessor = getattr(transformers, "Sam3ImageProcessor", None) or transformers.Sam3ImageProcessorFast
"""Its name, today and in the oldest allowed version."""

TOLERANCE = 1e-4
"""Largest difference of scores, of shares of the photo in boxes, and of mask probabilities.

transformers pads captions to 32 tokens and masks the padding; here they are not padded.
"""

TEXTS = ("wall", "dining table", "kitchen island")


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sam3(tmp_path_factory.mktemp("sam3"))


@pytest.mark.parametrize("size_hw", [(100, 140), (333, 61)])
def test_instances_are_those_of_transformers(folder: Path, size_hw: tuple[int, int]) -> None:
    image, network = noise(*size_hw), Sam3Model.from_pretrained(folder)
    processor = Sam3Processor(ImageProcessor(size={"height": SIDE, "width": SIDE}), sam3_tokenizer())
    sam3 = Sam3.load(folder, "cpu")
    photo = sam3.encode(image)
    every = []
    for text, token_ids in zip(TEXTS, sam3.token_ids(TEXTS), strict=True):
        inputs = processor(images=image, text=text, return_tensors="pt")
        with torch.inference_mode():
            found = network(**{name: value for name, value in inputs.items() if name != "original_sizes"})
        (expected,) = processor.post_process_instance_segmentation(found, threshold=0.01, target_sizes=[size_hw])
        answer = photo.find(token_ids, 0.01)
        assert len(answer.scores) == len(expected["scores"]) > 0
        np.testing.assert_allclose(answer.scores, expected["scores"], atol=TOLERANCE)
        boxes = expected["boxes"].numpy().clip(0, [size_hw[1], size_hw[0], size_hw[1], size_hw[0]])
        np.testing.assert_allclose(answer.boxes_xyxy, boxes, atol=TOLERANCE * max(size_hw))
        for probabilities, mask in zip(answer.probabilities, expected["masks"].numpy(), strict=True):
            assert (photo.mask(probabilities) == mask).mean() > 0.999
        every.append(answer)
    assert np.ptp([answer.scores[0] for answer in every]) > 100 * TOLERANCE, "equal answers would prove nothing"
    assert min(answer.probabilities.std() for answer in every) > 100 * TOLERANCE


def test_low_scores_are_left_out(folder: Path) -> None:
    sam3 = Sam3.load(folder, "cpu")
    (token_ids,) = sam3.token_ids(["wall"])
    photo = sam3.encode(noise(60, 80))
    scores = photo.find(token_ids, 0.0).scores
    median = float(np.median(scores))
    np.testing.assert_array_equal(photo.find(token_ids, median).scores, scores[scores > median])
    nothing = photo.find(token_ids, 1.0)
    assert (nothing.scores.shape, nothing.boxes_xyxy.shape, len(nothing.probabilities)) == ((0,), (0, 4), 0)


def test_a_photo_is_encoded_once(folder: Path) -> None:
    network = Sam3Model.from_pretrained(folder)
    seen: list[object] = []
    network.vision_encoder.register_forward_hook(lambda *_: seen.append(1))
    sam3 = Sam3(network, sam3_tokenizer().backend_tokenizer)
    photo = sam3.encode(noise(60, 80))
    for token_ids in sam3.token_ids(TEXTS):
        photo.find(token_ids, 0.0)
    assert len(seen) == 1


def test_the_files_for_videos_hold_the_same_network(folder: Path, tmp_path: Path) -> None:
    video = write_sam3_video(tmp_path / "video")
    one, other = (Sam3.load(path, "cpu") for path in (folder, video))
    (token_ids,) = one.token_ids(["wall"])
    mine, its = (sam3.encode(noise(60, 80)).find(token_ids, 0.0) for sam3 in (one, other))
    np.testing.assert_array_equal(mine.scores, its.scores)
    np.testing.assert_array_equal(mine.probabilities, its.probabilities)


def test_the_architecture_has_the_size_of_the_official_file() -> None:
    with torch.device("meta"):
        official = Sam3VideoModel(Sam3VideoConfig())
    tensors = official.state_dict()
    # The file's header has the name, shape and place of each tensor in about 140 bytes.
    assert 0 < SAM3.size - 4 * sum(tensor.numel() for tensor in tensors.values()) < 200 * len(tensors)


def test_prompts_longer_than_the_network_reads_are_one_line(folder: Path) -> None:
    sam3 = Sam3.load(folder, "cpu")
    sam3.token_ids(["w" * 30])
    with pytest.raises(PromptError, match=r"\Aexpected prompts of at most 32 tokens, 'w{31}' has 33\Z"):
        sam3.token_ids(["wall", "w" * 31])


@pytest.mark.security
@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"model_type": "sam2"}, "expected settings of SAM 3 in .*"),
        ({"text_config": {"model_type": "llama"}}, "expected settings of SAM 3 in .*"),
        ({"detector_config": {"vision_config": {"model_type": "timm_wrapper"}}}, "expected settings of SAM 3 in .*"),
        ({"detr_decoder_config": {"num_queries": 3}}, "expected weights of .*SAM 3 at .*"),
    ],
)
def test_untrusted_folders_are_one_line(tmp_path: Path, part: dict[str, object], message: str) -> None:
    folder = write_sam3(tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | part))
    with pytest.raises(WeightsError, match=rf"\A{message}\Z"):
        Sam3.load(folder, "cpu")


@pytest.mark.security
def test_missing_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"\Aexpected weights of SAM 3 at .*: No such file or directory\Z"):
        Sam3.load(tmp_path, "cpu")
    folder = write_sam3(tmp_path / "sam3")
    for content in (b"{}", None):
        (folder / "tokenizer.json").unlink()
        if content is not None:
            (folder / "tokenizer.json").write_bytes(content)
        with pytest.raises(WeightsError, match=r"\Aexpected SAM 3's tokenizer at .*\Z"):
            Sam3.load(folder, "cpu")
