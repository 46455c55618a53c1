"""Training curves and sample overlays for TensorBoard, and nothing where TensorBoard is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from surfaces.classes import CLASSES, IGNORE

OVERLAY_ALPHA = 0.45
IGNORE_COLOUR = (0, 0, 0)
SAMPLES = 4


class Curves:
    """Writes to a TensorBoard writer, if there is one.

    Args:
        writer: a torch.utils.tensorboard.SummaryWriter, or None.
    """

    def __init__(self, writer: Any | None) -> None:
        self.writer = writer

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """One point a curve."""
        if self.writer:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)

    def samples(self, step: int, images: Tensor, labels: Tensor) -> None:
        """The first views of a batch as the network gets them, labels in their colours, ignored pixels dark.

        Args:
            step: steps done.
            images: float (B, 3, H, W), 0 to 255.
            labels: int64 (B, 2, H, W), semantic map first.
        """
        if self.writer:
            drawn = overlay(images[:SAMPLES], labels[:SAMPLES, 0])
            self.writer.add_images("views", drawn.to(torch.uint8), step)


def overlay(images: Tensor, semantic: Tensor) -> Tensor:
    """Blends class colours into (B, 3, H, W) photos by their (B, H, W) labels."""
    colours = torch.zeros(IGNORE + 1, 3)
    shares = torch.zeros(IGNORE + 1)
    for surface in CLASSES:
        colours[surface.coco_id] = torch.tensor(surface.colour_rgb, dtype=torch.float32)
        shares[surface.coco_id] = OVERLAY_ALPHA
    colours[IGNORE] = torch.tensor(IGNORE_COLOUR, dtype=torch.float32)
    shares[IGNORE] = OVERLAY_ALPHA
    semantic = semantic.cpu()
    alpha = shares[semantic][:, None]
    return images.cpu() * (1 - alpha) + colours[semantic].permute(0, 3, 1, 2) * alpha


@contextmanager
def open_curves(folder: Path) -> Iterator[Curves]:
    """Curves in FOLDER/curves, closed at the end."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print("no training curves: tensorboard is not installed", file=sys.stderr)
        yield Curves(None)
        return
    writer = SummaryWriter(str(folder / "curves"))
    try:
        yield Curves(writer)
    finally:
        writer.close()
