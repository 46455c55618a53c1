from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from models import Segmenter
from models.weights import registry
from models.weights.registry import sha256_of, shipped, write_index
from models.weights.training_photos import KEYS
from surfaces.errors import WeightsError

MOST_BYTES = 20_000_000
"""Limit of all weights in the repository together."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped weights, in their place."""
    copy = tmp_path / "weights"
    shutil.copytree(registry.FOLDER, copy)
    monkeypatch.setattr(registry, "FOLDER", copy)
    monkeypatch.setattr(registry, "INDEX", copy / "shipped.toml")
    return copy


def check_refused(words: str, kind: str = "onnx") -> None:
    with pytest.raises(WeightsError, match=words):
        shipped(kind)


@pytest.mark.parametrize("kind", ["onnx", "npz"])
def test_the_shipped_files_are_the_recorded_ones_and_a_changed_byte_is_found(folder: Path, kind: str) -> None:
    file = shipped(kind)
    data = bytearray(file.path.read_bytes())
    assert file.path.parent == folder
    assert file.path.suffix == f".{kind}"
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    data[len(data) // 2] ^= 1
    file.path.write_bytes(data)
    check_refused(rf"expected {file.path.name} with sha256 .*, got .*: reinstall", kind)


def test_the_shipped_files_are_small_and_hold_the_same_numbers() -> None:
    assert sum(path.stat().st_size for path in registry.FOLDER.iterdir()) <= MOST_BYTES
    with np.load(shipped("npz").path, allow_pickle=False) as file:
        tensors = [file[name] for name in file.files if name not in ("encoder_name", *KEYS)]
    numbers = sum(tensor.size for tensor in tensors)
    assert all(tensor.dtype == np.float16 for tensor in tensors)
    assert numbers <= 12_000_000
    assert shipped("onnx").path.stat().st_size == pytest.approx(2 * numbers, rel=0.1)


def test_the_segmenter_does_not_run_a_changed_file(folder: Path) -> None:
    (folder / "surfaces.onnx").write_bytes((folder / "surfaces.onnx").read_bytes() + b"\n")
    with pytest.raises(WeightsError, match="reinstall"):
        Segmenter()


@pytest.mark.parametrize("lost", ["surfaces.onnx", "shipped.toml"])
def test_a_lost_file_is_reported(folder: Path, lost: str) -> None:
    (folder / lost).unlink()
    check_refused(rf"expected .*{lost}.*No such file or directory")


@pytest.mark.parametrize("text", ["", "[onnx", "[onnx]\nfile = 'surfaces.onnx'\n", "onnx = 1\n"])
def test_a_damaged_index_is_reported(folder: Path, text: str) -> None:
    (folder / "shipped.toml").write_text(text)
    check_refused(r"expected .*shipped\.toml, got .*: reinstall")


def test_an_index_is_written_and_read(folder: Path) -> None:
    (folder / "next.onnx").write_bytes(b"network")
    (folder / "next.npz").write_bytes(b"weights")
    write_index({"onnx": folder / "next.onnx", "npz": folder / "next.npz"})
    assert shipped("onnx").path == folder / "next.onnx"
    assert shipped("npz").sha256 == sha256_of(folder / "next.npz")
