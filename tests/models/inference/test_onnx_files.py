"""Untrusted ONNX files: tensors in other files, damage, and other networks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from models import Segmenter
from models.inference import session as onnx_file
from models.inference.session import open_session
from models.weights.registry import sha256_of
from surfaces.errors import WeightsError

pytestmark = [pytest.mark.security, pytest.mark.filterwarnings("error")]

LENGTH = 1000  # ONNX Runtime reads small tensors elsewhere in its code
OPSETS = {"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 8}


def external(location: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[LENGTH], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": "0", "length": str(4 * LENGTH)}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def plain() -> TensorProto:
    return helper.make_tensor("w", TensorProto.FLOAT, [LENGTH], [1.0] * LENGTH)


def network(*nodes: NodeProto, **parts: object) -> ModelProto:
    """y = x + w."""
    value, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [LENGTH]) for name in "xy")
    graph = helper.make_graph([*nodes, helper.make_node("Add", ["x", "w"], ["y"])], "g", [value], [out])
    graph.MergeFrom(GraphProto(**parts))  # type: ignore[arg-type]
    return helper.make_model(graph, **OPSETS)


def sparse(tensor: TensorProto) -> SparseTensorProto:
    indices = helper.make_tensor("i", TensorProto.INT64, [LENGTH], list(range(LENGTH)))
    return SparseTensorProto(values=tensor, indices=indices, dims=[LENGTH])


def constant(output: str = "w", **value: object) -> NodeProto:
    return helper.make_node("Constant", [], [output], **value)


def in_branch(tensor: TensorProto) -> ModelProto:
    out = helper.make_tensor_value_info("v", TensorProto.FLOAT, [LENGTH])
    branch = helper.make_graph([constant("v", value=tensor)], "b", [], [out])
    either = helper.make_node("If", ["c"], ["w"], then_branch=branch, else_branch=branch)
    return network(either, initializer=[helper.make_tensor("c", TensorProto.BOOL, [], [True])])


def in_function(tensor: TensorProto) -> ModelProto:
    model = network(helper.make_node("F", [], ["w"], domain="own"))
    model.opset_import.append(helper.make_opsetid("own", 1))
    nodes, opsets = [constant(value=tensor)], [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "F", [], ["w"], nodes, opsets))
    return model


PLACES: dict[str, Callable[[TensorProto], ModelProto]] = {
    "initializer": lambda tensor: network(initializer=[tensor]),
    "sparse initializer": lambda tensor: network(sparse_initializer=[sparse(tensor)]),
    "constant": lambda tensor: network(constant(value=tensor)),
    "sparse constant": lambda tensor: network(constant(sparse_value=sparse(tensor))),
    "branch": in_branch,
    "function": in_function,
}


def check_refused(path: Path, words: str) -> None:
    with pytest.raises(WeightsError, match=words) as caught:
        open_session(path, 1)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def check_content_refused(folder: Path, content: ModelProto | bytes, words: str = "expected an ONNX file") -> None:
    (folder / "n.onnx").write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    check_refused(folder / "n.onnx", words)


# Not of branches: ONNX Runtime 1.24 to 1.27 fail on large constants there.
@pytest.mark.parametrize("place", [place for place in PLACES if place != "branch"])
def test_tensors_of_the_file_itself_are_read(tmp_path: Path, place: str) -> None:
    model = PLACES[place](plain())
    model.doc_string = "a word such as location changes nothing"
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    (found,) = open_session(tmp_path / "n.onnx", 1).run(None, {"x": np.zeros(LENGTH, np.float32)})
    np.testing.assert_array_equal(found, [1.0] * LENGTH)


@pytest.mark.parametrize(
    "location",
    ["beside.bin", "../secret.bin", "{secret}", "link.bin", "hard.bin", "here.bin", "*/_ORT_MEM_ADDR_/*"],
    ids=["beside", "above", "absolute", "link", "hard link", "current folder", "memory"],
)
@pytest.mark.parametrize("place", PLACES)
def test_tensors_in_other_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, location: str
) -> None:
    secret, folder = tmp_path / "secret.bin", tmp_path / "nets"
    folder.mkdir()
    for path in (secret, folder / "beside.bin", tmp_path / "here.bin"):
        path.write_bytes(np.ones(LENGTH, np.float32).tobytes())
    (folder / "link.bin").symlink_to(secret)
    os.link(secret, folder / "hard.bin")
    monkeypatch.chdir(tmp_path)
    model = PLACES[place](external(location.format(secret=secret)))
    check_content_refused(folder, model, "holds all of its tensors")


def test_numbers_written_longer_than_needed_hide_nothing(tmp_path: Path) -> None:
    content = network(initializer=[external("../secret.bin")]).SerializeToString()
    tensor = external("../secret.bin").SerializeToString()
    end = bytes([TensorProto.DESCRIPTOR.fields_by_name["data_location"].number << 3, TensorProto.EXTERNAL])
    # The last field's tag and value are two bytes longer; the lengths of tensor, graph and model too.
    longer = tensor.replace(end, bytes([end[0] | 0x80, 0x00, end[1] | 0x80, 0x00]))
    assert len(longer) == len(tensor) + 2
    graph = GraphProto.FromString(ModelProto.FromString(content).graph.SerializeToString())
    del graph.initializer[:]
    inner = graph.SerializeToString() + b"\x2a" + bytes([len(longer) | 0x80, 0x00]) + longer
    whole = b"\x08\x08" + b"\x3a" + bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7]) + inner + b"\x42\x02\x10\x11"
    assert ModelProto.FromString(whole).graph.initializer[0].data_location == TensorProto.EXTERNAL
    check_content_refused(tmp_path, whole, "holds all of its tensors")


def test_every_way_to_a_tensor_is_known() -> None:
    # Against onnx's own description of the format, so that a new field that holds tensors is noticed.
    kinds = {
        "ModelProto": "model",
        "TrainingInfoProto": "training",
        "FunctionProto": "function",
        "GraphProto": "graph",
        "NodeProto": "node",
        "AttributeProto": "attribute",
        "SparseTensorProto": "sparse tensor",
        "TensorProto": "tensor",
    }
    left: list[Descriptor] = [ModelProto.DESCRIPTOR]
    seen: dict[str, dict[int, str]] = {}
    while left:
        message = left.pop()
        if message.name not in seen:
            held = {field.number: field.message_type for field in message.fields if field.message_type}
            seen[message.name] = {number: kinds[inner.name] for number, inner in held.items() if inner.name in kinds}
            left += held.values()
    assert {kinds[name]: fields for name, fields in seen.items() if name in kinds} == onnx_file._MESSAGES
    assert not any(fields for name, fields in seen.items() if name not in kinds)
    numbers = TensorProto.DESCRIPTOR.fields_by_name
    assert numbers["external_data"].number == onnx_file._EXTERNAL_DATA
    assert numbers["data_location"].number == onnx_file._DATA_LOCATION


def test_a_file_that_changed_since_it_was_hashed_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(network(initializer=[plain()]).SerializeToString())
    sha256 = sha256_of(path)
    path.write_bytes(PLACES["constant"](plain()).SerializeToString())
    with pytest.raises(WeightsError, match="it has changed meanwhile"):
        open_session(path, 1, sha256)


def test_networks_of_more_than_a_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "_BYTES_MAX", 100)
    check_content_refused(tmp_path, bytes(101), "101 bytes, more than 100")


def test_more_fields_than_a_network_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "_FIELDS_MAX", 1000)
    check_content_refused(tmp_path, b"\x12\x08location" + b"\x08\x08" * 1000, "more than 1000 fields")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "n.onnx")
    check_refused(tmp_path / "n.onnx", "no regular file")


@pytest.mark.parametrize(
    "model",
    [
        network(helper.make_node("Custom", ["x"], ["w"], domain="somebody.else")),
        network(helper.make_node("EPContext", ["x"], ["w"], domain="com.microsoft", ep_cache_context="/etc/passwd")),
        network(initializer=[TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40])]),
        network(initializer=[TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-5], raw_data=b"1234")]),
        b"\x1c\0\0\0ORTM" + bytes(200),
    ],
    ids=["custom operator", "compiled elsewhere", "huge tensor", "negative size", "flatbuffers"],
)
def test_networks_that_cannot_run(tmp_path: Path, model: ModelProto | bytes) -> None:
    check_content_refused(tmp_path, model)


def refusal(work: Callable[[], object], kind: type[Exception]) -> str:
    try:
        work()
    except kind as error:
        return str(error)
    return ""


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_bytes_are_a_network_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(PLACES[data.draw(st.sampled_from(list(PLACES)))](plain()).SerializeToString())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "n.onnx"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert "\n" not in refusal(lambda: open_session(path, 1), WeightsError)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_the_search_for_other_files_ends(content: bytes) -> None:
    assert "\n" not in refusal(lambda: onnx_file.has_external_data(b"\x12\x08location" + content), ValueError)


METADATA = {"interior-surfaces.name": "n", "interior-surfaces.merge": "{}"}


def ours(path: Path, metadata: dict[str, str], *shapes: tuple[int, ...], value: float = 0.0) -> Path:
    """A network with the metadata of ours, whose outputs are constants."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, None, None])
    outs = [helper.make_tensor_value_info(f"o{i}", TensorProto.FLOAT, list(shape)) for i, shape in enumerate(shapes)]
    tensors = [
        helper.make_tensor(f"o{i}", TensorProto.FLOAT, shape, [value] * int(np.prod(shape)))
        for i, shape in enumerate(shapes)
    ]
    nodes = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in tensors]
    model = helper.make_model(helper.make_graph(nodes, "g", [image], outs), **OPSETS)
    helper.set_model_props(model, METADATA | metadata)
    onnx.save(model, path)
    return path


