"""Segmentation networks of transformers, with what prepares their photos: loaded from a folder, no code, no pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForSemanticSegmentation,
    AutoModelForUniversalSegmentation,
    AutoTokenizer,
    OneFormerProcessor,
)

from models.weights.transformers_logs import silence_transformers
from surfaces.errors import WeightsError
from surfaces.io.local_files import read_text

SEMANTIC_TYPES = ("beit", "dpt", "segformer", "upernet")
"""Networks with logits for each pixel."""
MASK_TYPES = ("eomt", "eomt_dinov3", "mask2former", "maskformer", "oneformer")
"""Networks with masks and classes of queries."""

NO_CLASSES = Path(__file__).with_name("no_classes.json")
"""For OneFormer's image processors, of which older ones want a file of class names."""

_ONEFORMER = "oneformer"
_LOSSES = "criterion."


@dataclass(frozen=True)
class LoadedNetwork:
    """A network for inference, on the CPU.

    Attributes:
        network: transformers' model.
        processor: its image processor, or OneFormer's, which also takes `task_inputs`.
        labels: names of its classes, by their numbers.
    """

    network: torch.nn.Module
    processor: Any
    labels: tuple[str, ...]

    @property
    def has_task(self) -> bool:
        """Whether the processor is told the task."""
        return isinstance(self.processor, OneFormerProcessor)


def load_network(folder: Path, name: str) -> LoadedNetwork:
    """Loads a checkpoint in transformers' format, without contacting any hub; `name` names it in messages.

    Raises:
        WeightsError: it is no segmentation network of the types above, has no label names, lacks files or tensors, or
            has parts from elsewhere.
    """
    model_type = _checked_type(folder / "config.json", name)
    auto = AutoModelForSemanticSegmentation if model_type in SEMANTIC_TYPES else AutoModelForUniversalSegmentation
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with silence_transformers():
            config = AutoConfig.from_pretrained(folder, **local)
            config.output_hidden_states = config.output_attentions = False  # published ones keep them, in vain
            network, report = auto.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **local,
            )
            processor = _processor(folder, model_type, config, local)
    except Exception as error:  # transformers raises nearly anything where a file is not as it wrote it
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"expected a {model_type} checkpoint of transformers in {name}: {reason}") from error
    _refuse_missing(network, report, name)
    return LoadedNetwork(network.eval(), processor, _label_names(config.id2label, name))


def _processor(folder: Path, model_type: str, config: Any, local: dict[str, Any]) -> Any:
    load_images: Callable[..., Any] = AutoImageProcessor.from_pretrained
    if model_type != _ONEFORMER:
        return load_images(folder, **local)
    # The class names of a OneFormer's settings are for training, and would be downloaded.
    images = load_images(folder, repo_path=str(NO_CLASSES.parent), class_info_file=NO_CLASSES.name, **local)
    tokenizer = AutoTokenizer.from_pretrained(folder, **local)
    return OneFormerProcessor(images, tokenizer, task_seq_length=config.task_seq_len)


def _checked_type(file: Path, name: str) -> str:
    """The network's type; transformers would download a backbone that the file names."""
    try:
        config = json.loads(read_text(file))
        model_type, backbone = str(config.get("model_type")), config.get("backbone")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"expected settings of transformers in {file}: {error}") from error
    known = (*SEMANTIC_TYPES, *MASK_TYPES)
    if model_type not in known:
        raise WeightsError(f"expected a segmentation network ({', '.join(known)}) in {name}, got {model_type}")
    if backbone or config.get("use_timm_backbone"):
        raise WeightsError(f"expected `backbone_config` in {file}, it names a backbone elsewhere: {backbone}")
    return model_type


def _refuse_missing(network: torch.nn.Module, report: Any, name: str) -> None:
    """Transformers only warns, and draws the tensors at random."""
    parameters = {key for key, _ in network.named_parameters()}
    mismatched = {key for key, *_ in report["mismatched_keys"]}
    lacking = sorted(key for key in parameters & {*report["missing_keys"], *mismatched} if not key.startswith(_LOSSES))
    if lacking:
        raise WeightsError(
            f"expected all weights of a segmentation network in {name}, "
            f"it lacks {len(lacking)} tensors or has them in other shapes ({lacking[0]})"
        )


def _label_names(names: dict[int, str], checkpoint: str) -> tuple[str, ...]:
    labels = tuple(str(names.get(number, "")) for number in range(len(names)))
    if set(labels) <= {"", *(f"LABEL_{number}" for number in range(len(names)))}:
        raise WeightsError(f"expected names of the labels (id2label) in {checkpoint}/config.json, got none")
    if sorted(names) != [*range(len(names))]:
        raise WeightsError(f"expected labels from 0 to {len(names) - 1} in {checkpoint}/config.json, got other numbers")
    return labels
