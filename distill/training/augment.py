"""Whole-batch augmentation on the device: views of the photos, and what cameras, screens and the web do to them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

REFERENCE_SIDE = 576
"""Mean side, in pixels, that photos have when the exported network sees them: scale 1."""

SCALE = (0.5, 2.0)
STRETCH = 1.25
ROTATION_DEGREES = 6.0
FLIP_CHANCE = 0.5


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """(count,) numbers from low to high, on the CPU."""
    return low + (high - low) * torch.rand(count, generator=generator)


def view_maps(
    sizes: Tensor, crop: int, generator: torch.Generator, count: int | None = None, rows: slice = slice(None)
) -> Tensor:
    """Random views: scale .5 to 2 of what the exported network sees, a little stretch, flip, small rotation, anywhere.

    Args:
        sizes: (B, 2) heights and widths of the photos.
        crop: side of the square views.
        generator: source of chance.
        count, rows: as of `photographic_jitter`.

    Returns:
        float (B, 2, 3): the view's pixel centres (x, y, 1) to the photo's pixel coordinates (x, y).
    """
    count = count or len(sizes)

    def chance(low: float, high: float) -> Tensor:
        return uniform(count, low, high, generator)[rows]

    height, width = sizes[:, 0].float(), sizes[:, 1].float()
    zoom = torch.exp(chance(math.log(SCALE[0]), math.log(SCALE[1])))
    stretch = torch.exp(chance(-math.log(STRETCH), math.log(STRETCH)) / 2)
    step = (height * width).sqrt() / REFERENCE_SIDE / zoom
    step_x, step_y = step * stretch, step / stretch
    mirrored = torch.where(chance(0, 1) < FLIP_CHANCE, -1.0, 1.0)
    angle = torch.deg2rad(chance(-ROTATION_DEGREES, ROTATION_DEGREES))
    cos, sin = angle.cos(), angle.sin()
    # A view larger than the photo shows it whole, somewhere; a smaller one lies within it.
    slack_x, slack_y = (width - crop * step_x) / 2, (height - crop * step_y) / 2
    centre_x = width / 2 + slack_x * chance(-1, 1)
    centre_y = height / 2 + slack_y * chance(-1, 1)
    linear = torch.stack(
        [
            torch.stack([cos * step_x * mirrored, -sin * step_y], 1),
            torch.stack([sin * step_x * mirrored, cos * step_y], 1),
        ],
        dim=1,
    )
    middle = torch.full((2,), crop / 2)
    shift = torch.stack([centre_x, centre_y], 1) - linear @ middle
    return torch.cat([linear, shift[:, :, None]], dim=2)


def photographic_jitter(
    images: Tensor, strength: float, generator: torch.Generator, count: int | None = None, rows: slice = slice(None)
) -> Tensor:
    """Gamma, exposure, contrast, white balance, saturation, blur, noise and JPEG, each at random strength.

    Strong on purpose: Kinect photos are dim and warm, architectural photography is bright and clean. Every photo's
    strengths share a random factor, so that some stay nearly as they were.

    Args:
        images: float (B, 3, H, W), 0 to 255.
        strength: 1 for the full range, 0 for none.
        generator: source of chance.
        count: photos of the batch that these are some of; None: these.
        rows: which of them these are. What happens to each does not depend on which others are given.

    Returns:
        The same shape and range.
    """
    if strength == 0:
        return images
    count, device = count or len(images), images.device
    strengths = strength * torch.rand(count, generator=generator)

    def chance(low: float, high: float) -> Tensor:
        return (strengths * uniform(count, low, high, generator))[rows].to(device)[:, None, None, None]

    x = (images / 255).clamp(1e-4, 1)
    x = x ** torch.exp2(chance(-0.7, 0.7))
    x = x * torch.exp2(chance(-0.5, 0.7))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = mean + (x - mean) * torch.exp2(chance(-0.5, 0.5))
    red, blue = chance(-0.3, 0.3), chance(-0.3, 0.3)
    balance = torch.cat([red, torch.zeros_like(red), blue], dim=1)
    x = x * torch.exp2(balance)
    grey = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    x = grey + (x - grey) * (1 + chance(-0.8, 0.6))
    x = soften(x, chance(0, 1) ** 2)
    noise = torch.stack([noise_of(seed, x.shape[1:]) for seed in drawn_seeds(count, generator)[rows].tolist()]).to(
        device
    )
    x = x + noise.to(device) * chance(0, 0.06)
    x = x.clamp(0, 1) * 255
    return jpeg(x, 1 + chance(0, 30)[:, 0, 0, 0])


def drawn_seeds(count: int, generator: torch.Generator) -> Tensor:
    """(count,) int64 seeds of generators, one a photo."""
    return torch.randint(2**31, (count,), generator=generator)


def noise_of(seed: int, shape: torch.Size) -> Tensor:
    """Normally distributed numbers, on the CPU."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def soften(images: Tensor, amount: Tensor) -> Tensor:
    """Blends each photo with a 5x5 binomial blur of itself; amount (B, 1, 1, 1), 0 to 1."""
    row = images.new_tensor([1, 4, 6, 4, 1]) / 16
    kernel = (row[:, None] * row[None, :]).expand(3, 1, 5, 5)
    blurred = F.conv2d(F.pad(images, (2, 2, 2, 2), mode="replicate"), kernel, groups=3)
    return images + (blurred - images) * amount


def dct_basis(device: torch.device) -> Tensor:
    """The orthonormal 8x8 DCT-II matrix."""
    k = torch.arange(8, dtype=torch.float32, device=device)
    basis = torch.cos(math.pi / 8 * (k[None, :] + 0.5) * k[:, None]) * math.sqrt(2 / 8)
    basis[0] /= math.sqrt(2)
    return basis


def jpeg(images: Tensor, step: Tensor) -> Tensor:
    """What JPEG does to a photo, without its files: 8x8 DCT in YCbCr, coefficients rounded, high ones more coarsely.

    Args:
        images: float (B, 3, H, W), 0 to 255; H and W multiples of 8.
        step: (B,) the size of the steps that the lowest coefficients are rounded to.

    Returns:
        The same shape, 0 to 255.
    """
    to_ycc = images.new_tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    count, _, height, width = images.shape
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, images)
    blocks = ycc.reshape(count, 3, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    basis = dct_basis(images.device)
    frequencies = basis @ blocks @ basis.T
    order = torch.arange(8, device=images.device)
    coarser = 1 + (order[:, None] + order[None, :]).float() / 2
    chroma = images.new_tensor([1.0, 2.0, 2.0])
    quantum = step[:, None, None, None, None, None] * chroma[:, None, None, None, None] * coarser
    rounded = torch.round(frequencies / quantum) * quantum
    blocks = basis.T @ rounded @ basis
    ycc = blocks.permute(0, 1, 2, 4, 3, 5).reshape(count, 3, height, width)
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), ycc).clamp(0, 255)
