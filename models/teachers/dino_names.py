"""Names of Grounding DINO's tensors: from its authors' checkpoints to transformers'."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

# What files hold beside the network: labels that only training used, BERT's head, tables that follow from sizes.
_UNUSED = re.compile(r"label_enc\.|bert\.pooler\.|bert\.embeddings\.position_ids$|.*\.relative_position_index$")

_QKV = "{qkv}"
_FEED_FORWARD = {"linear1.": "fc1.", "linear2.": "fc2."}
_DEFORMABLE = "deformable_layer."
_TEXT = "text_enhancer_layer."
_FUSION = "fusion_layer."
_VISION = "model.backbone.conv_encoder.model."

# The beginning of a name, what it becomes, and what the part after it becomes.
_RENAMES: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (
        r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.",
        _VISION + r"encoder.layers.\1.blocks.\2.",
        {
            "norm1.": "layernorm_before.",
            "norm2.": "layernorm_after.",
            "attn.relative_position_bias_table": "attention.self.relative_position_bias_table",
            "attn.qkv.": f"attention.self.{_QKV}.",
            "attn.proj.": "attention.output.dense.",
            "mlp.fc1.": "intermediate.dense.",
            "mlp.fc2.": "output.dense.",
        },
    ),
    (
        r"backbone\.0\.",
        _VISION,
        {
            "patch_embed.proj.": "embeddings.patch_embeddings.projection.",
            "patch_embed.norm.": "embeddings.norm.",
            "layers.": "encoder.layers.",
            "norm1.": "hidden_states_norms.stage2.",
            "norm2.": "hidden_states_norms.stage3.",
            "norm3.": "hidden_states_norms.stage4.",
        },
    ),
    (
        r"transformer\.encoder\.layers\.(\d+)\.",
        r"model.encoder.layers.\1.",
        {
            "self_attn.": _DEFORMABLE + "self_attn.",
            "norm1.": _DEFORMABLE + "self_attn_layer_norm.",
            "norm2.": _DEFORMABLE + "final_layer_norm.",
            **{old: _DEFORMABLE + new for old, new in _FEED_FORWARD.items()},
        },
    ),
    (
        r"transformer\.encoder\.text_layers\.(\d+)\.",
        r"model.encoder.layers.\1.",
        {
            "self_attn.in_proj_": f"{_TEXT}self_attn.{_QKV}.",
            "self_attn.": _TEXT + "self_attn.",
            "norm1.": _TEXT + "layer_norm_before.",
            "norm2.": _TEXT + "layer_norm_after.",
            **{old: _TEXT + new for old, new in _FEED_FORWARD.items()},
        },
    ),
    (
        r"transformer\.encoder\.fusion_layers\.(\d+)\.",
        r"model.encoder.layers.\1.",
        {
            "gamma_v": _FUSION + "vision_param",
            "gamma_l": _FUSION + "text_param",
            "layer_norm_v.": _FUSION + "layer_norm_vision.",
            "layer_norm_l.": _FUSION + "layer_norm_text.",
            "attn.v_proj.": _FUSION + "attn.vision_proj.",
            "attn.l_proj.": _FUSION + "attn.text_proj.",
            "attn.values_v_proj.": _FUSION + "attn.values_vision_proj.",
            "attn.values_l_proj.": _FUSION + "attn.values_text_proj.",
            "attn.out_v_proj.": _FUSION + "attn.out_vision_proj.",
            "attn.out_l_proj.": _FUSION + "attn.out_text_proj.",
        },
    ),
    (
        r"transformer\.decoder\.layers\.(\d+)\.",
        r"model.decoder.layers.\1.",
        {
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
    ),
    (
        r"transformer\.",
        "model.",
        {
            "level_embed": "level_embed",
            "tgt_embed.": "query_position_embeddings.",
            "enc_output": "enc_output",
            "enc_out_bbox_embed.": "encoder_output_bbox_embed.",
            "decoder.norm.": "decoder.layer_norm.",
            "decoder.ref_point_head.": "decoder.reference_points_head.",
            "decoder.bbox_embed.": "decoder.bbox_embed.",
        },
    ),
    (r"", "model.", {"bert.": "text_backbone.", "feat_map.": "text_projection.", "input_proj.": "input_proj_vision."}),
)


def renamed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of an official checkpoint under the names of transformers' checkpoints.

    What the network does not have is left out; a name that is not known stays as it is.
    """
    result: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        key = key.removeprefix("module.")
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
    for beginning, replacement, parts in _RENAMES:
        if match := re.match(beginning, key):
            rest = key[match.end() :]
            for part, name in parts.items():
                if rest.startswith(part):
                    return match.expand(replacement) + name + rest[len(part) :]
    return key
