"""The semantic branch: pyramid pooling and a light decoder, as in MOSAIC (Wang and Howard, 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.student.layers import SeparableConv, depthwise, pointwise, upsample
from surfaces.classes import CLASSES, NUM_CHANNELS

CHANNELS = 128
"""Channels of the pyramid's output, the stride-16 level that the instance heads share."""

ADE_CLASSES = 32
"""The branch keeps the 32 outputs of its ADE20K pre-training (0 is 'other'); they are summed to ours."""

OUTPUTS = {"wall": 1, "floor": 4, "dining table": 16}
"""Which of them learns which of our classes: the one whose pre-training comes nearest, by `surfaces.classes` names."""

_OURS = [OUTPUTS[surface.name] for surface in CLASSES]

POOLS = (8, 4, 2)

LARGEST_LOGIT = 80.0
"""At inference; the exponential of larger ones, summed over the classes, would not be a finite float32."""


class PyramidLevel(nn.Module):
    """One pooling level: half of the channels sees a 3x3 kernel, half a 5x5."""

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.split = channels // 2
        self.kernel3 = SeparableConv(self.split, CHANNELS // 2, 3)
        self.kernel5 = SeparableConv(channels - self.split, CHANNELS // 2, 5)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, CHANNELS, H, W)."""
        pooled = F.avg_pool2d(x, self.factor, self.factor)
        both = torch.cat([self.kernel3(pooled[:, : self.split]), self.kernel5(pooled[:, self.split :])], dim=1)
        return upsample(both, self.factor)


class Pyramid(nn.Module):
    """Context at three scales, projected to CHANNELS at stride 16. H/16 and W/16 must be multiples of 8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for factor in POOLS:
            self.add_module(f"pool{factor}", PyramidLevel(channels, factor))
        self.project = pointwise(len(POOLS) * CHANNELS + channels, CHANNELS)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H/16, W/16) to (N, CHANNELS, H/16, W/16)."""
        levels = [self.get_submodule(f"pool{factor}")(features) for factor in POOLS]
        return F.relu(self.project(torch.cat([*levels, features], dim=1)))


class SemanticDecoder(nn.Module):
    """From the pyramid and the encoder's features to class scores at stride 4."""

    def __init__(self, stride4: int, stride8: int) -> None:
        super().__init__()
        self.fuse8 = pointwise(CHANNELS + stride8, 64)
        self.depthwise = depthwise(64, 3)
        self.pointwise = pointwise(64, ADE_CLASSES)
        self.lateral4 = pointwise(stride4, ADE_CLASSES)

    def forward(self, pyramid: Tensor, stride8: Tensor, stride4: Tensor) -> Tensor:
        """Returns logits (N, ADE_CLASSES, H/4, W/4)."""
        x = F.relu(self.fuse8(torch.cat([upsample(pyramid, 2), stride8], dim=1)))
        x = F.relu(self.pointwise(F.relu(self.depthwise(x))))
        return upsample(x, 2) + F.relu(self.lateral4(stride4))


def grouped_log_probabilities(logits: Tensor) -> Tensor:
    """Sums the pre-training's classes, logits (N, ADE_CLASSES, H, W), to ours: log-probabilities (N, 4, H, W)."""
    rest = [index for index in range(ADE_CLASSES) if index not in _OURS]
    log_p = F.log_softmax(logits, dim=1)
    other = torch.logsumexp(log_p[:, rest], dim=1, keepdim=True)
    return torch.cat([other, log_p[:, _OURS]], dim=1)


def grouped_probabilities(logits: Tensor) -> Tensor:
    """Probabilities (N, 4, H, W); as `grouped_log_probabilities`, but faster: for inference."""
    groups = torch.zeros(NUM_CHANNELS, ADE_CLASSES, 1, 1, device=logits.device)
    groups[0] = 1.0
    for ours, theirs in enumerate(_OURS, start=1):
        groups[0, theirs], groups[ours, theirs] = 0.0, 1.0
    # In ONNX Runtime faster than its softmax over channels. The logits are sums of ReLUs, so that nothing underflows.
    summed = F.conv2d(logits.clamp(max=LARGEST_LOGIT).exp(), groups)
    return summed / summed.sum(dim=1, keepdim=True)
