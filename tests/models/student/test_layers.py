from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.student.layers import SameConv2d, depthwise, upsample

Floats = npt.NDArray[np.float32]


def same_convolution(x: Floats, weight: Floats, bias: Floats, stride: int, dilation: int) -> Floats:
    """TensorFlow's SAME convolution of (C, H, W) by (O, C, K, K), pixel by pixel."""
    height, width = x.shape[1:]
    reach = dilation * (weight.shape[-1] - 1) + 1
    rows, columns = -(-height // stride), -(-width // stride)
    above = max(0, (rows - 1) * stride + reach - height) // 2
    left = max(0, (columns - 1) * stride + reach - width) // 2
    out = np.zeros((len(weight), rows, columns), np.float32)
    for row, column in np.ndindex(rows, columns):
        for i, j in np.ndindex(weight.shape[2:]):
            y, z = row * stride - above + i * dilation, column * stride - left + j * dilation
            if 0 <= y < height and 0 <= z < width:
                out[:, row, column] += weight[:, :, i, j] @ x[:, y, z]
    return out + bias[:, None, None]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_padding_is_tensorflows(kernel: int, stride: int, dilation: int) -> None:
    torch.manual_seed(kernel + 10 * stride + 100 * dilation)
    layer = SameConv2d(3, 4, kernel, stride, dilation)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 8, 12)
    with torch.no_grad():
        got = layer(x).numpy()
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    expected = np.stack([same_convolution(photo, weight, bias, stride, dilation) for photo in x.numpy()])
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_depthwise_filters_keep_to_their_channel() -> None:
    layer = depthwise(2, 5, stride=2)
    torch.nn.init.zeros_(layer.weight[1:].data)
    x = torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        got = layer(x)
    assert got.shape == (1, 2, 4, 4)
    assert got[:, 0].abs().min() > 0
    assert not got[:, 1].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**31))
def test_upsampling_reads_at_output_over_factor(height: int, width: int, factor: int, seed: int) -> None:
    x = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(seed))
    got = upsample(x, factor).numpy()
    rows = np.minimum(np.arange(height * factor) / factor, height - 1)
    columns = np.minimum(np.arange(width * factor) / factor, width - 1)
    for channel in range(2):
        plane = x[0, channel].numpy()
        narrow = np.stack([np.interp(columns, np.arange(width), line) for line in plane])
        expected = np.stack([np.interp(rows, np.arange(height), line) for line in narrow.T]).T
        np.testing.assert_allclose(got[0, channel], expected, atol=1e-4)