SHAPES = ((1, 4, 8, 8), (2, 4), (2,), (2, 1, 4, 4))
PHOTO = np.zeros((64, 64, 3), np.uint8)


def check_outputs_refused(path: Path, words: str) -> None:
    segmenter = Segmenter(path, threads=1)
    with pytest.raises(WeightsError, match=words) as caught:
        segmenter.predict(PHOTO)
    assert "\n" not in str(caught.value)


def test_a_made_up_network_of_our_shapes_runs(tmp_path: Path) -> None:
    assert Segmenter(ours(tmp_path / "n.onnx", {}, *SHAPES), threads=1).predict(PHOTO) == []


@pytest.mark.parametrize(
    ("place", "shape"),
    [(0, (1, 5, 8, 8)), (0, (4, 8, 8)), (0, (1, 4, 0, 8)), (1, (3, 4)), (1, (2, 5)), (2, (2, 1)), (3, (2, 4, 4))],
    ids=["classes", "no batch", "no rows", "boxes", "corners", "scores", "masks"],
)
def test_outputs_of_other_shapes(tmp_path: Path, place: int, shape: tuple[int, ...]) -> None:
    shapes = [*SHAPES[:place], shape, *SHAPES[place + 1 :]]
    network = ours(tmp_path / "n.onnx", {}, *shapes)
    check_outputs_refused(network, rf"n\.onnx, got .*{re.escape(str(list(shape)))}")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0], ids=["no number", "infinite", "negative"])
