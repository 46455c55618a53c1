from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import distill.commands.export
import distill.export.network
from distill.__main__ import main
from distill.export.network import TOLERANCES, ExportError, export, largest_difference, round_to_half, torch_output
from distill.export.padding import fold_padding
from models import Segmenter
from models.inference.postprocess import FusionSettings
from models.student.network import Student
from models.student.weights import load_student, read_tensors, save_student
from models.weights import registry
from models.weights.registry import shipped
from models.weights.training_photos import KEYS
from surfaces.datasets import open_dataset
from tests.distill.training import ROOMS, run_distill

SETTINGS = FusionSettings(table_score=0.45, mask_weight=0.25)


@pytest.fixture(scope="module")
def student() -> Student:
    torch.set_num_threads(1)
    return round_to_half(load_student(shipped("npz").path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export") / "new"


@pytest.fixture(scope="module")
def exported(folder: Path) -> subprocess.CompletedProcess[str]:
    """`distill export` as a process, which writes FOLDER/trial.onnx."""
    flags = ["--table-score", "0.45", "--mask-weight", "0.25", "--check", str(ROOMS), "--check-photos", "2"]
    out = folder / "trial.onnx"
    return run_distill("export", str(shipped("npz").path), "--out", str(out), "--name", "trial", *flags)


@pytest.fixture(scope="module")
def segmenter(folder: Path, exported: subprocess.CompletedProcess[str]) -> Segmenter:
    assert exported.returncode == 0, exported.stderr
    return Segmenter(folder / "trial.onnx", threads=1)


def test_the_path_is_the_result(folder: Path, exported: subprocess.CompletedProcess[str]) -> None:
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout == f"{folder / 'trial.onnx'}\n"
    assert [path.name for path in folder.iterdir()] == ["trial.onnx"]
    for output in TOLERANCES:
        assert re.search(rf"^{output} differ from torch by at most \d\.\de[-+]\d\d \(tolerance ", exported.stderr, re.M)


def test_it_runs_with_its_name_and_operating_point(segmenter: Segmenter) -> None:
    assert segmenter.name == "trial"
    assert segmenter.settings == SETTINGS
    assert segmenter.predict(open_dataset(ROOMS)[0].image())


@pytest.mark.parametrize("size", [(384, 512), (512, 384), (60, 600)])
def test_it_agrees_with_torch_at_other_sizes(segmenter: Segmenter, student: Student, size: tuple[int, int]) -> None:
    image = np.tile(open_dataset(ROOMS)[5].image(), (2, 2, 1))[: size[0], : size[1]]
    expected, got = torch_output(student, image), segmenter.infer(image)
    for output, tolerance in TOLERANCES.items():
        assert largest_difference(getattr(expected, output), getattr(got, output)) <= tolerance


def test_weights_are_stored_as_float16(segmenter: Segmenter, folder: Path, student: Student) -> None:
    assert segmenter
    stored = dict.fromkeys((TensorProto.FLOAT, TensorProto.FLOAT16), 0)
    for tensor in onnx.load(folder / "trial.onnx").graph.initializer:
        if tensor.data_type in stored:
            stored[tensor.data_type] += int(np.prod(tensor.dims))
    numbers = sum(parameter.numel() for parameter in student.parameters())
    assert stored[TensorProto.FLOAT] < 0.01 * numbers
    assert stored[TensorProto.FLOAT16] == pytest.approx(numbers, rel=0.01)


def test_a_network_that_differs_is_not_written(
    tmp_path: Path, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distill.export.network, "TOLERANCES", {**TOLERANCES, "masks": -1.0})
    images = [open_dataset(ROOMS)[0].image()]
    message = r"expected .* to agree with torch, got masks differ .* \(tolerance -1e\+00\)"
    with pytest.raises(ExportError, match=message):
        export(student, tmp_path / "net.onnx", "net", FusionSettings(), images)
    assert list(tmp_path.iterdir()) == []


def test_exporting_leaves_the_weights_as_they_are(tmp_path: Path, student: Student) -> None:
    save_student(student, tmp_path / "mine.npz")
    before = (tmp_path / "mine.npz").read_bytes()
    flags = ["--out", str(tmp_path / "mine.onnx"), "--check", str(ROOMS), "--check-photos", "1"]
    assert main(["export", str(tmp_path / "mine.npz"), *flags]) == 0
    assert (tmp_path / "mine.npz").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.npz", "mine.onnx"]


def test_shipping_replaces_files_and_hashes(tmp_path: Path, student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = shipped("npz").path
    monkeypatch.setattr(distill.commands.export, "FOLDER", tmp_path)
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    monkeypatch.setattr(registry, "INDEX", tmp_path / "shipped.toml")
    assert main(["export", str(weights), "--ship", "--check", str(ROOMS), "--check-photos", "1", "--name", "next"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["next.npz", "next.onnx", "shipped.toml"]
    assert Segmenter(threads=1).name == "next"
    tensors = read_tensors(shipped("npz").path)
    assert tensors.pop("encoder_name") == "mosaic"
    assert {array.dtype for name, array in tensors.items() if name not in KEYS} == {np.dtype(np.float16)}
    for name, tensor in student.state_dict().items():
        np.testing.assert_array_equal(tensors[name].astype(np.float32), tensor.numpy())


def test_differences() -> None:
    zeros, ones = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    assert largest_difference(zeros, -ones) == 1
    assert largest_difference(zeros[:0], ones[:0]) == 0
    assert largest_difference(zeros, ones[:1]) == np.inf
    assert largest_difference(zeros * np.nan, zeros * np.nan) == np.inf
    assert largest_difference(zeros, ones * np.inf) == np.inf


def test_wrong_files_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for student, check, code, message in (
        ("none.npz", str(ROOMS), 7, r"expected an \.npz file of weights at none\.npz"),
        (str(shipped("npz").path), "none", 8, "expected a dataset at none"),
    ):
        assert main(["export", student, "--out", "x.onnx", "--check", check]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(rf"distill: {message}.*\n", err)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("photos", ["0", "-1", "many"])
def test_a_check_without_photos_is_none(photos: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["export", "s.npz", "--out", "x.onnx", "--check", str(ROOMS), "--check-photos", photos])
    assert stopped.value.code == 2
    assert "--check-photos" in capsys.readouterr().err


def test_no_convolution_of_the_shipped_network_waits_for_a_pad_node() -> None:
    graph = onnx.load(shipped("onnx").path).graph
    pads = {node.output[0] for node in graph.node if node.op_type == "Pad"}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 60
    assert not [node.name for node in convolutions if node.input[0] in pads]


def padded_network(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> onnx.ModelProto:
    """With the pads `even` (1 on each side) and `uneven` (1 below and right), and one kernel."""
    constants = {
        "even": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "uneven": np.array([0, 0, 0, 0, 0, 0, 1, 1]),
        "one": np.ones(1, np.float32),
        "kernel": np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3),
    }
    graph = helper.make_graph(
        nodes,
        "padded",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, "h", "w"]) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(
    ("nodes", "kept"),
    [
        ("Pad image uneven a/Pad image even b/Conv a kernel c/Conv b kernel d", []),
        ("Pad image even a/Pad a uneven b/Conv b kernel c", []),
        ("Pad image uneven a/Conv a kernel b/Conv a kernel c", []),
        ("Pad image uneven a/Conv a kernel b/Relu a c", ["a"]),
        ("Cast uneven amounts/Pad image amounts a/Conv a kernel b", []),
        ("Pad image uneven one a/Conv a kernel b", ["a"]),
    ],
    ids=["two in a row", "one after another", "shared", "read elsewhere", "computed", "not zeros"],
)
def test_pads_move_into_convolutions(nodes: str, kept: list[str]) -> None:
    attributes = {"Conv": {"pads": [1, 0, 0, 1]}, "Cast": {"to": TensorProto.INT64}}
    parsed = [line.split() for line in nodes.split("/")]
    made = [
        helper.make_node(kind, given, [output], name=output, **attributes.get(kind, {}))
        for kind, *given, output in parsed
    ]
    outputs = [output for kind, *_, output in parsed if kind in ("Conv", "Relu")]
    image = np.random.default_rng(0).random((1, 1, 8, 8)).astype(np.float32)
    expected = ReferenceEvaluator(padded_network(made, outputs)).run(None, {"image": image})
    model = fold_padding(padded_network(made, outputs))
    onnx.checker.check_model(model)
    assert [one.name for one in model.graph.node if one.op_type == "Pad"] == kept
    for got, wanted in zip(ReferenceEvaluator(model).run(None, {"image": image}), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)
