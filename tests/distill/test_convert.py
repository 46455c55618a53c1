"""A checkpoint of EfficientNet-Lite0, its BatchNorms folded: the same numbers come out as before."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from distill.__main__ import main
from distill.commands.convert import BATCHNORM_EPSILON, PARTS, encoder_arrays, folded
from models.student.encoder import EFFICIENTNET_LITE0
from models.student.network import Student
from models.student.weights import read_tensors, start_from


def layer(in_channels: int, out_channels: int, kernel: int, groups: int = 1) -> nn.Sequential:
    norm = nn.BatchNorm2d(out_channels, eps=BATCHNORM_EPSILON)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.data = torch.rand_like(tensor) + 0.5
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel, groups=groups, bias=False), norm).eval()


def checkpoint_of(layers: dict[tuple[str, str], nn.Sequential]) -> dict[str, torch.Tensor]:
    state = {}
    for names, both in layers.items():
        for name, part in zip(names, both, strict=True):
            state |= {f"{name}.{key}": tensor for key, tensor in part.state_dict().items()}
    return state


def lite0_checkpoint() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    layers = {("_conv_stem", "_bn0"): layer(3, 32, 3)}
    for index, block in enumerate(EFFICIENTNET_LITE0.blocks):
        shapes = {
            "expand": (block.in_channels, block.expanded, 1),
            "depthwise": (block.expanded, block.expanded, block.kernel, block.expanded),
            "project": (block.expanded, block.out_channels, 1),
        }
        for part, (conv, norm) in PARTS.items():
            if part != "expand" or block.expanded != block.in_channels:
                layers[f"_blocks.{index}.{conv}", f"_blocks.{index}.{norm}"] = layer(*shapes[part])
    return checkpoint_of(layers)


def test_a_folded_convolution_is_the_convolution_and_its_batchnorm() -> None:
    torch.manual_seed(1)
    both = layer(8, 12, 3)
    arrays = folded(checkpoint_of({("conv", "norm"): both}), "conv", "norm", "x")
    photo = torch.randn(1, 8, 9, 9)
    alone = nn.functional.conv2d(photo, torch.from_numpy(arrays["x.weight"]), torch.from_numpy(arrays["x.bias"]))
    with torch.no_grad():
        torch.testing.assert_close(alone, both(photo), atol=1e-5, rtol=1e-5)


def test_every_tensor_of_the_encoder_is_brought() -> None:
    student = Student("efficientnet_lite0")
    missing = start_from(student, encoder_arrays(lite0_checkpoint()))
    assert not [name for name in missing if name.startswith("encoder.")]


def test_the_command_writes_what_training_starts_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(lite0_checkpoint(), tmp_path / "lite0.pth")
    assert main(["convert", str(tmp_path / "lite0.pth"), "--out", str(tmp_path / "lite0.npz")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "lite0.npz")
    assert str(read_tensors(tmp_path / "lite0.npz")["encoder_name"]) == "efficientnet_lite0"


def test_another_file_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"something": torch.zeros(1)}, tmp_path / "other.pth")
    assert main(["convert", str(tmp_path / "other.pth"), "--out", str(tmp_path / "out.npz")]) == 7
    error = capsys.readouterr().err
    assert "expected an EfficientNet-Lite0 checkpoint" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("content", [b"text\n", pickle.dumps(Path("code"), 2)], ids=["text", "pickle"])
def test_a_file_that_is_no_checkpoint_is_not_to_be_unpickled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "other.pth").write_bytes(content)
    assert main(["convert", str(tmp_path / "other.pth"), "--out", str(tmp_path / "out.npz")]) == 7
    error = capsys.readouterr().err
    assert error.endswith("other.pth: it is damaged, another kind of file, or holds code\n")
    assert error.count("\n") == 1
