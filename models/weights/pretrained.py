"""Loads networks in transformers' format: without contacting a hub, with no tensor missing or left over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from models.weights.registry import sha256_of
from models.weights.transformers_logs import silence_transformers
from surfaces.errors import WeightsError
from surfaces.io.local_files import read_text
from surfaces.messages import brief, in_a_line

CONFIG = "config.json"


def load_pretrained(network_class: Any, what: str, path: Path, **source: Any) -> Any:
    """Builds a network on the CPU, for inference.

    Args:
        network_class: of transformers.
        what: names the network in messages, such as `SAM 2`.
        path: of the weights, for messages.
        source: arguments of `from_pretrained`: a folder, or a configuration and tensors.

    Raises:
        WeightsError: a file is not as transformers wrote it, or the tensors are those of another architecture.
    """
    try:
        with silence_transformers():
            network, report = network_class.from_pretrained(
                **source, local_files_only=True, ignore_mismatched_sizes=True, output_loading_info=True
            )
    except Exception as error:  # transformers raises nearly anything where a file is not as it wrote it
        raise WeightsError(f"expected weights of {what} at {path}: {in_a_line(error)}") from error
    wrong = {
        "missing": sorted(report["missing_keys"]),
        "unknown": sorted(report["unexpected_keys"]),
        "of other shapes": sorted(name for name, *_ in report["mismatched_keys"]),
    }
    if any(wrong.values()):
        counts = ", ".join(f"{len(names)} {kind} ({names[0]})" for kind, names in wrong.items() if names)
        raise WeightsError(f"expected weights of this size of {what} at {path}; tensors: {counts}")
    return network


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.safetensors` file by name, on the CPU.

    Raises:
        WeightsError: the file is missing or not such a file.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"expected a .safetensors file at {path}: {in_a_line(error)}") from error


def require_kinds(folder: Path, what: str, kinds: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Reads a folder's `config.json` before transformers does, which downloads the parts that it names.

    Args:
        folder: as transformers writes it.
        what: names the network in messages.
        kinds: the allowed `model_type` by the part of the configuration, such as `vision_config.backbone_config`; `""`
            is the configuration itself. Parts may be absent.

    Raises:
        WeightsError: it is missing, is no JSON object, or a part is of another kind.
    """
    file = folder / CONFIG
    try:
        config = json.loads(read_text(file))
        found = {part: _part(config, part).get("model_type", allowed[0]) for part, allowed in kinds.items()}
    except OSError as error:
        raise WeightsError(f"expected weights of {what} at {folder}: {error.strerror or error}") from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"expected settings of {what} in {file}: {in_a_line(error)}") from error
    wrong = [kind for part, kind in found.items() if kind not in kinds[part]]
    if wrong:
        raise WeightsError(f"expected settings of {what} in {file}, got {brief(wrong)}")
    return dict(config)


def _part(config: dict[str, Any], part: str) -> dict[str, Any]:
    for key in filter(None, part.split(".")):
        config = config.get(key) or {}
    return config


def find_pretrained(given: Sequence[Path], kinds: Sequence[str]) -> Path | None:
    """The first of the user's folders whose `config.json` has one of these values of `model_type`."""
    for folder in given:
        try:
            kind = json.loads(read_text(folder / CONFIG)).get("model_type")
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
        if kind in kinds:
            return folder
    return None


def sha256_of_weights(path: Path) -> str:
    """The SHA-256 of a file, or one over the names and bytes of all files of a folder."""
    if not path.is_dir():
        return sha256_of(path)
    files = sorted(file for file in path.iterdir() if file.is_file())
    return hashlib.sha256("".join(f"{file.name} {sha256_of(file)}\n" for file in files).encode()).hexdigest()
