"""Grounding DINO for tests: tiny random networks, a small vocabulary, and networks of known output."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

from models.teachers.grounding_dino.captions import Vocabulary

_FIXED = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
_LETTERS = [*string.ascii_lowercase, *string.digits, "-", "'"]
WORDS = [_FIXED.get(i, f"[unused{i}]") for i in range(1030)] + [
    *_LETTERS,
    *(f"##{letter}" for letter in _LETTERS),
    *("wall", "floor", "dining", "table", "coffee", "desk", "door", "rug", "din", "##ing", "##ner"),
]
"""A vocabulary that spells any ASCII word; what the detector knows by number is where BERT has it."""

SWIN = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8]}
BERT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def vocabulary() -> Vocabulary:
    return Vocabulary(WORDS)


def write_vocabulary(folder: Path) -> Path:
    """Writes `vocab.txt`; returns its path."""
    path = folder / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n", "utf-8")
    return path


def tiny_config() -> GroundingDinoConfig:
    """Everything that the full size has, in 2 million parameters."""
    return GroundingDinoConfig(
        backbone_config=SwinConfig(image_size=224, window_size=7, **SWIN, out_indices=[2, 3, 4]),
        text_config=BertConfig(vocab_size=len(WORDS), **BERT),
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_queries=20,
    )


def write_tiny_folder(folder: Path, seed: int = 0) -> Path:
    """A folder as transformers writes it, with the vocabulary: what `GroundingDino.load` takes as weights."""
    torch.manual_seed(seed)
    GroundingDinoForObjectDetection(tiny_config()).save_pretrained(folder)
    write_vocabulary(folder)
    return folder


Found = tuple[tuple[float, float, float, float], Mapping[int, float]]
"""A box (centre x, centre y, width, height as shares of the photo) and the probabilities of token ids."""


class FakeNetwork:
    """Finds the same boxes in any photo."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._found = found
        self.asked: list[list[int]] = []
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, pixel_values: torch.Tensor, input_ids: torch.Tensor) -> SimpleNamespace:
        ids = input_ids[0].tolist()
        self.asked.append(ids)
        self.sizes.append((pixel_values.shape[3], pixel_values.shape[2]))
        probabilities = torch.zeros(1, len(self._found), 256)
        for row, (_, tokens) in enumerate(self._found):
            probabilities[0, row, : len(ids)] = torch.tensor([tokens.get(i, 0.0) for i in ids])
        boxes = torch.tensor([box for box, _ in self._found]).reshape(1, -1, 4)
        return SimpleNamespace(logits=torch.logit(probabilities), pred_boxes=boxes)


class RedFinder:
    """Finds the reddest region of the photo it is shown, and is sure of every token."""

    def __call__(self, pixel_values: torch.Tensor, input_ids: torch.Tensor) -> SimpleNamespace:
        red, green, _ = pixel_values[0]
        rows, columns = torch.nonzero((red > 1) & (green < 0), as_tuple=True)
        height, width = red.shape
        left, right = columns.min() / width, (columns.max() + 1) / width
        top, bottom = rows.min() / height, (rows.max() + 1) / height
        box = torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
        return SimpleNamespace(logits=torch.full((1, 1, input_ids.shape[1]), 9.0), pred_boxes=box.reshape(1, 1, 4))


def original_network(config: GroundingDinoConfig, seed: int = 0) -> torch.nn.Module:
    """Grounding DINO of its authors' own code (groundingdino-py), with random weights."""
    from models.teachers.grounding_dino.original import OriginalNetwork

    torch.manual_seed(seed)
    network = OriginalNetwork(config)
    with torch.no_grad():
        for parameter in network.parameters():  # much is born zero or one, which would hide what is mixed up
            parameter += torch.randn_like(parameter) * 0.02
    return network


def write_official_folder(folder: Path, name: str, seed: int = 0) -> Path:
    """A tiny network as the authors publish it under this name, with the sizes and the vocabulary beside."""
    folder.mkdir(parents=True, exist_ok=True)
    write_official(original_network(tiny_config(), seed), folder / name)
    tiny_config().save_pretrained(folder)
    write_vocabulary(folder)
    return folder


def write_official(network: torch.nn.Module, path: Path) -> Path:
    """Writes an `original_network` as the authors publish it, with what their files hold beside the network."""
    tensors = dict(network.network.state_dict())
    tensors["label_enc.weight"] = torch.zeros(2001, 256)
    tensors["bert.embeddings.position_ids"] = torch.arange(512)[None]
    torch.save({"model": {f"module.{name}": tensor for name, tensor in tensors.items()}}, path)
    return path
