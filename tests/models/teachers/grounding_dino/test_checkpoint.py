from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch

pytest.importorskip("groundingdino", reason="needs groundingdino-py, see the Makefile")

from models.teachers.grounding_dino.captions import CLS, SEP, STOP
from models.teachers.grounding_dino.checkpoint import DinoSize, dino_config, load_folder, load_official
from surfaces.errors import WeightsError
from tests.models.teachers.grounding_dino import tiny_dino

TOLERANCE = 1e-4
"""Largest difference of boxes (shares of the photo) and logits (also in their standard deviation, where it is above 1)
between the two implementations."""
TIE = 1e-5
"""Smallest difference of the scores by which queries are ranked; the two implementations differ by some 4e-6."""

CONFIG = tiny_dino.tiny_config()


def check_same_answers(original: torch.nn.Module, network: torch.nn.Module, pixels: torch.Tensor) -> None:
    with torch.inference_mode():
        expected = original(pixel_values=pixels, input_ids=caption())
        answer = network(pixel_values=pixels, input_ids=caption())
    logits, boxes = expected.logits, expected.pred_boxes
    assert torch.equal(answer.logits.isinf(), logits.isinf())
    finite = ~logits.isinf()
    assert min(logits[finite].std(), boxes.std()) > 100 * TOLERANCE, "answers that are all alike would prove nothing"
    assert (answer.logits[finite] - logits[finite]).abs().max() < TOLERANCE * max(1.0, float(logits[finite].std()))
    assert (answer.pred_boxes - boxes).abs().max() < TOLERANCE


def caption() -> torch.Tensor:
    words = tiny_dino.vocabulary().token_ids
    return torch.tensor([[CLS, *words("wall"), STOP, *words("floor"), STOP, *words("dining table"), STOP, SEP]])


def noise(height: int, width: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def has_ties(network: torch.nn.Module, pixels: torch.Tensor) -> bool:
    """Whether two of the places that become queries rank nearly alike: rounding may swap them, and all boxes follow."""
    with torch.inference_mode():
        answer = network(pixel_values=pixels, input_ids=caption())
    scores = answer.enc_outputs_class[0].amax(dim=1).sort(descending=True).values[: answer.logits.shape[1] + 1]
    return bool((scores[:-1] - scores[1:]).min() < TIE)


@pytest.fixture(scope="module")
def original() -> torch.nn.Module:
    return tiny_dino.original_network(CONFIG)


@pytest.fixture(scope="module")
def official_file(original: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_dino.write_official(original, tmp_path_factory.mktemp("official") / "tiny.pth")


@pytest.mark.parametrize(("height", "width"), [(224, 224), (211, 333), (390, 97)])
def test_tiny_network_answers_as_the_original(
    original: torch.nn.Module, official_file: Path, height: int, width: int
) -> None:
    check_same_answers(original, load_official(official_file, CONFIG), noise(height, width))


@pytest.mark.slow
@pytest.mark.parametrize("size", ["swint", "swinb"])
def test_full_size_answers_as_the_original(size: DinoSize, tmp_path: Path) -> None:
    original = tiny_dino.original_network(dino_config(size))
    file = tiny_dino.write_official(original, tmp_path / f"{size}.pth")
    network = load_official(file, dino_config(size))
    file.unlink()
    photos = (noise(405, 613, seed) for seed in range(20))
    check_same_answers(original, network, next(pixels for pixels in photos if not has_ties(network, pixels)))


@pytest.fixture
def folder(official_file: Path, tmp_path: Path) -> Path:
    """As transformers writes it."""
    load_official(official_file, CONFIG).save_pretrained(tmp_path / "folder")
    return tmp_path / "folder"


def test_nothing_is_printed_and_no_connection_is_made(
    official_file: Path, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    capfd.readouterr()
    load_official(official_file, CONFIG)
    load_folder(folder)
    assert capfd.readouterr() == ("", "")


def test_folder_of_transformers_answers_as_the_original(original: torch.nn.Module, folder: Path) -> None:
    check_same_answers(original, load_folder(folder), noise(150, 200))


def change(official_file: Path, path: Path, **tensors: torch.Tensor | None) -> Path:
    """A copy of a checkpoint with tensors replaced, added, or (None) left out."""
    model = torch.load(official_file, weights_only=True)["model"]
    model = {name: tensor for name, tensor in (model | tensors).items() if tensor is not None}
    torch.save({"model": model}, path)
    return path


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"module.feat_map.weight": None}, r"1 missing \(model\.text_projection\.weight\)"),
        ({"module.extra.weight": torch.zeros(1)}, r"1 unknown \(extra\.weight\)"),
        ({"module.feat_map.weight": torch.zeros(256, 7)}, r"1 of other shapes \(model\.text_projection\.weight\)"),
        ({"module.backbone.0.norm2.weight": None}, r"1 missing \(.*hidden_states_norms\.stage3\.weight\)"),
    ],
)
def test_other_tensors_are_one_line(
    official_file: Path,
    tmp_path: Path,
    tensors: dict[str, torch.Tensor | None],
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = change(official_file, tmp_path / "other.pth", **tensors)
    message = rf"\Aexpected weights of this size of Grounding DINO at .*; tensors: {words}\Z"
    with pytest.raises(WeightsError, match=message):
        load_official(path, CONFIG)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off", b"\x80\x02}q\x00."])
