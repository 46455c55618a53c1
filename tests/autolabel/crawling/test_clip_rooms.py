"""CLIP's word on what shows a room: files as transformers publishes them, with random weights, and the arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from transformers import CLIPConfig, CLIPModel

from autolabel.crawling.clip_rooms import OTHERS, ROOMS, ClipRooms
from autolabel.crawling.judging import Judge, JudgeSettings
from surfaces.errors import WeightsError

MEAN, DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
CHARACTERS = [chr(code) for code in range(33, 127)]
PIECES = [*CHARACTERS, *(f"{one}</w>" for one in CHARACTERS), "<|startoftext|>", "<|endoftext|>"]
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP whose words are spelt letter by letter."""
    made = tmp_path_factory.mktemp("clip")
    begin, end = len(PIECES) - 2, len(PIECES) - 1
    text = TOWER | {"vocab_size": len(PIECES), "bos_token_id": begin, "eos_token_id": end, "pad_token_id": end}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config=TOWER | {"image_size": 32, "patch_size": 8}, projection_dim=8)
    CLIPModel(config).save_pretrained(made)
    (made / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(PIECES)}))
    (made / "merges.txt").write_text("#version: 0.2\n")
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    told = size | {
        "image_mean": MEAN,
        "image_std": DEVIATION,
        "resample": 3,
        "image_processor_type": "CLIPImageProcessor",
    }
    (made / "preprocessor_config.json").write_text(json.dumps(told))
    return made


def photo(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def spelt(prompt: str) -> list[int]:
    words = prompt.split()
    letters = [PIECES.index(one + "</w>" * (at == len(word) - 1)) for word in words for at, one in enumerate(word)]
    return [len(PIECES) - 2, *letters, len(PIECES) - 1]


def test_it_is_the_softmax_of_the_cosines_to_all_prompts(folder: Path) -> None:
    """Against the network's two towers, asked one prompt at a time."""
    network = CLIPModel.from_pretrained(folder).eval()
    asked = ClipRooms(folder)
    for seed in range(3):
        pixels = (photo(seed) / 255 - MEAN) / DEVIATION
        with torch.no_grad():
            likeness = [
                network(
                    input_ids=torch.tensor([spelt(prompt.replace("-", " - "))]),
                    pixel_values=torch.tensor(pixels.transpose(2, 0, 1)[None], dtype=torch.float32),
                ).logits_per_image.item()
                for prompt in (*ROOMS, *OTHERS)
            ]
        shares = np.exp(likeness) / np.exp(likeness).sum()
        assert asked(photo(seed)) == pytest.approx(shares[: len(ROOMS)].sum(), abs=1e-5)
    assert asked(photo(0)) != pytest.approx(asked(photo(1)), abs=1e-6)


def test_photos_are_cut_to_their_middle(folder: Path) -> None:
    asked = ClipRooms(folder)
    wide = np.concatenate([photo(1), photo(0), photo(2)], axis=1)
    assert asked(wide) == pytest.approx(asked(photo(0)), abs=1e-5)
    large = np.asarray(Pillow.fromarray(photo(0)).resize((64, 64), Pillow.Resampling.NEAREST))
    assert asked(large) == pytest.approx(asked(photo(0)), abs=0.01)


def test_a_judge_believes_it(folder: Path) -> None:
    image = photo(0)
    judge = Judge(JudgeSettings(clip=folder))
    assert judge._scene_of is not None
    assert judge._scene_of(image).room == ClipRooms(folder)(image)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.json", "preprocessor_config.json"])
def test_a_folder_that_lacks_a_file_is_no_clip(folder: Path, tmp_path: Path, name: str) -> None:
    for path in folder.iterdir():
        if path.name != name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match="expected") as told:
        ClipRooms(tmp_path)
    assert "\n" not in str(told.value)


def test_missing_weights_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"it lacks visual_projection\.weight"):
        ClipRooms(tmp_path)
