"""Convolutions as the TensorFlow-trained encoders expect them, every BatchNorm already folded into weight and bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, uneven with stride 2, for inputs whose size the stride divides."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> None:
        total = max(0, dilation * (kernel - 1) + 1 - stride)
        before, after = total // 2, total - total // 2
        self.uneven = before != after
        # Backward on CPUs with AMX, torch 2.14: 736 ms a step in bf16, 353 ms in float32.
        self.slow_in_bf16 = groups > 1 and (kernel > 3 or stride > 1)
        super().__init__(in_channels, out_channels, kernel, stride, 0 if self.uneven else before, dilation, groups)
        self.pad_sides = (before, after, before, after)

    def reset_parameters(self) -> None:
        """Starts so that a deep stack without BatchNorm neither fades nor explodes (He et al., 2015)."""
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out_channels, H / stride, W / stride), rounded up."""
        x = F.pad(x, self.pad_sides) if self.uneven else x
        if self.slow_in_bf16 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())
        return super().forward(x)


def depthwise(channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> SameConv2d:
    """One filter a channel."""
    return SameConv2d(channels, channels, kernel, stride, dilation, groups=channels)


def pointwise(in_channels: int, out_channels: int) -> SameConv2d:
    """A 1x1 convolution."""
    return SameConv2d(in_channels, out_channels, 1)


class SeparableConv(nn.Module):
    """Depthwise then pointwise convolution, ReLU after both (Howard et al., MobileNets, 2017)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.depthwise = depthwise(in_channels, kernel)
        self.pointwise = pointwise(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out_channels, H, W)."""
        return F.relu(self.pointwise(F.relu(self.depthwise(x))))


@dataclass(frozen=True)
class BlockSpec:
    """One inverted residual block: channels in, after expansion and out; depthwise kernel, stride and dilation."""

    in_channels: int
    expanded: int
    kernel: int
    stride: int
    out_channels: int
    dilation: int = 1


class InvertedResidual(nn.Module):
    """Expand, depthwise, project (Sandler et al., MobileNetV2, 2018); residual where the shapes agree."""

    def __init__(self, spec: BlockSpec, activation_max: float) -> None:
        super().__init__()
        self.expand = pointwise(spec.in_channels, spec.expanded) if spec.expanded != spec.in_channels else None
        self.depthwise = depthwise(spec.expanded, spec.kernel, spec.stride, spec.dilation)
        self.project = pointwise(spec.expanded, spec.out_channels)
        self.residual = spec.stride == 1 and spec.in_channels == spec.out_channels
        self.activation_max = activation_max

    def _activate(self, x: Tensor) -> Tensor:
        return F.relu(x) if self.activation_max == float("inf") else x.clamp(0.0, self.activation_max)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, in, H, W) to (N, out, H / stride, W / stride), and the depthwise output, for decoders."""
        wide = x if self.expand is None else self._activate(self.expand(x))
        filtered = self._activate(self.depthwise(wide))
        out = self.project(filtered)
        return (x + out if self.residual else out), filtered


def upsample(x: Tensor, factor: int) -> Tensor:
    """Bilinear upsampling of (N, C, H, W) with TensorFlow 1's grid: output i reads input i / factor."""
    if torch.onnx.is_in_onnx_export():
        upsampled: Tensor = _OneResize.apply(x, factor)
        return upsampled
    height, width = x.shape[-2] * factor, x.shape[-1] * factor
    padded = F.pad(x, (0, 1, 0, 1), mode="replicate")
    upsampled = F.interpolate(padded, size=(height + 1, width + 1), mode="bilinear", align_corners=True)
    return upsampled[..., :height, :width]


class _OneResize(torch.autograd.Function):
    """`upsample` as the one ONNX operator that torch has none for; padding and cutting take as long as the resizing."""

    @staticmethod
    def forward(_: Any, x: Tensor, factor: int) -> Tensor:
        return x.repeat_interleave(factor, -2).repeat_interleave(factor, -1)  # the size is all that tracing needs

    @staticmethod
    def symbolic(graph: Any, x: Any, factor: int) -> Any:
        none = graph.op("Constant", value_t=torch.zeros(0))
        scales = graph.op("Constant", value_t=torch.tensor([1.0, 1.0, factor, factor]))
        return graph.op("Resize", x, none, scales, mode_s="linear", coordinate_transformation_mode_s="asymmetric")
