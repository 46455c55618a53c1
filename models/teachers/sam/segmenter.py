"""SAM turns boxes and points into masks (Kirillov et al., Segment Anything, 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from segment_anything import SamPredictor, sam_model_registry

from models.device import pick_device
from models.teachers.base import Floats
from models.teachers.batches import run_in_groups
from models.teachers.sam.photo import PromptableSegmenter, PromptedPhoto, SamMask, box_corners, sam_masks
from models.teachers.sam.prompts import SamPrompt
from models.weights.checkpoint_files import load_exactly, read_checkpoint
from models.weights.registry import sha256_of
from surfaces.detections import Image


class Sam(PromptableSegmenter):
    """A promptable segmenter from segment-anything's `Sam`, in evaluation mode."""

    def __init__(self, network: torch.nn.Module, name: str = "sam", weights_sha256: str = "") -> None:
        self._network = network
        self.name = name
        self.weights_sha256 = weights_sha256

    @classmethod
    def load(cls, size: str, weights: Path, device: str | None = None) -> Sam:
        """SAM (`vit_b`, `vit_l` or `vit_h`) with the weights of an official `.pth` file; device as of `pick_device`.

        Raises:
            WeightsError: no file of weights, or another network's.
            DeviceError: no such device.
        """
        torch_device = pick_device(device)
        network = sam_model_registry[size]()
        load_exactly(network, read_checkpoint(weights), f"weights of SAM {size} at {weights}")
        return cls(network.to(torch_device), f"sam {size}", sha256_of(weights))

    def encode_batch(self, images: Sequence[Image]) -> list[PromptedPhoto]:
        """As of `PromptableSegmenter`."""
        transform = SamPredictor(self._network).transform
        inputs = [torch.from_numpy(transform.apply_image(image)).permute(2, 0, 1).contiguous() for image in images]

        def run(group: Sequence[int]) -> Iterator[PromptedPhoto]:
            features = self._features(torch.stack([inputs[index] for index in group]))
            for rank, index in enumerate(group):
                sizes = images[index].shape[:2], inputs[index].shape[1:]
                yield EncodedPhoto(_predictor(self._network, features[rank : rank + 1], *sizes))

        return run_in_groups([each.shape for each in inputs], run)

    @torch.inference_mode()
    def _features(self, pixels: torch.Tensor) -> torch.Tensor:
        network: Any = self._network
        features: torch.Tensor = network.image_encoder(network.preprocess(pixels.to(network.device)))
        return features


def _predictor(
    network: Any, features: torch.Tensor, size_hw: tuple[int, ...], input_hw: tuple[int, ...]
) -> SamPredictor:
    """A predictor with a photo set, as its `set_torch_image` sets one photo."""
    predictor = SamPredictor(network)
    predictor.original_size, predictor.input_size = tuple(size_hw), tuple(input_hw)
    predictor.features, predictor.is_image_set = features, True
    return predictor


class EncodedPhoto(PromptedPhoto):
    """A photo that takes prompts, from segment-anything's predictor with the photo set."""

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor

    @torch.inference_mode()
    def candidates(self, prompt: SamPrompt, several: bool, feedback: Floats | None = None) -> tuple[SamMask, ...]:
        """As of `PromptedPhoto`."""
        logits, predicted_iou, low_res_logits = self._predictor.predict_torch(
            *self._points(prompt),
            self._boxes(prompt),
            None if feedback is None else self._tensor(feedback),
            several,
            return_logits=True,
        )
        return sam_masks(logits[0], predicted_iou[0], low_res_logits[0], self._predictor.model.mask_threshold)

    def _points(self, prompt: SamPrompt) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
        if not len(prompt.points_xy):
            return None, None
        points = self._predictor.transform.apply_coords(prompt.points_xy, self._predictor.original_size)
        return self._tensor(points), torch.as_tensor(prompt.inside, device=self._predictor.device).int()[None]

    def _boxes(self, prompt: SamPrompt) -> torch.Tensor:
        corners = self._predictor.transform.apply_boxes(box_corners(prompt.box_xyxy), self._predictor.original_size)
        return self._tensor(corners[0])

    def _tensor(self, array: Floats) -> torch.Tensor:
        """A batch of one on the device."""
        return torch.as_tensor(array, dtype=torch.float32, device=self._predictor.device)[None]
