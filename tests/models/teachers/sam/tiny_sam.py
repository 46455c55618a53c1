"""Small networks of segment-anything's own classes, one that sees what is bright, and photos for it."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import torch
from PIL import Image as Pillow
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from surfaces.detections import Image
from surfaces.images.load import decode_image

MEAN, DEVIATION = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def tiny_sam(seed: int = 0, width: int = 32, side: int = 128) -> Sam:
    """SAM as segment-anything builds it, with random weights and few of them."""
    torch.manual_seed(seed)
    cells = (side // 16, side // 16)
    network = Sam(
        image_encoder=ImageEncoderViT(
            img_size=side,
            embed_dim=width,
            depth=2,
            num_heads=2,
            mlp_ratio=2,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=(1,),
            window_size=4,
            out_chans=width,
        ),
        prompt_encoder=PromptEncoder(width, cells, (side, side), mask_in_chans=4),
        mask_decoder=MaskDecoder(
            transformer_dim=width,
            transformer=TwoWayTransformer(depth=2, embedding_dim=width, num_heads=2, mlp_dim=64),
            iou_head_depth=2,
            iou_head_hidden_dim=32,
        ),
        pixel_mean=MEAN,
        pixel_std=DEVIATION,
    )
    return network.eval()


class PromptLog:
    """Records the input of a network's prompt encoder: points, boxes and masks in SAM's square."""

    def __init__(self, network: Sam) -> None:
        self.calls: list[dict[str, Any]] = []
        network.prompt_encoder.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, _: torch.nn.Module, __: tuple[Any, ...], given: dict[str, Any]) -> None:
        self.calls.append(given)


class _Brightness(torch.nn.Module):
    """In place of the image encoder: the brightness of 4x4 pixels of SAM's square, which has their mean at 0."""

    img_size = 1024

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(pixels[:, :1], 4)


class _WhatIsBright(torch.nn.Module):
    """In place of the mask decoder: bright pixels are inside, whatever is asked."""

    def forward(self, *, image_embeddings: torch.Tensor, multimask_output: bool, **_: Any) -> tuple[torch.Tensor, ...]:
        count = 3 if multimask_output else 1
        return image_embeddings.repeat(1, count, 1, 1) * 10, torch.full((1, count), 0.9)


def bright_sam() -> Sam:
    """A network in SAM's full-size square whose masks are the photo's bright pixels."""
    network = tiny_sam(side=1024)
    network.image_encoder = _Brightness()
    network.mask_decoder = _WhatIsBright()
    return network


def as_taken(stored: Image, orientation: int) -> Image:
    """The photo of a file whose EXIF has this orientation."""
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Pillow.fromarray(stored).save(file, "PNG", exif=exif)
    file.seek(0)
    return decode_image(file)
