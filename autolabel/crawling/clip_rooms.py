"""Whether a photo shows the interior of a room, as CLIP tells without having been taught (Radford et al., Learning
Transferable Visual Models From Natural Language Supervision, 2021)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from surfaces.detections import Image
from surfaces.errors import WeightsError

ROOMS = (
    "a photo of the interior of a room",
    "a photo of a dining room",
    "a photo of a kitchen",
    "a photo of a bedroom",
    "a photo of a bathroom",
)
OTHERS = (
    "a photo of a landscape",
    "a photo of the outside of a building",
    "a photo of a street",
    "a photo of a garden or a terrace",
    "a photo of an animal",
    "a photo of a person",
    "a photo of a plant",
    "a photo of food",
    "a close-up photo of an object",
    "a product on a white background",
    "a drawing",
    "a page of text",
)


class ClipRooms:
    """Compares photos with words; may be asked by several threads at once.

    Args:
        folder: a CLIP as transformers publishes it, such as openai/clip-vit-base-patch32: config.json,
            model.safetensors, vocab.json, merges.txt and preprocessor_config.json. Nothing is fetched.

    Raises:
        WeightsError: a file is missing or damaged, or holds something else.
    """

    def __init__(self, folder: Path) -> None:
        self._network = _load(folder)
        try:
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            self._processor: Any = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
            words = tokenizer([*ROOMS, *OTHERS], padding=True, return_tensors="pt")
            with torch.inference_mode():
                self._prompts = _unit(self._network.get_text_features(**words))
        except (OSError, ValueError, TypeError, IndexError) as error:
            raise WeightsError(f"expected CLIP's words and preprocessing in {folder}, got: {_line(error)}") from error

    def __call__(self, image: Image) -> float:
        """The share, 0 to 1, of the softmax over all prompts that falls to `ROOMS`; `image` is uint8 HxWx3 RGB."""
        pixels = self._processor(images=image.copy(), return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            photo = _unit(self._network.get_image_features(pixel_values=pixels["pixel_values"]))
            likeness = self._network.logit_scale.exp() * photo @ self._prompts.T
        return float(likeness.softmax(dim=-1)[0, : len(ROOMS)].sum())


def _load(folder: Path) -> CLIPModel:
    if not (folder / "config.json").is_file():
        raise WeightsError(f"expected a folder with a CLIP's config.json and weights, got {folder}")
    build: Callable[..., Any] = CLIPModel.from_pretrained
    network: CLIPModel
    try:
        network, told = build(folder, local_files_only=True, output_loading_info=True)
    except Exception as error:  # transformers, safetensors and torch raise many kinds at damaged files
        raise WeightsError(f"expected a CLIP in {folder}, got: {_line(error)}") from error
    if told["missing_keys"]:
        raise WeightsError(f"expected a CLIP in {folder}, it lacks {sorted(told['missing_keys'])[0]}")
    network.requires_grad_(False).train(False)
    return network


def _unit(features: Any) -> torch.Tensor:
    vectors: torch.Tensor = getattr(features, "pooler_output", features)
    return torch.nn.functional.normalize(vectors, dim=-1)


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
