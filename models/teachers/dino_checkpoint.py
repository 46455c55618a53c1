"""Grounding DINO's network with the weights its authors published (Liu et al., Grounding DINO, 2023).

The network is transformers' port, which is maintained. The authors' files hold the same tensors under other names, with
query, key and value of an attention in one; here they are renamed to what transformers' own checkpoints call them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig
from transformers.utils import logging as transformers_logging

from models.teachers.dino_names import renamed
from models.teachers.loading import read_checkpoint
from surfaces.errors import WeightsError

DinoSize = Literal["swint", "swinb"]

# Swin-T and Swin-B as the authors of Swin Transformer (Liu et al., 2021) sized them.
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


def dino_config(size: DinoSize) -> GroundingDinoConfig:
    """The published architectures, with BERT base for the words."""
    backbone: dict[str, Any] = {**_SWIN[size], "out_indices": [2, 3, 4]}
    return GroundingDinoConfig(backbone_config=SwinConfig(**backbone), text_config=BertConfig())


def load_official(path: Path, config: GroundingDinoConfig) -> GroundingDinoForObjectDetection:
    """Builds the network from a checkpoint as its authors publish it, without asking any hub.

    Args:
        path: a `.pth` file; `{"model": {"module." + name: tensor}}`.
        config: the architecture.

    Returns:
        The network on the CPU, for inference.

    Raises:
        WeightsError: the file is missing, is no such checkpoint, or is one of another architecture.
    """
    return _network(path, config=config, pretrained_model_name_or_path=None, state_dict=renamed(_read(path)))


def load_folder(path: Path) -> GroundingDinoForObjectDetection:
    """Builds the network from a folder that transformers wrote: `config.json` and its weights.

    Raises:
        WeightsError: the folder lacks one of the two, or they don't fit.
    """
    return _network(path, pretrained_model_name_or_path=path)


def _read(path: Path) -> dict[str, torch.Tensor]:
    document = read_checkpoint(path)
    tensors = document.get("model") if isinstance(document, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise WeightsError(f"expected a checkpoint of Grounding DINO at {path}, it has no tensors under 'model'")
    return tensors


def _network(path: Path, **source: Any) -> GroundingDinoForObjectDetection:
    build: Callable[..., Any] = GroundingDinoForObjectDetection.from_pretrained
    network: GroundingDinoForObjectDetection
    try:
        with _quiet(transformers_logging):
            network, report = build(
                **source, local_files_only=True, ignore_mismatched_sizes=True, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"expected weights of Grounding DINO at {path}: {_first_line(error)}") from error
    wrong = {
        "missing": sorted(report["missing_keys"]),
        "unknown": sorted(report["unexpected_keys"]),
        "of other shapes": sorted(name for name, *_ in report["mismatched_keys"]),
    }
    if any(wrong.values()):
        counts = ", ".join(f"{len(names)} {kind} ({names[0]})" for kind, names in wrong.items() if names)
        raise WeightsError(f"expected weights of this size of Grounding DINO at {path}; tensors: {counts}")
    return network


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


@contextmanager
def _quiet(logs: Any) -> Iterator[None]:
    """Keeps transformers from drawing bars and tables: what is wrong with the weights becomes one line here."""
    verbosity, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(verbosity)
        if bars:
            logs.enable_progress_bar()