def test_other_files_are_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"\Aexpected weights that torch.save wrote at {path}: .*\Z"):
        load_official(path, CONFIG)


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"model": Harmful(tmp_path / "was here")}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"\A.*\Z"):
        load_official(tmp_path / "weights.pth", CONFIG)
    assert not (tmp_path / "was here").exists()


def test_missing_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"\Aexpected weights at .*: No such file or directory\Z"):
        load_official(tmp_path / "none.pth", CONFIG)
    with pytest.raises(WeightsError, match=r"\Aexpected weights of Grounding DINO at .*\Z"):
        load_folder(tmp_path)


QKV = "module.transformer.decoder.layers.0.self_attn.in_proj_weight"
ODD_TENSORS = {
    "no rows": lambda: {QKV: torch.zeros(())},
    "two rows": lambda: {QKV: torch.zeros(2, 3)},
    "sparse": lambda: {QKV: torch.sparse_coo_tensor(torch.zeros(1, 1).long(), torch.zeros(1), (6,))},
    "number as a name": lambda: {5: torch.zeros(1)},
    "whole numbers": lambda: {"weight": torch.zeros(3, dtype=torch.int64)},
}


@pytest.mark.security
@pytest.mark.parametrize("case", ODD_TENSORS)
def test_tensors_of_other_kinds_are_one_line(tmp_path: Path, case: str) -> None:
    torch.save({"model": ODD_TENSORS[case]()}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"\Aexpected .*\Z"):
        load_official(tmp_path / "weights.pth", CONFIG)


@pytest.mark.security
@pytest.mark.parametrize(
    "part",
    [
        {"backbone": "someone/net", "backbone_config": None, "use_pretrained_backbone": True},
        {"backbone": "someone/net", "use_pretrained_backbone": True},
        {"backbone": "resnet50", "use_timm_backbone": True},
        {"backbone_config": {"model_type": "timm_backbone", "backbone": "resnet50", "use_pretrained_backbone": True}},
        {"text_config": {"model_type": "gpt2"}},
        {"d_model": "many"},
        {"encoder_attention_heads": 0},
    ],
    ids=["hub alone", "hub too", "timm", "nested", "other text encoder", "word", "no heads"],
)
def test_untrusted_folders_contact_no_hub(
    folder: Path, monkeypatch: pytest.MonkeyPatch, part: dict[str, object]
) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | part))
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host, **_: asked.append(host))
    with pytest.raises(WeightsError, match=r"\Aexpected .*\Z"):
        load_folder(folder)
    assert asked == []
