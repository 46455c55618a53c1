"""SAM 3 turns words into instances (Carion et al., SAM 3: Segment Anything with Concepts, 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import Sam3Model

from models.device import pick_device
from models.teachers.base import Floats, PromptError
from models.teachers.sam.pixels import square_input
from models.weights.pretrained import load_pretrained, require_kinds, sha256_of_weights
from surfaces.detections import Image, Mask
from surfaces.errors import WeightsError
from surfaces.messages import in_a_line

TOKENIZER = "tokenizer.json"

_DETECTOR = {
    "text_config": ("clip_text_model",),
    "vision_config": ("sam3_vision_model",),
    "vision_config.backbone_config": ("sam3_vit_model",),
}
# The official file is of the network for videos, which has this one as its detector.
_PARTS = {"": ("sam3", "sam3_video"), **_DETECTOR, **{f"detector_config.{part}": k for part, k in _DETECTOR.items()}}
_MEAN = _STD = (0.5, 0.5, 0.5)
_LEVELS = ("fpn_hidden_states", "fpn_position_encoding")
_MASK_THRESHOLD = 0.5  # as in transformers' processor


@dataclass(frozen=True, eq=False)
class ConceptInstances:
    """What was found for one prompt, in the network's order.

    Attributes:
        scores: float32 (N,), 0 to 1: that the instance is one, times that the photo has any.
        boxes_xyxy: float32 (N, 4), pixels of the photo, right and bottom exclusive, inside the photo.
        probabilities: float32 (N, h, w), at the network's resolution; they cover the whole photo.
    """

    scores: Floats
    boxes_xyxy: Floats
    probabilities: Floats


class Sam3:
    """A segmenter of concepts from transformers' `Sam3Model`, in evaluation mode, and its tokenizer."""

    def __init__(self, network: Any, tokenizer: Tokenizer, weights_sha256: str = "") -> None:
        self._network = network
        self._tokenizer = tokenizer
        self.weights_sha256 = weights_sha256

    @classmethod
    def load(cls, folder: Path, device: str | None = None) -> Sam3:
        """SAM 3 from a folder that transformers wrote: `config.json`, weights, `tokenizer.json`; no hub is contacted.

        Raises:
            WeightsError: a file is missing or is not the expected one.
            DeviceError: there is no such device.
        """
        torch_device = pick_device(device)
        require_kinds(folder, "SAM 3", _PARTS)
        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # tokenizers raises nothing more special
            raise WeightsError(f"expected SAM 3's tokenizer at {folder / TOKENIZER}: {in_a_line(error)}") from error
        network = load_pretrained(Sam3Model, "SAM 3", folder, pretrained_model_name_or_path=folder)
        return cls(network.to(torch_device), tokenizer, sha256_of_weights(folder))

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text's tokens, start and end included.

        Raises:
            PromptError: a text is longer than the network reads.
        """
        limit = self._network.config.text_config.max_position_embeddings
        ids = [list(self._tokenizer.encode(text).ids) for text in texts]
        for text, tokens in zip(texts, ids, strict=True):
            if len(tokens) > limit:
                raise PromptError(f"expected prompts of at most {limit} tokens, {text[:40]!r} has {len(tokens)}")
        return ids

    def encode(self, image: Image) -> Sam3Photo:
        """Encodes a photo, uint8 HxWx3 RGB, once for many prompts; this takes most of the time."""
        return self.encode_batch([image])[0]

    @torch.inference_mode()
    def encode_batch(self, images: Sequence[Image]) -> list[Sam3Photo]:
        """As `encode`, for several photos in one pass."""
        side = self._network.config.image_size
        pixels = torch.cat([square_input(image, side, _MEAN, _STD) for image in images]).to(self._network.device)
        features = self._network.get_vision_features(pixels)
        return [
            Sam3Photo(self._network, _features_of(features, index), (image.shape[0], image.shape[1]))
            for index, image in enumerate(images)
        ]


class Sam3Photo:
    """A photo that takes prompts: its features, and its height and width."""

    def __init__(self, network: Any, features: Any, size_hw: tuple[int, int]) -> None:
        self._network = network
        self._features = features
        self._size_hw = size_hw

    @torch.inference_mode()
    def find(self, token_ids: Sequence[int], threshold: float) -> ConceptInstances:
        """Finds the instances of a concept that score more than a threshold."""
        found = self._network(
            vision_embeds=self._features, input_ids=torch.tensor([token_ids], device=self._network.device)
        )
        scores = found.pred_logits[0].sigmoid() * found.presence_logits[0].sigmoid()
        kept = scores > threshold
        height, width = self._size_hw
        boxes = found.pred_boxes[0][kept].clamp(0, 1).cpu().numpy() * [width, height, width, height]
        return ConceptInstances(
            scores[kept].cpu().numpy(),
            np.asarray(boxes, np.float32),
            found.pred_masks[0][kept].sigmoid().cpu().numpy(),
        )

    def mask(self, probabilities: Floats) -> Mask:
        """The mask, bool HxW at the photo's own size, of one instance's probabilities (h, w)."""
        low_res = torch.from_numpy(probabilities)[None, None]
        full = torch.nn.functional.interpolate(low_res, self._size_hw, mode="bilinear", align_corners=False)
        mask: Mask = (full[0, 0] > _MASK_THRESHOLD).numpy()
        return mask


def _features_of(features: Any, index: int) -> Any:
    """The features of one photo of a batch, in transformers' own form."""
    taken = slice(index, index + 1)
    levels = {name: tuple(level[taken] for level in features[name]) for name in _LEVELS}
    return type(features)(last_hidden_state=features.last_hidden_state[taken], **levels)
