"""Photos as SAM 2 and SAM 3 take them: stretched to a square, with their channels normalised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torchvision.transforms.v2 import functional

from surfaces.detections import Image


def square_input(image: Image, side: int, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Resizes and normalises a photo (uint8 HxWx3 RGB) to float32 (1, 3, side, side) as transformers' processors do."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)
    square = functional.resize(pixels, [side, side], antialias=True).float() / 255
    normalised: torch.Tensor = functional.normalize(square, list(mean), list(std))
    return normalised[None]
