"""SAM 2 of transformers' own classes, with random weights and few of them, in the formats of the hub."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VideoConfig, Sam2VideoModel, Sam2VisionConfig

SIDE = 128


def tiny_sam2(seed: int = 0) -> Sam2Model:
    torch.manual_seed(seed)
    return varied(Sam2Model(Sam2Config(**_parts()))).eval()


def _parts() -> dict[str, object]:
    hiera = Sam2HieraDetConfig(
        hidden_size=16,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        global_attention_blocks=[3],
        window_size_per_stage=[4, 2, 4, 2],
    )
    vision = Sam2VisionConfig(
        backbone_config=hiera,
        backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[SIDE // s, SIDE // s] for s in (4, 8, 16)],
        fpn_hidden_size=32,
    )
    return {
        "vision_config": vision.to_dict(),
        "prompt_encoder_config": {"hidden_size": 32, "image_size": SIDE, "mask_input_channels": 4},
        "mask_decoder_config": {"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
    }


def write_sam2(folder: Path, seed: int = 0) -> Path:
    """A folder of SAM 2 as transformers writes it."""
    tiny_sam2(seed).save_pretrained(folder)
    return folder


def write_sam2_video(folder: Path, seed: int = 0) -> Path:
    """A folder as Meta publishes it: the network for videos, with more parts than photos need."""
    torch.manual_seed(seed)
    sizes = {"memory_attention_hidden_size": 32, "memory_encoder_hidden_size": 32, "memory_encoder_output_channels": 16}
    more = {"memory_attention_num_layers": 1, "mask_downsampler_embed_dim": 32, "memory_fuser_embed_dim": 32}
    config = Sam2VideoConfig(**_parts(), **sizes, **more, image_size=SIDE)
    varied(Sam2VideoModel(config)).save_pretrained(folder)
    return folder


def varied(network: torch.nn.Module) -> torch.nn.Module:
    """Much is born zero or one, which would hide what is mixed up."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn_like(parameter) * 0.2
    return network
