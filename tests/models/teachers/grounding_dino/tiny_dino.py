"""Grounding DINO for tests: tiny random networks, a small vocabulary, and networks of known output."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    SwinConfig,
)

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
CAPTION = "wall . floor . dining table ."


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


class _BertOfTheOriginal(torch.nn.Module):
    """groundingdino-py's wrapper calls what transformers 5 no longer has; this one has the same tensors' names."""

    def __init__(self, bert_model: BertModel) -> None:
        super().__init__()
        self.config = bert_model.config
        self.embeddings, self.encoder, self.pooler = bert_model.embeddings, bert_model.encoder, bert_model.pooler

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        token_type_ids: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        embedded = self.embeddings(input_ids=input_ids, position_ids=position_ids, token_type_ids=token_type_ids)
        hidden = (1 - attention_mask[:, None].float()) * torch.finfo(torch.float32).min
        return {"last_hidden_state": self.encoder(embedded, attention_mask=hidden)[0]}


def original_network(config_file: str, text_encoder: Path, tiny: bool = False, seed: int = 0) -> torch.nn.Module:
    """Grounding DINO of its authors' own code (groundingdino-py), with random weights.

    Args:
        config_file: name of one of its configuration files.
        text_encoder: an empty folder, for the text encoder's vocabulary and configuration.
        tiny: sized as `tiny_config`.
        seed: of the weights.
    """
    import groundingdino
    from groundingdino.models import build_model
    from groundingdino.util.slconfig import SLConfig

    torch.manual_seed(seed)
    BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(text_encoder)
    BertModel(BertConfig(vocab_size=len(WORDS), **BERT) if tiny else BertConfig()).save_pretrained(text_encoder)
    args = SLConfig.fromfile(str(Path(groundingdino.__file__).parent / "config" / config_file))
    changes = {"device": "cpu", "text_encoder_type": str(text_encoder), "use_checkpoint": False}
    if tiny:
        changes |= {"enc_layers": 1, "dec_layers": 2, "dim_feedforward": 64, "num_queries": 20}
    for name, value in (changes | {"use_transformer_ckpt": False}).items():
        setattr(args, name, value)
    with _running_original(tiny):
        network = build_model(args).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # much is born zero or one, which would hide what is mixed up
            parameter += torch.randn_like(parameter) * 0.02
    return network


@contextmanager
def _running_original(tiny: bool) -> Iterator[None]:
    from groundingdino.models.GroundingDINO.backbone import backbone

    build_swin = backbone.build_swin_transformer
    sizes = SWIN if tiny else {}
    with (
        mock.patch("groundingdino.models.GroundingDINO.groundingdino.BertModelWarper", _BertOfTheOriginal),
        mock.patch.object(
            backbone, "build_swin_transformer", lambda *names, **more: build_swin(*names, **more, **sizes)
        ),
    ):
        yield


def write_official(network: torch.nn.Module, path: Path) -> Path:
    """Writes weights as the authors publish them, with what their files hold beside the network."""
    tensors = dict(network.state_dict())
    tensors["label_enc.weight"] = torch.zeros(2001, 256)
    tensors["bert.embeddings.position_ids"] = torch.arange(512)[None]
    torch.save({"model": {f"module.{name}": tensor for name, tensor in tensors.items()}}, path)
    return path