def test_outputs_that_are_no_probabilities(tmp_path: Path, value: float) -> None:
    check_outputs_refused(ours(tmp_path / "n.onnx", {}, *SHAPES, value=value), "finite and not negative")


def test_too_few_outputs(tmp_path: Path) -> None:
    check_outputs_refused(ours(tmp_path / "n.onnx", {}, *SHAPES[:3]), "expected outputs of a network of ours")


def test_a_network_that_takes_no_photo(tmp_path: Path) -> None:
    model = network(initializer=[plain()])
    helper.set_model_props(model, METADATA)
    onnx.save(model, tmp_path / "n.onnx")
    check_outputs_refused(tmp_path / "n.onnx", "to take a photo")


@pytest.mark.parametrize(
    "text",
    [
        *('{"table_score": "a"}', '{"table_score": NaN}', '{"table_score": true}', '{"table_score": [1]}'),
        *('{"colour": 1}', "[1]", "{}}", "[" * 100_000),
    ],
    ids=["text", "no number", "bool", "list", "unknown name", "no names", "no JSON", "nested"],
)
def test_invalid_settings(tmp_path: Path, text: str) -> None:
    with pytest.raises(WeightsError, match="expected an ONNX file with settings of ours"):
        Segmenter(ours(tmp_path / "n.onnx", {"interior-surfaces.merge": text}, *SHAPES), threads=1)
