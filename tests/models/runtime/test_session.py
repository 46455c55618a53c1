"""ONNX files of others: weights come from the file alone, and damage is one line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from models.inference.session import open_session
from models.weights.registry import shipped
from surfaces.errors import WeightsError

pytestmark = pytest.mark.security

_COUNT = 1000  # ONNX Runtime fails on smaller tensors in other files for a reason of its own


def model(location: str | None) -> bytes:
    """A network that adds its weights, which lie in it, or in another file."""
    values = np.ones(_COUNT, np.float32)
    weights = onnx.numpy_helper.from_array(values, "weights")
    if location is not None:
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", str(values.nbytes))):
            weights.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "weights"], ["y"])],
        "sum",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [_COUNT])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [_COUNT])],
        [weights],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    assert isinstance(data, bytes)
    return data


@pytest.mark.parametrize("location", ["beside.bin", "../outside.bin", "{folder}/outside.bin"])
def test_weights_in_another_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (folder / "beside.bin", tmp_path / "outside.bin"):
        place.write_bytes(np.ones(_COUNT, np.float32).tobytes())
    monkeypatch.chdir(folder)
    path = folder / "model.onnx"
    path.write_bytes(model(location.format(folder=tmp_path)))
    with pytest.raises(WeightsError, match="some are in other files"):
        open_session(path)
    path.write_bytes(model(None))
    (found,) = open_session(path).run(None, {"x": np.zeros(_COUNT, np.float32)})
    np.testing.assert_array_equal(found, np.ones(_COUNT))


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(WeightsError, match="no regular file"):
        open_session(tmp_path / "model.onnx")


@given(st.integers(0, 300), st.binary(min_size=1, max_size=12))
def test_any_damage_is_one_line(tmp_path_factory: pytest.TempPathFactory, where: int, patch: bytes) -> None:
    data = bytearray(model(None))
    data[where : where + len(patch)] = patch
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(data)
    try:
        open_session(path)
    except WeightsError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    data = shipped("onnx").path.read_bytes()
    (tmp_path / "short.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError):
        open_session(tmp_path / "short.onnx")
