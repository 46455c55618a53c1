"""`distill convert` and `distill average`: weights in, weights out."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from distill.__main__ import main
from distill.commands.average import average
from distill.commands.convert import BATCHNORM_EPSILON, PARTS, fold_batch_norm
from models.student.encoder import ENCODERS, EncoderSpec
from models.student.network import Student
from models.student.weights import BRANCH_PARTS, ENCODER_KEY, read_tensors, save_student, start_from
from surfaces.errors import WeightsError


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


def lite_checkpoint(encoder: EncoderSpec) -> dict[str, torch.Tensor]:
    layers = {("_conv_stem", "_bn0"): layer(3, 32, 3)}
    for index, block in enumerate(encoder.blocks):
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
    both = layer(8, 12, 3)
    arrays = fold_batch_norm(checkpoint_of({("conv", "norm"): both}), "conv", "norm", "x")
    photo = torch.randn(1, 8, 9, 9)
    alone = nn.functional.conv2d(photo, torch.from_numpy(arrays["x.weight"]), torch.from_numpy(arrays["x.bias"]))
    with torch.no_grad():
        torch.testing.assert_close(alone, both(photo), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("encoder", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_the_whole_encoder_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str], encoder: str) -> None:
    torch.save(lite_checkpoint(ENCODERS[encoder]), tmp_path / "lite.pth")
    assert main(["convert", str(tmp_path / "lite.pth"), "--out", str(tmp_path / "lite.npz")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "lite.npz")
    tensors = read_tensors(tmp_path / "lite.npz")
    assert str(tensors[ENCODER_KEY]) == encoder
    assert not [name for name in start_from(Student(encoder), tensors) if name.startswith("encoder.")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"something": torch.zeros(1)}, "expected an EfficientNet-Lite checkpoint"),
        (b"text\n", "other.pth: it is damaged, another kind of file, or holds code\n"),
        (pickle.dumps(Path("code"), 2), "other.pth: it is damaged, another kind of file, or holds code\n"),
    ],
    ids=["another checkpoint", "text", "pickle"],
)
def test_other_files_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | dict[str, torch.Tensor], message: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / "other.pth").write_bytes(content)
    else:
        torch.save(content, tmp_path / "other.pth")
    assert main(["convert", str(tmp_path / "other.pth"), "--out", str(tmp_path / "out.npz")]) == 7
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.npz").exists()


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.npz", tmp_path / "b.npz"
    for path in paths:
        save_student(Student(), path)
    return paths


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_average_mixes_the_branches_and_keeps_the_heads(two: tuple[Path, Path], share: float) -> None:
    mixed = {name: tensor.numpy() for name, tensor in average(*two, share).state_dict().items()}
    own, other = (dict(np.load(path)) for path in two)
    for name, array in mixed.items():
        in_branch = name.split(".")[0] in BRANCH_PARTS
        expected = share * own[name] + (1 - share) * other[name] if in_branch else own[name]
        np.testing.assert_allclose(array, expected, atol=1e-5, err_msg=name)


def test_other_encoders_are_not_averaged(two: tuple[Path, Path], tmp_path: Path) -> None:
    lite = tmp_path / "lite.npz"
    save_student(Student("efficientnet_lite0"), lite)
    with pytest.raises(WeightsError, match="expected a mosaic network"):
        average(two[0], lite, 0.5)


def test_a_share_out_of_range_is_one_line(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["average", *map(str, two), "--share", "1.5", "--out", str(two[0].with_name("out.npz"))]) == 7
    assert capsys.readouterr().err == "distill: expected a share from 0 to 1, got 1.5\n"
