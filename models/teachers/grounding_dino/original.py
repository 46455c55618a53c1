"""Grounding DINO of its authors' own code: the package groundingdino-py 0.4.0 (Liu et al., Grounding DINO, 2023).

The package is of 2023. What it needs to run beside today's libraries is here:

- Its wrapper of BERT calls methods that `BertModel` has no more in transformers 5 (`get_head_mask`); `_Bert` has the
  same tensors and computes the same.
- It downloads BERT and its tokenizer by name. Here BERT is built from its configuration, its weights are those of the
  checkpoint, and captions come as token ids.
- It knows Swin backbones by name; here their sizes come from the configuration, as those of the port.
- timm 1, torch 2 and transformers 5 warn of names and defaults that it uses.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import BatchEncoding, BertModel, GroundingDinoConfig

from models.teachers.grounding_dino.captions import CLS, QUESTION, SEP, STOP
from models.teachers.grounding_dino.checkpoint import read_official
from models.weights.checkpoint_files import load_exactly
from surfaces.errors import MissingExtraError

_CODE = "groundingdino.models.GroundingDINO"
# Swin-T's; what differs in Swin-B's is in the configuration of the port.
_SETTINGS = "groundingdino.config.GroundingDINO_SwinT_OGC"
# Tensors in official files that the network lacks: labels that only training used, a table that follows from sizes.
_UNUSED = ("label_enc.", "bert.embeddings.position_ids")
_SPECIAL = [CLS, SEP, STOP, QUESTION]


def load_original(path: Path, config: GroundingDinoConfig) -> OriginalNetwork:
    """Builds the network on the CPU, for inference, from an official `.pth` file, without contacting any hub.

    Raises:
        MissingExtraError: groundingdino-py, or a package that it imports, is not installed.
        WeightsError: the file is missing, is no such checkpoint, or is one of another architecture.
    """
    network = OriginalNetwork(config)
    tensors = {name: tensor for name, tensor in read_official(path).items() if not name.startswith(_UNUSED)}
    load_exactly(network.network, tensors, f"weights of Grounding DINO at {path}")
    return network


class OriginalNetwork(torch.nn.Module):
    """groundingdino-py's network, called like transformers' port; random weights.

    Raises:
        MissingExtraError: groundingdino-py, or a package that it imports, is not installed.
    """

    def __init__(self, config: GroundingDinoConfig) -> None:
        super().__init__()
        self.config = config
        self.network: torch.nn.Module = _build(config).eval()

    @torch.no_grad()
    def forward(self, pixel_values: torch.Tensor, input_ids: torch.Tensor) -> SimpleNamespace:
        """Finds boxes in photos (B, 3, h, w) for the token ids (B, T) of a caption.

        Returns:
            `logits` (B, N, tokens at most) and `pred_boxes` (B, N, 4): centre, width and height as shares of the photo.
        """
        with _without_warnings():
            found = self.network(pixel_values, captions=input_ids)
        return SimpleNamespace(logits=found["pred_logits"], pred_boxes=found["pred_boxes"])


def _build(config: GroundingDinoConfig) -> torch.nn.Module:
    with _without_warnings():
        code = _import(f"{_CODE}.groundingdino")
        backbone = _import(f"{_CODE}.backbone.backbone")
        settings = {name: value for name, value in vars(_import(_SETTINGS)).items() if not name.startswith("_")}
        build_swin = backbone.build_swin_transformer
        with (
            _replaced(code, "BertModelWarper", _Bert),
            _replaced(code, "get_tokenlizer", _text_encoder(config)),
            _replaced(backbone, "build_swin_transformer", lambda *a, **named: build_swin(*a, **named, **_swin(config))),
        ):
            network: torch.nn.Module = code.build_groundingdino(SimpleNamespace(**settings | _sizes(config)))
    return network


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"`groundingdino-py` needs {error.name}, which is not installed; "
            "pip install 'interior-surfaces[autolabel,groundingdino]' && pip install --no-deps groundingdino-py==0.4.0"
        ) from error


def _sizes(config: GroundingDinoConfig) -> dict[str, Any]:
    """The port's configuration in the original's words."""
    return {
        "enc_layers": config.encoder_layers,
        "dec_layers": config.decoder_layers,
        "dim_feedforward": config.encoder_ffn_dim,
        "num_queries": config.num_queries,
        "hidden_dim": config.d_model,
        "nheads": config.encoder_attention_heads,
        "use_checkpoint": False,  # these two save memory in training
        "use_transformer_ckpt": False,
    }


def _swin(config: GroundingDinoConfig) -> dict[str, Any]:
    swin: Any = config.backbone_config
    return {name: getattr(swin, name) for name in ("embed_dim", "depths", "num_heads", "window_size")}


def _text_encoder(config: GroundingDinoConfig) -> SimpleNamespace:
    """In place of the package's module that loads the tokenizer and BERT from a hub."""
    bert: Any = config.text_config
    return SimpleNamespace(
        get_tokenlizer=lambda _: _TokenIds(), get_pretrained_language_model=lambda _: BertModel(bert)
    )


class _TokenIds:
    """In place of a tokenizer: captions are token ids already, (B, T)."""

    def convert_tokens_to_ids(self, _: Sequence[str]) -> list[int]:
        return _SPECIAL

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> BatchEncoding:
        return BatchEncoding(
            {
                "input_ids": input_ids,
                "token_type_ids": torch.zeros_like(input_ids),
                "attention_mask": torch.ones_like(input_ids),
            }
        )


class _Bert(torch.nn.Module):
    """In place of the package's wrapper of BERT: the same names of tensors."""

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


@contextmanager
def _replaced(module: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
