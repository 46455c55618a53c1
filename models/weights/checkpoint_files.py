"""Loads official checkpoints into networks: no pickled code, no tensor missing or left over."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from surfaces.errors import WeightsError


def read_checkpoint(path: Path) -> Any:
    """The content of a file that `torch.save` wrote, if it is data and no code; tensors on the CPU.

    Raises:
        WeightsError: the file is missing or not such a file.
    """
    try:
        # Mapped, the file's tensors don't take memory beside the network that they are copied to.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError as error:
        raise WeightsError(f"expected weights at {path}: {error.strerror or error}") from error
    except Exception as error:  # other bytes make torch raise nearly anything, or advise to run the code in them
        reason = "it is damaged, another kind of file, or holds code"
        raise WeightsError(f"expected weights that torch.save wrote at {path}: {reason}") from error


def load_exactly(network: torch.nn.Module, tensors: object, what: str) -> None:
    """Copies tensors by name into a network; `what` names them in messages, such as `weights of SAM vit_b at PATH`.

    Raises:
        WeightsError: a tensor is missing, left over, or of another shape or kind.
    """
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise WeightsError(f"expected {what}, got something other than tensors by name")
    problems = {
        "without": sorted(wanted.keys() - tensors.keys()),
        "with the unknown": sorted(tensors.keys() - wanted.keys()),
        "with another shape of": sorted(
            name for name in wanted.keys() & tensors.keys() if tensors[name].shape != wanted[name]
        ),
    }
    wrong = [f"{how} {_counted(names)}" for how, names in problems.items() if names]
    if wrong:
        raise WeightsError(f"expected {what}, got ones {', '.join(wrong)}")
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:  # of sparse tensors, for one
        raise WeightsError(f"expected {what}, got tensors of another kind") from error


def _counted(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
