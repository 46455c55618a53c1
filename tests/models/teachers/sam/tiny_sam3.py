"""SAM 3 of transformers' own classes, with random weights and few of them, in the formats of the hub."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer, Sam3Config, Sam3Model

from tests.models.teachers.sam.tiny_sam2 import varied

SIDE = 112


def sam3_tokenizer() -> CLIPTokenizer:
    """A tokenizer as CLIP's, with a small vocabulary of letters."""
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789-'"]
    pieces = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return CLIPTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[])


def tiny_sam3(seed: int = 0) -> Sam3Model:
    torch.manual_seed(seed)
    decoder = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": SIDE,
                "pretrain_image_size": 56,
                "patch_size": 14,
                "window_size": 4,
                "global_attn_indexes": [1],
            },
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        text_config={
            "model_type": "clip_text_model",
            "vocab_size": len(sam3_tokenizer()),
            "hidden_size": 32,
            "intermediate_size": 64,
            "projection_dim": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 32,
            "bos_token_id": 0,
            "eos_token_id": 1,
        },
        geometry_encoder_config={**decoder},
        detr_encoder_config={**decoder},
        detr_decoder_config={**decoder, "num_queries": 12},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    return varied(Sam3Model(config)).eval()


def write_sam3(folder: Path, seed: int = 0) -> Path:
    """A folder of SAM 3 as transformers writes it."""
    tiny_sam3(seed).save_pretrained(folder)
    sam3_tokenizer().save_pretrained(folder)
    return folder


def write_sam3_video(folder: Path, seed: int = 0) -> Path:
    """A folder as Meta publishes it: the network for videos, with SAM 3 as its detector."""
    write_sam3(folder, seed)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "sam3_video", "detector_config": config}))
    tensors = {f"detector_model.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    tensors["tracker_model.no_memory_embedding"] = torch.zeros(1)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder
