"""The compact encoders, as stacks of inverted residual blocks with an output stride of 16."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.student.layers import BlockSpec, InvertedResidual, SameConv2d, pointwise


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder's shape.

    Attributes:
        blocks: its inverted residual blocks after a 3x3 stem of stride 2 and 32 channels.
        stride4, stride8: indices of the blocks whose depthwise outputs are the features of these strides.
        features: channels of the 1x1 convolution at the end; None: the last block's output is used.
        pixel_mean, pixel_scale: the input is (pixel - mean) / scale with pixels from 0 to 255.
        activation_max: 6 for ReLU6, infinite for ReLU.
    """

    blocks: tuple[BlockSpec, ...]
    stride4: int
    stride8: int
    features: int | None
    pixel_mean: float
    pixel_scale: float
    activation_max: float

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels of the features at strides 4, 8 and 16."""
        last = self.features or self.blocks[-1].out_channels
        return self.blocks[self.stride4].expanded, self.blocks[self.stride8].expanded, last


STEM_CHANNELS = 32

MOSAIC = EncoderSpec(
    blocks=(
        BlockSpec(32, 96, 3, 2, 32),
        BlockSpec(32, 64, 3, 1, 32),
        BlockSpec(32, 160, 5, 2, 64),
        BlockSpec(64, 192, 3, 1, 64),
        BlockSpec(64, 128, 3, 1, 64),
        BlockSpec(64, 192, 3, 1, 64),
        BlockSpec(64, 384, 5, 2, 128),
        BlockSpec(128, 384, 3, 1, 128),
        BlockSpec(128, 384, 3, 1, 128),
        BlockSpec(128, 384, 3, 1, 128),
        BlockSpec(128, 768, 3, 1, 160),
        BlockSpec(160, 640, 3, 1, 160),
        BlockSpec(160, 960, 3, 1, 192),
        BlockSpec(192, 384, 5, 1, 96, dilation=2),
        BlockSpec(96, 384, 5, 1, 96, dilation=2),
        BlockSpec(96, 384, 5, 1, 96, dilation=2),
    ),
    stride4=1,
    stride8=5,
    features=448,
    pixel_mean=127.5,
    pixel_scale=127.5,
    activation_max=float("inf"),
)
"""The encoder of MOSAIC (Wang and Howard, 2021; MLCommons' mobile segmenter)."""

EFFICIENTNET_STAGES = (
    # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""Of EfficientNet-B0 (Tan and Le, 2019, table 1)."""
DILATED_STAGE = 5


def efficientnet_lite(width: float, depth: float) -> EncoderSpec:
    """An EfficientNet-Lite, its last strided stage dilated instead, so that the output stride is 16.

    Args:
        width: factor on channels, rounded to multiples of 8.
        depth: factor on the blocks of each stage, rounded up; Lite networks keep the first and the last stage.
    """
    blocks: list[BlockSpec] = []
    last_blocks, last_stage = [], len(EFFICIENTNET_STAGES) - 1
    in_channels, dilation = STEM_CHANNELS, 1
    for stage, (expansion, kernel, stride, channels, count) in enumerate(EFFICIENTNET_STAGES):
        out_channels = _round_channels(width * channels)
        strides = 1 if stage == DILATED_STAGE else stride
        for index in range(count if stage in (0, last_stage) else math.ceil(depth * count)):
            expanded = expansion * in_channels
            blocks.append(BlockSpec(in_channels, expanded, kernel, 1 if index else strides, out_channels, dilation))
            in_channels = out_channels
            dilation = 2 if stage == DILATED_STAGE else dilation
        last_blocks.append(len(blocks) - 1)
    return EncoderSpec(
        blocks=tuple(blocks),
        stride4=last_blocks[1],
        stride8=last_blocks[2],
        features=None,
        pixel_mean=127.0,
        pixel_scale=128.0,
        activation_max=6.0,
    )


def _round_channels(channels: float) -> int:
    """The nearest multiple of 8 that is not less than nine tenths."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


EFFICIENTNET_LITES = {
    "efficientnet_lite0": efficientnet_lite(1.0, 1.0),
    "efficientnet_lite1": efficientnet_lite(1.0, 1.1),
    "efficientnet_lite2": efficientnet_lite(1.1, 1.2),
}
"""Google's Lite variants, without squeeze and excitation, with ReLU6; larger ones take input at larger sizes."""

ENCODERS: dict[str, EncoderSpec] = {"mosaic": MOSAIC, **EFFICIENTNET_LITES}


class Encoder(nn.Module):
    """Photo in, features at strides 4, 8 and 16 out."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.stem = SameConv2d(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList(InvertedResidual(block, spec.activation_max) for block in spec.blocks)
        last = spec.blocks[-1].out_channels
        self.features = pointwise(last, spec.features) if spec.features else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From float (N, 3, H, W), RGB 0 to 255, H and W multiples of 16, to features at strides 4, 8 and 16."""
        x = (images - self.spec.pixel_mean) / self.spec.pixel_scale
        x = self.stem(x).clamp(0.0, self.spec.activation_max)
        filtered: list[Tensor] = []
        for block in self.blocks:
            x, features = block(x)
            filtered.append(features)
        if self.features is not None:
            x = F.relu(self.features(x))
        return filtered[self.spec.stride4], filtered[self.spec.stride8], x
