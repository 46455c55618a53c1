"""Transformers' port of Grounding DINO (Liu et al., 2023) with the weights that its authors published.

Their files hold the same tensors under other names, with query, key and value of an attention in one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

from models.weights.checkpoint_files import read_checkpoint
from models.weights.pretrained import CONFIG, find_pretrained, load_pretrained, require_kinds
from surfaces.errors import WeightsError
from surfaces.messages import brief, in_a_line

# Tensors that the network lacks: labels that only training used, BERT's head, tables that follow from sizes.
_UNUSED = re.compile(r"label_enc\.|bert\.pooler\.|bert\.embeddings\.position_ids$|.*\.relative_position_index$")

_QKV = "{qkv}"
_FEED_FORWARD = {"linear1.": "fc1.", "linear2.": "fc2."}
_VISION = "model.backbone.conv_encoder.model."
_ENCODER = r"model.encoder.layers.\1."

# By the beginning of a name and what it becomes: what the part after it becomes.
_RENAMES: dict[tuple[str, str], dict[str, str]] = {
    (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.", _VISION + r"encoder.layers.\1.blocks.\2."): {
        "norm1.": "layernorm_before.",
        "norm2.": "layernorm_after.",
        "attn.relative_position_bias_table": "attention.self.relative_position_bias_table",
        "attn.qkv.": f"attention.self.{_QKV}.",
        "attn.proj.": "attention.output.dense.",
        "mlp.fc1.": "intermediate.dense.",
        "mlp.fc2.": "output.dense.",
    },
    (r"backbone\.0\.", _VISION): {
        "patch_embed.proj.": "embeddings.patch_embeddings.projection.",
        "patch_embed.norm.": "embeddings.norm.",
        "layers.": "encoder.layers.",
        "norm1.": "hidden_states_norms.stage2.",
        "norm2.": "hidden_states_norms.stage3.",
        "norm3.": "hidden_states_norms.stage4.",
    },
    (r"transformer\.encoder\.layers\.(\d+)\.", f"{_ENCODER}deformable_layer."): {
        "self_attn.": "self_attn.",
        "norm1.": "self_attn_layer_norm.",
        "norm2.": "final_layer_norm.",
        **_FEED_FORWARD,
    },
    (r"transformer\.encoder\.text_layers\.(\d+)\.", f"{_ENCODER}text_enhancer_layer."): {
        "self_attn.in_proj_": f"self_attn.{_QKV}.",
        "self_attn.": "self_attn.",
        "norm1.": "layer_norm_before.",
        "norm2.": "layer_norm_after.",
        **_FEED_FORWARD,
    },
    (r"transformer\.encoder\.fusion_layers\.(\d+)\.", f"{_ENCODER}fusion_layer."): {
        "gamma_v": "vision_param",
        "gamma_l": "text_param",
        "layer_norm_v.": "layer_norm_vision.",
        "layer_norm_l.": "layer_norm_text.",
        "attn.v_proj.": "attn.vision_proj.",
        "attn.l_proj.": "attn.text_proj.",
        "attn.values_v_proj.": "attn.values_vision_proj.",
        "attn.values_l_proj.": "attn.values_text_proj.",
        "attn.out_v_proj.": "attn.out_vision_proj.",
        "attn.out_l_proj.": "attn.out_text_proj.",
    },
    (r"transformer\.decoder\.layers\.(\d+)\.", r"model.decoder.layers.\1."): {
        "self_attn.in_proj_": f"self_attn.{_QKV}.",
        "self_attn.": "self_attn.",
        "norm2.": "self_attn_layer_norm.",
        "ca_text.in_proj_": f"encoder_attn_text.{_QKV}.",
        "ca_text.": "encoder_attn_text.",
        "catext_norm.": "encoder_attn_text_layer_norm.",
        "cross_attn.": "encoder_attn.",
        "norm1.": "encoder_attn_layer_norm.",
        "norm3.": "final_layer_norm.",
        **_FEED_FORWARD,
    },
    (r"transformer\.", "model."): {
        "level_embed": "level_embed",
        "tgt_embed.": "query_position_embeddings.",
        "enc_output": "enc_output",
        "enc_out_bbox_embed.": "encoder_output_bbox_embed.",
        "decoder.norm.": "decoder.layer_norm.",
        "decoder.ref_point_head.": "decoder.reference_points_head.",
        "decoder.bbox_embed.": "decoder.bbox_embed.",
    },
    (r"", "model."): {"bert.": "text_backbone.", "feat_map.": "text_projection.", "input_proj.": "input_proj_vision."},
}


def rename_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The network's tensors of an official checkpoint, under transformers' names; unknown names are kept."""
    result: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        if _UNUSED.match(key):
            continue
        name = _rename(key)
        if _QKV in name:
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                result[name.replace(_QKV, part)] = rows
        else:
            result[name] = tensor
    return result


