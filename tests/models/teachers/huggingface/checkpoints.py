"""Tiny checkpoints with random weights, in the folders that transformers writes, and the label lists of real ones."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig

from models.teachers.huggingface.networks import NO_CLASSES

DATA = Path(__file__).with_name("data")

_LAST = re.compile(r"classifier\.weight|class_predictor\.weight|class_embed\.weight|head\.head\.4\.weight")

SIDE = 64
"""Pixels of the processors' shorter side."""


def label_list(name: str) -> list[str]:
    """The labels of a real checkpoint, by the name of its file in `data`."""
    labels: list[str] = json.loads((DATA / f"{name}.json").read_text("utf-8"))["labels"]
    return labels


ADE20K, COCO = label_list("segformer_ade20k"), label_list("coco_panoptic")


def save_checkpoint(folder: Path, kind: str, labels: Sequence[str] = ADE20K, **settings: Any) -> Path:
    """Writes a checkpoint of a kind below; `settings` are of its processor."""
    torch.manual_seed(0)
    named = {"id2label": dict(enumerate(labels)), "label2id": {name: n for n, name in enumerate(labels)}}
    network, processor = _KINDS[kind](named, settings)
    _enliven(network)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _enliven(network: torch.nn.Module) -> None:
    """Weights large enough that classes and masks differ from place to place, and are sure of themselves."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                sharp = 8.0 if _LAST.search(name) else 1.0
                torch.nn.init.normal_(parameter, std=sharp * parameter[0].numel() ** -0.5)
            elif "layer_scale" in name or "lambda" in name:
                parameter.fill_(1.0)


def _swin() -> Any:
    return AutoConfig.for_model(
        "swin",
        image_size=SIDE,
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[2, 2, 4, 4],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def _segformer(named: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 4, 8],
        decoder_hidden_size=32,
        **named,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = transformers.SegformerImageProcessor(size=size, do_reduce_labels=True, **settings)
    return transformers.SegformerForSemanticSegmentation(config), processor


def _upernet(named: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.UperNetConfig(
        backbone_config=_swin(), hidden_size=16, auxiliary_channels=16, auxiliary_in_channels=64, **named
    )
    processor = transformers.SegformerImageProcessor(size={"height": SIDE, "width": SIDE}, **settings)
    return transformers.UperNetForSemanticSegmentation(config), processor


def _beit(named: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.BeitConfig(
        image_size=SIDE,
        patch_size=16,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        out_indices=[1, 2, 3, 4],
        auxiliary_channels=16,
        **named,
    )
    size = {"height": SIDE, "width": SIDE}
    return transformers.BeitForSemanticSegmentation(config), transformers.BeitImageProcessor(size=size, **settings)


def _dpt(named: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.DPTConfig(
        image_size=SIDE,
        patch_size=16,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        is_hybrid=False,
        **named,
    )
    size = {"height": SIDE, "width": SIDE}
    return transformers.DPTForSemanticSegmentation(config), transformers.DPTImageProcessor(size=size, **settings)


def _mask2former(named: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.Mask2FormerConfig(
        backbone_config=_swin(),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=2,
        decoder_layers=2,
        num_attention_heads=4,
        num_queries=12,
        **named,
    )
    size = {"shortest_edge": SIDE, "longest_edge": 4 * SIDE}
    processor = transformers.Mask2FormerImageProcessor(size=size, **settings)
    return transformers.Mask2FormerForUniversalSegmentation(config), processor


def _maskformer(named: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    decoder = transformers.DetrConfig(
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=12,
    )
    config = transformers.MaskFormerConfig(
        backbone_config=_swin(), decoder_config=decoder, fpn_feature_size=32, mask_feature_size=32, **named
    )
    size = {"shortest_edge": SIDE, "longest_edge": 4 * SIDE}
    processor = transformers.MaskFormerImageProcessor(size=size, **settings)
    return transformers.MaskFormerForInstanceSegmentation(config), processor


def _oneformer(named: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.OneFormerConfig(
        backbone_config=_swin(),
        num_queries=12,
        hidden_dim=32,
        mask_dim=32,
        conv_dim=32,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=2,
        decoder_layers=3,
        query_dec_layers=1,
        num_attention_heads=4,
        text_encoder_width=32,
        text_encoder_num_layers=1,
        is_training=False,
        **named,
    )
    size = {"shortest_edge": SIDE, "longest_edge": 4 * SIDE}
    named_classes = {"repo_path": str(NO_CLASSES.parent), "class_info_file": NO_CLASSES.name}
    images = transformers.OneFormerImageProcessor(size=size, **named_classes, **settings)
    processor = transformers.OneFormerProcessor(images, _clip_tokenizer())
    return transformers.OneFormerForUniversalSegmentation(config), processor


def _clip_tokenizer() -> Any:
    """CLIP's tokenizer with a few words only."""
    words = ["the", "task", "is", "semantic"]
    letters = sorted(set("".join(words)))
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(vocab={token: number for number, token in enumerate(vocabulary)}, merges=[])


def _eomt(named: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.EomtConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=SIDE,
        patch_size=16,
        num_blocks=1,
        num_queries=12,
        num_register_tokens=1,
        **named,
    )
    shown = {"do_split_image": True, "size": {"shortest_edge": SIDE, "longest_edge": None}}
    return transformers.EomtForUniversalSegmentation(config), transformers.EomtImageProcessor(**(shown | settings))


def _eomt_dinov3(named: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    config = transformers.EomtDinov3Config(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=SIDE,
        patch_size=16,
        num_blocks=1,
        num_queries=12,
        num_register_tokens=1,
        **named,
    )
    return transformers.EomtDinov3ForUniversalSegmentation(config), _eomt(named, settings)[1]


_KINDS = {
    "segformer": _segformer,
    "upernet": _upernet,
    "beit": _beit,
    "dpt": _dpt,
    "mask2former": _mask2former,
    "maskformer": _maskformer,
    "oneformer": _oneformer,
    "eomt": _eomt,
    "eomt_dinov3": _eomt_dinov3,
}
KINDS = tuple(_KINDS)
