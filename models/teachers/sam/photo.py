"""A photo that takes prompts, and what all versions of SAM share: which of their masks is taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from segment_anything.utils.amg import calculate_stability_score

from models.teachers.base import Floats, box_iou
from models.teachers.sam.prompts import SamPrompt, SamSettings
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
        low_res_logits: float32 (1, 256, 256) of the square that the photo becomes for SAM; for feedback.
    """

    mask: Mask
    predicted_iou: float
    stability: float
    low_res_logits: Floats


class PromptedPhoto(ABC):
    """A photo that takes prompts."""

    @abstractmethod
    def candidates(self, prompt: SamPrompt, several: bool, feedback: Floats | None = None) -> tuple[SamMask, ...]:
        """SAM's one mask for a prompt, or several: a part, the whole, and what encloses it.

        `feedback` is the low-resolution logits of an earlier mask.
        """

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


class PromptableSegmenter(ABC):
    """A version of SAM with its weights.

    Attributes:
        name: for provenance.
        weights_sha256: of the weights.
    """

    name: str
    weights_sha256: str

    def encode(self, image: Image) -> PromptedPhoto:
        """Encodes a photo, uint8 HxWx3 RGB, once for many prompts; this takes most of the time."""
        return self.encode_batch([image])[0]

    @abstractmethod
    def encode_batch(self, images: Sequence[Image]) -> list[PromptedPhoto]:
        """As `encode`, for several photos; those that become inputs of the same size have one pass."""


def sam_masks(
    logits: torch.Tensor, predicted_iou: torch.Tensor, low_res_logits: torch.Tensor, threshold: float = 0.0
) -> tuple[SamMask, ...]:
    """Masks from logits at the photo's size (K, H, W), predicted IoU (K,) and low-resolution logits (K, h, w)."""
    # A mask without a pixel at either threshold has no stability.
    stability = calculate_stability_score(logits, threshold, _STABILITY_OFFSET).nan_to_num(0.0)
    return tuple(
        SamMask(*values)
        for values in zip(
            (logits > threshold).cpu().numpy(),
            predicted_iou.clamp(0, 1).tolist(),
            stability.tolist(),
            low_res_logits[:, None].cpu().numpy(),
            strict=True,
        )
    )


def box_corners(box_xyxy: Floats) -> Floats:
    """A box (4,) by the pixels in its corners, as SAM has it, where ours are the edges of pixels."""
    left, top, right, bottom = box_xyxy
    return np.array([left, top, max(left, right - 1), max(top, bottom - 1)])


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
