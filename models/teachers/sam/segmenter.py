"""SAM turns boxes and points into masks (Kirillov et al., Segment Anything, 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.utils.amg import calculate_stability_score

from models.device import pick_device
from models.teachers.base import Floats, box_iou
from models.teachers.sam.prompts import SamPrompt, SamSettings
from models.weights.checkpoint_files import load_exactly, read_checkpoint
from models.weights.registry import sha256_of
from surfaces.detections import Image, Mask

_STABILITY_OFFSET = 1.0  # of the logits' threshold, either way: SAM's own choice
_EXTENT_TRIM = 0.005  # share of a mask's pixels at each side that its extent leaves out, so that specks don't count


@dataclass(frozen=True, eq=False)
class SamMask:
    """One mask of SAM.

    Attributes:
        mask: bool HxW at the photo's own size.
        predicted_iou: how well SAM thinks it fits, 0 to 1.
        stability: IoU of the masks at a higher and a lower threshold, 0 to 1.
        low_res_logits: float32 (1, 256, 256) of the square that SAM pads photos to; for feedback.
    """

    mask: Mask
    predicted_iou: float
    stability: float
    low_res_logits: Floats


class Sam:
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

    def encode(self, image: Image) -> EncodedPhoto:
        """Encodes a photo, uint8 HxWx3 RGB, once for many prompts; this takes most of SAM's time."""
        predictor = SamPredictor(self._network)
        predictor.set_image(image)
        return EncodedPhoto(predictor)


class EncodedPhoto:
    """A photo that takes prompts, from segment-anything's predictor with the photo set."""

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor

    def thing(self, prompt: SamPrompt, settings: SamSettings) -> SamMask:
        """The mask of one thing from its box."""
        if not settings.whole_over_part:
            return self.candidates(prompt, several=False)[0]
        return choose_whole(self.candidates(prompt, several=True), prompt.box_xyxy, settings.iou_tolerance)

    def stuff(self, prompt: SamPrompt, settings: SamSettings) -> SamMask:
        """The mask of a region of stuff: of all rounds of feedback the one with the highest predicted IoU."""
        # With several prompts for one region SAM's single mask is the one that was trained.
        rounds = [self.candidates(prompt, several=False)[0]]
        for _ in range(settings.feedback_rounds):
            rounds += self.candidates(prompt, several=False, feedback=rounds[-1].low_res_logits)
        return max(rounds, key=lambda mask: mask.predicted_iou)

    @torch.inference_mode()
    def candidates(self, prompt: SamPrompt, several: bool, feedback: Floats | None = None) -> tuple[SamMask, ...]:
        """SAM's one mask for a prompt, or several: a part, the whole, and what encloses it.

        `feedback` is the low-resolution logits of an earlier mask.
        """
        logits, predicted_iou, low_res_logits = self._predictor.predict_torch(
            *self._points(prompt),
            self._boxes(prompt),
            None if feedback is None else self._tensor(feedback),
            several,
            return_logits=True,
        )
        threshold = self._predictor.model.mask_threshold
        # A mask without a pixel at either threshold has no stability.
        stability = calculate_stability_score(logits[0], threshold, _STABILITY_OFFSET).nan_to_num(0.0)
        return tuple(
            SamMask(*values)
            for values in zip(
                (logits[0] > threshold).cpu().numpy(),
                predicted_iou[0].clamp(0, 1).tolist(),
                stability.tolist(),
                low_res_logits[0, :, None].cpu().numpy(),
                strict=True,
            )
        )

    def _points(self, prompt: SamPrompt) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
        if not len(prompt.points_xy):
            return None, None
        points = self._predictor.transform.apply_coords(prompt.points_xy, self._predictor.original_size)
        return self._tensor(points), torch.as_tensor(prompt.inside, device=self._predictor.device).int()[None]

    def _boxes(self, prompt: SamPrompt) -> torch.Tensor:
        # SAM's corners are the pixels in the corners, where ours are the edges of the photo's pixels.
        left, top, right, bottom = prompt.box_xyxy
        corners = np.array([left, top, max(left, right - 1), max(top, bottom - 1)])
        return self._tensor(self._predictor.transform.apply_boxes(corners, self._predictor.original_size)[0])

    def _tensor(self, array: Floats) -> torch.Tensor:
        """A batch of one on the device."""
        return torch.as_tensor(array, dtype=torch.float32, device=self._predictor.device)[None]


def choose_whole(candidates: Sequence[SamMask], box_xyxy: Floats, iou_tolerance: float) -> SamMask:
    """The candidate that fills the box best, among those whose predicted IoU is nearly as high as the best one's."""
    best = max(candidate.predicted_iou for candidate in candidates)
    good = [candidate for candidate in candidates if candidate.predicted_iou >= best - iou_tolerance]
    return max(good, key=lambda candidate: (box_iou(_extent(candidate.mask), box_xyxy), candidate.predicted_iou))


def _extent(mask: Mask) -> Floats:
    """The box around a mask without its outermost pixels; zeros where it is empty."""
    total = np.count_nonzero(mask)
    if not total:
        return np.zeros(4, np.float32)
    trimmed = total * _EXTENT_TRIM
    below = [np.cumsum(mask.sum(axis=axis)) for axis in (0, 1)]
    firsts = [np.searchsorted(counts, trimmed, side="right") for counts in below]
    lasts = [np.searchsorted(counts, total - trimmed) + 1 for counts in below]
    return np.array([*firsts, *lasts], np.float32)
