"""The levels that the instance heads read: a small feature pyramid on the semantic branch's stride-16 level."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.student.layers import SeparableConv, pointwise, upsample
from models.student.semantic import CHANNELS

STRIDES = (8, 16, 32, 64)


class InstancePyramid(nn.Module):
    """Feature Pyramid Network (Lin et al., 2017) that also sees what the semantic branch believes.

    The branch's probabilities are appended to the features, as HTC does with its semantic features (Chen et al.,
    Hybrid Task Cascade, 2019): few photos have dining tables, and the branch knows more about them than boxes teach.
    """

    def __init__(self, tap8: int, semantic_channels: int) -> None:
        super().__init__()
        self.lateral8 = pointwise(tap8, CHANNELS)
        self.smooth8 = SeparableConv(CHANNELS + semantic_channels, CHANNELS)
        self.smooth16 = SeparableConv(CHANNELS + semantic_channels, CHANNELS)
        self.smooth32 = SeparableConv(CHANNELS, CHANNELS, 5)
        self.smooth64 = SeparableConv(CHANNELS, CHANNELS, 5)

    def forward(self, tap8: Tensor, pyramid: Tensor, probabilities: Tensor) -> dict[str, Tensor]:
        """Builds the levels.

        Args:
            tap8: (N, C, H/8, W/8), the encoder's features.
            pyramid: (N, CHANNELS, H/16, W/16), the semantic branch's context.
            probabilities: (N, semantic_channels, H/4, W/4), the branch's belief; no gradient is sent back to it.

        Returns:
            {"8": …, "16": …, "32": …, "64": …}, each (N, CHANNELS, H/stride, W/stride).
        """
        soft_labels = probabilities.detach()
        level8 = self.lateral8(tap8) + upsample(pyramid, 2)
        level8 = self.smooth8(torch.cat([level8, F.avg_pool2d(soft_labels, 2)], dim=1))
        level16 = self.smooth16(torch.cat([pyramid, F.avg_pool2d(soft_labels, 4)], dim=1))
        level32 = self.smooth32(F.max_pool2d(level16, 2))
        level64 = self.smooth64(F.max_pool2d(level32, 2))
        return {"8": level8, "16": level16, "32": level32, "64": level64}
