"""The shipped weights and the hashes that vouch for them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from models import Segmenter
from models.weights import registry
from models.weights.registry import sha256_of, shipped, write_index
from surfaces.errors import WeightsError

MOST_BYTES = 20_000_000
"""What the repository may carry in weights, all files together."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped weights, in their place."""
    copy = tmp_path / "weights"
    shutil.copytree(registry.FOLDER, copy)
    monkeypatch.setattr(registry, "FOLDER", copy)
    monkeypatch.setattr(registry, "INDEX", copy / "shipped.toml")
    return copy


@pytest.mark.parametrize("kind", ["onnx", "npz"])
def test_the_shipped_files_are_the_recorded_ones(kind: str) -> None:
    file = shipped(kind)
    assert file.path.suffix == f".{kind}"
    assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()


def test_the_shipped_files_are_small() -> None:
    assert sum(path.stat().st_size for path in registry.FOLDER.iterdir()) <= MOST_BYTES


def test_both_files_hold_the_same_numbers() -> None:
    with np.load(shipped("npz").path, allow_pickle=False) as file:
        numbers = sum(file[name].size for name in file.files if name != "encoder_name")
        assert all(file[name].dtype == np.float16 for name in file.files if name != "encoder_name")
    assert numbers <= 12_000_000
    assert shipped("onnx").path.stat().st_size == pytest.approx(2 * numbers, rel=0.1)


@pytest.mark.parametrize("kind", ["onnx", "npz"])
def test_a_changed_byte_is_found(folder: Path, kind: str) -> None:
    path = shipped(kind).path
    assert path.parent == folder
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=rf"expected {path.name} with sha256 .*, got .*: reinstall"):
        shipped(kind)


def test_the_segmenter_does_not_run_a_changed_file(folder: Path) -> None:
    (folder / "surfaces.onnx").write_bytes((folder / "surfaces.onnx").read_bytes() + b"\n")
    with pytest.raises(WeightsError, match="reinstall"):
        Segmenter()


@pytest.mark.parametrize("lost", ["surfaces.onnx", "shipped.toml"])
def test_a_lost_file_is_told(folder: Path, lost: str) -> None:
    (folder / lost).unlink()
    with pytest.raises(WeightsError, match=rf"expected .*{lost}.*No such file or directory"):
        shipped("onnx")


@pytest.mark.parametrize("text", ["", "[onnx", "[onnx]\nfile = 'surfaces.onnx'\n", "onnx = 1\n"])
def test_an_index_that_is_none_is_told(folder: Path, text: str) -> None:
    (folder / "shipped.toml").write_text(text)
    with pytest.raises(WeightsError, match=r"expected .*shipped\.toml, got .*: reinstall"):
        shipped("onnx")


def test_an_index_is_written_and_read(folder: Path) -> None:
    (folder / "next.onnx").write_bytes(b"network")
    (folder / "next.npz").write_bytes(b"weights")
    write_index({"onnx": folder / "next.onnx", "npz": folder / "next.npz"})
    assert shipped("onnx").path == folder / "next.onnx"
    assert shipped("npz").sha256 == sha256_of(folder / "next.npz")
