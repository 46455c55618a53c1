"""SAM 2.1 turns boxes and points into masks (Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig

from models.device import pick_device
from models.teachers.base import Floats
from models.teachers.sam.photo import PromptableSegmenter, PromptedPhoto, SamMask, box_corners, sam_masks
from models.teachers.sam.pixels import square_input
from models.teachers.sam.prompts import SamPrompt
from models.weights.pretrained import load_pretrained, read_safetensors, require_kinds, sha256_of_weights
from surfaces.detections import Image

KINDS = ("sam2", "sam2_video")
"""Values of `model_type` in `config.json`: the official files are of the network for videos, which has this one."""

_PARTS = {
    "": KINDS,
    "vision_config": ("sam2_vision_model",),
    "vision_config.backbone_config": ("sam2_hiera_det_model",),
}
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LOGIT_MAX = 32.0  # SAM 2's own code feeds no larger ones back

# Hiera (Ryali et al., 2023) by size, where it is not that of the smallest.
_HIERA: dict[str, dict[str, Any]] = {
    "tiny": {},
    "small": {"blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]},
    "base-plus": {
        "hidden_size": 112,
        "embed_dim_per_stage": [112, 224, 448, 896],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "blocks_per_stage": [2, 3, 16, 3],
        "global_attention_blocks": [12, 16, 20],
        "window_positional_embedding_background_size": [14, 14],
    },
    "large": {
        "hidden_size": 144,
        "embed_dim_per_stage": [144, 288, 576, 1152],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "blocks_per_stage": [2, 6, 36, 4],
        "global_attention_blocks": [23, 33, 43],
        "window_size_per_stage": [8, 4, 16, 8],
    },
}


def sam2_config(size: str) -> Sam2Config:
    """The published architectures."""
    hiera: Any = Sam2HieraDetConfig(**_HIERA[size])
    vision = Sam2VisionConfig(backbone_config=hiera, backbone_channel_list=hiera.embed_dim_per_stage[::-1])
    return Sam2Config(vision_config=vision)


class Sam2(PromptableSegmenter):
    """A promptable segmenter from transformers' `Sam2Model`, in evaluation mode."""

    def __init__(self, network: Any, name: str = "sam2.1", weights_sha256: str = "") -> None:
        self._network = network
        self.name = name
        self.weights_sha256 = weights_sha256

    @classmethod
    def load(cls, size: str, weights: Path, device: str | None = None) -> Sam2:
        """SAM 2.1 from local files, without contacting any hub.

        Args:
            size: the architecture of an official file: `tiny`, `small`, `base-plus` or `large`.
            weights: an official `.safetensors` file, or a folder that transformers wrote, of any architecture.
            device: as of `pick_device`.

        Raises:
            WeightsError: a file is missing or is not the expected one.
            DeviceError: there is no such device.
        """
        torch_device = pick_device(device)
        if weights.is_dir():
            require_kinds(weights, "SAM 2", _PARTS)
            source: dict[str, Any] = {"pretrained_model_name_or_path": weights}
        else:
            source = {"pretrained_model_name_or_path": None, "config": sam2_config(size)}
            source["state_dict"] = read_safetensors(weights)
        network = load_pretrained(Sam2Model, "SAM 2", weights, **source)
        return cls(network.to(torch_device), f"sam2.1 {size}", sha256_of_weights(weights))

    @torch.inference_mode()
    def encode_batch(self, images: Sequence[Image]) -> list[PromptedPhoto]:
        """As of `PromptableSegmenter`; inputs are of one size, whatever the photos' are."""
        if not images:
            return []
        side = self._network.config.prompt_encoder_config.image_size
        pixels = torch.cat([square_input(image, side, _MEAN, _STD) for image in images]).to(self._network.device)
        embeddings = self._network.get_image_embeddings(pixels)
        return [
            Sam2Photo(self._network, [each[index : index + 1] for each in embeddings], (image.shape[0], image.shape[1]))
            for index, image in enumerate(images)
        ]


class Sam2Photo(PromptedPhoto):
    """A photo that takes prompts: its embeddings, and its height and width."""

    def __init__(self, network: Any, embeddings: list[torch.Tensor], size_hw: tuple[int, int]) -> None:
        side = network.config.prompt_encoder_config.image_size
        self._network = network
        self._embeddings = embeddings
        self._size_hw = size_hw
        self._scale_xy = torch.tensor([side / size_hw[1], side / size_hw[0]], device=network.device)

    @torch.inference_mode()
    def candidates(self, prompt: SamPrompt, several: bool, feedback: Floats | None = None) -> tuple[SamMask, ...]:
        """As of `PromptedPhoto`."""
        points, labels = None, None
        if len(prompt.points_xy):
            points = (self._tensor(prompt.points_xy) * self._scale_xy)[None, None]
            labels = torch.as_tensor(prompt.inside, device=self._network.device).int()[None, None]
        found = self._network(
            image_embeddings=self._embeddings,
            input_points=points,
            input_labels=labels,
            input_boxes=(self._tensor(box_corners(prompt.box_xyxy)) * self._scale_xy.repeat(2))[None, None],
            input_masks=None if feedback is None else self._tensor(feedback)[None].clamp(-_LOGIT_MAX, _LOGIT_MAX),
            multimask_output=several,
        )
        low_res = found.pred_masks[0]
        logits = torch.nn.functional.interpolate(low_res, self._size_hw, mode="bilinear", align_corners=False)
        return sam_masks(logits[0], found.iou_scores[0, 0], low_res[0])

    def _tensor(self, array: Floats) -> torch.Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self._network.device)