def _rename(key: str) -> str:
    for (beginning, replacement), parts in _RENAMES.items():
        if match := re.match(beginning, key):
            rest = key[match.end() :]
            for part, name in parts.items():
                if rest.startswith(part):
                    return match.expand(replacement) + name + rest[len(part) :]
    return key


DinoSize = Literal["swint", "swinb"]

# Swin-T and Swin-B (Liu et al., Swin Transformer, 2021).
_SWIN: dict[DinoSize, dict[str, Any]] = {
    "swint": {
        "image_size": 224,
        "window_size": 7,
        "embed_dim": 96,
        "depths": [2, 2, 6, 2],
        "num_heads": [3, 6, 12, 24],
    },
    "swinb": {
        "image_size": 384,
        "window_size": 12,
        "embed_dim": 128,
        "depths": [2, 2, 18, 2],
        "num_heads": [4, 8, 16, 32],
    },
}

_WHAT = "Grounding DINO"
KINDS = ("grounding-dino",)
"""Values of `model_type` in `config.json`."""
_PARTS = {"": KINDS, "backbone_config": ("swin",), "text_config": ("bert",)}
_NAMED_BACKBONE = ("backbone", "use_timm_backbone", "use_pretrained_backbone")


def dino_config(size: DinoSize) -> GroundingDinoConfig:
    """The published architectures, with BERT base for the words."""
    backbone: dict[str, Any] = {**_SWIN[size], "out_indices": [2, 3, 4]}
    return GroundingDinoConfig(backbone_config=SwinConfig(**backbone), text_config=BertConfig())


def config_beside(weights: Path, size: DinoSize) -> GroundingDinoConfig:
    """The architecture of an official `.pth` file: that of a `config.json` of transformers beside it, else by size.

    Raises:
        WeightsError: the `config.json` names parts of other kinds.
    """
    if find_pretrained([weights.parent], KINDS) is None:
        return dino_config(size)
    _require_own_parts(weights.parent)
    return GroundingDinoConfig.from_pretrained(weights.parent, local_files_only=True)


def read_official(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of an official `.pth` file, under the names that the authors' network has.

    Raises:
        WeightsError: the file is missing, or is no such checkpoint.
    """
    document = read_checkpoint(path)
    tensors = document.get("model") if isinstance(document, dict) else None
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in tensors.items()
    ):
        raise WeightsError(f"expected a checkpoint of Grounding DINO at {path}, it has no tensors under 'model'")
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def load_official(path: Path, config: GroundingDinoConfig) -> GroundingDinoForObjectDetection:
    """Builds the network on the CPU, for inference, from an official `.pth` file, without contacting any hub.

    Raises:
        WeightsError: the file is missing, is no such checkpoint, or is one of another architecture.
    """
    try:
        state_dict = rename_tensors(read_official(path))
    except (RuntimeError, ValueError) as error:  # query, key and value can't be told apart
        raise WeightsError(f"expected weights of {_WHAT} at {path}: {in_a_line(error)}") from error
    return _network(path, config=config, pretrained_model_name_or_path=None, state_dict=state_dict)


def load_folder(path: Path) -> GroundingDinoForObjectDetection:
    """Builds the network from a folder that transformers wrote: `config.json` and its weights.

    Raises:
        WeightsError: the folder lacks one of the two, they don't fit, or the network has parts from a hub.
    """
    _require_own_parts(path)
    return _network(path, pretrained_model_name_or_path=path)


def _require_own_parts(folder: Path) -> None:
    config = require_kinds(folder, _WHAT, _PARTS)
    if named := [key for key in _NAMED_BACKBONE if config.get(key)]:
        raise WeightsError(f"expected the sizes of a Swin backbone in {folder / CONFIG}, got {brief(named)}")


def _network(path: Path, **source: Any) -> GroundingDinoForObjectDetection:
    network: GroundingDinoForObjectDetection = load_pretrained(GroundingDinoForObjectDetection, _WHAT, path, **source)
    return network
