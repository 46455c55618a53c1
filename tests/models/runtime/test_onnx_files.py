"""ONNX files of strangers: what names other files, lies about its size, or is no network of ours."""

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
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from models import Segmenter
from models.inference import session as onnx_file
from models.inference.session import open_session
from models.weights.registry import sha256_of
from surfaces.errors import WeightsError

pytestmark = [pytest.mark.security, pytest.mark.filterwarnings("error")]

LENGTH = 1000  # ONNX Runtime reads small tensors elsewhere in its code
Build = Callable[[TensorProto], ModelProto]


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
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def sparse(tensor: TensorProto) -> SparseTensorProto:
    indices = helper.make_tensor("i", TensorProto.INT64, [LENGTH], list(range(LENGTH)))
    return SparseTensorProto(values=tensor, indices=indices, dims=[LENGTH])


def constant(**attribute: object) -> NodeProto:
    return NodeProto(op_type="Constant", output=["w"], attribute=[AttributeProto(**attribute)])  # type: ignore[arg-type]


def in_constant(tensor: TensorProto) -> ModelProto:
    return network(constant(name="value", type=AttributeProto.TENSOR, t=tensor))


def in_sparse_constant(tensor: TensorProto) -> ModelProto:
    return network(constant(name="sparse_value", type=AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse(tensor)))


def in_branch(tensor: TensorProto) -> ModelProto:
    out = helper.make_tensor_value_info("v", TensorProto.FLOAT, [LENGTH])
    node = constant(name="value", type=AttributeProto.TENSOR, t=tensor)
    node.output[0] = "v"
    branch = helper.make_graph([node], "b", [], [out])
    either = helper.make_node("If", ["c"], ["w"], then_branch=branch, else_branch=branch)
    return network(either, initializer=[helper.make_tensor("c", TensorProto.BOOL, [], [True])])


def in_function(tensor: TensorProto) -> ModelProto:
    model = network(helper.make_node("F", [], ["w"], domain="own"))
    model.opset_import.append(helper.make_opsetid("own", 1))
    node = constant(name="value", type=AttributeProto.TENSOR, t=tensor)
    model.functions.append(helper.make_function("own", "F", [], ["w"], [node], [helper.make_opsetid("", 17)]))
    return model


PLACES: dict[str, Build] = {
    "initializer": lambda tensor: network(initializer=[tensor]),
    "sparse initializer": lambda tensor: network(sparse_initializer=[sparse(tensor)]),
    "constant": in_constant,
    "sparse constant": in_sparse_constant,
    "branch": in_branch,
    "function": in_function,
}


def opened(path: Path) -> np.ndarray:
    session = open_session(path, 1)
    return np.asarray(session.run(None, {"x": np.zeros(LENGTH, np.float32)})[0])


def check_refused(path: Path, words: str) -> None:
    with pytest.raises(WeightsError, match=words) as caught:
        opened(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# Not of branches: ONNX Runtime 1.24 to 1.27 fail on large constants there.
@pytest.mark.parametrize("place", [place for place in PLACES if place != "branch"])
def test_tensors_of_the_file_itself_are_read(tmp_path: Path, place: str) -> None:
    model = PLACES[place](plain())
    model.doc_string = "a word such as location changes nothing"
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    np.testing.assert_array_equal(opened(tmp_path / "n.onnx"), [1.0] * LENGTH)


@pytest.mark.parametrize("where", ["beside", "above", "absolute", "link", "hard link", "current folder", "memory"])
@pytest.mark.parametrize("place", PLACES)
def test_tensors_in_other_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, where: str
) -> None:
    secret, folder = tmp_path / "secret.bin", tmp_path / "nets"
    folder.mkdir()
    for path in (secret, folder / "beside.bin", tmp_path / "here.bin"):
        path.write_bytes(np.ones(LENGTH, np.float32).tobytes())
    (folder / "link.bin").symlink_to(secret)
    os.link(secret, folder / "hard.bin")
    monkeypatch.chdir(tmp_path)
    locations = {
        "beside": "beside.bin",
        "above": "../secret.bin",
        "absolute": str(secret),
        "link": "link.bin",
        "hard link": "hard.bin",
        "current folder": "here.bin",
        "memory": "*/_ORT_MEM_ADDR_/*",
    }
    (folder / "n.onnx").write_bytes(PLACES[place](external(locations[where])).SerializeToString())
    check_refused(folder / "n.onnx", "holds all of its tensors")


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
    (tmp_path / "n.onnx").write_bytes(whole)
    check_refused(tmp_path / "n.onnx", "holds all of its tensors")


def test_every_way_to_a_tensor_is_known() -> None:
    """Against onnx's own description of the format, so that a new field that holds tensors is noticed."""
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


def test_what_changed_since_it_was_hashed_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(network(initializer=[plain()]).SerializeToString())
    sha256 = sha256_of(path)
    path.write_bytes(in_constant(plain()).SerializeToString())
    with pytest.raises(WeightsError, match="it has changed meanwhile"):
        open_session(path, 1, sha256)


def test_networks_of_more_than_a_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.inference.session._BYTES_MAX", 100)
    (tmp_path / "n.onnx").write_bytes(bytes(101))
    check_refused(tmp_path / "n.onnx", "101 bytes, more than 100")


def test_more_fields_than_a_network_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "_FIELDS_MAX", 1000)
    (tmp_path / "n.onnx").write_bytes(b"\x12\x08location" + b"\x08\x08" * 1000)
    check_refused(tmp_path / "n.onnx", "more than 1000 fields")


@pytest.mark.parametrize(
    "model",
    [
        network(helper.make_node("Custom", ["x"], ["w"], domain="somebody.else")),
        network(helper.make_node("EPContext", ["x"], ["w"], domain="com.microsoft", ep_cache_context="/etc/passwd")),
        network(initializer=[TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40])]),
        network(initializer=[TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-5], raw_data=b"1234")]),
    ],
    ids=["custom operator", "compiled elsewhere", "huge tensor", "negative size"],
)
def test_networks_that_cannot_run(tmp_path: Path, model: ModelProto) -> None:
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    check_refused(tmp_path / "n.onnx", "expected an ONNX file")


def test_flatbuffers_are_no_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_bytes(b"\x1c\0\0\0ORTM" + bytes(200))
    check_refused(tmp_path / "n.onnx", "expected an ONNX file")


def refusal(work: Callable[[], object], kind: type[Exception]) -> str:
    """The words of an error of this kind; none where the work is done."""
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


def ours(path: Path, metadata: dict[str, str], *shapes: tuple[int, ...], value: float = 0.0) -> Path:
    """A network with the metadata of ours, whose outputs are constants."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, None, None])
    outs = [helper.make_tensor_value_info(f"o{i}", TensorProto.FLOAT, list(shape)) for i, shape in enumerate(shapes)]
    tensors = [
        helper.make_tensor(f"o{i}", TensorProto.FLOAT, shape, [value] * int(np.prod(shape)))
        for i, shape in enumerate(shapes)
    ]
    nodes = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in tensors]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [image], outs), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    helper.set_model_props(model, {"interior-surfaces.name": "n", "interior-surfaces.merge": "{}"} | metadata)
    onnx.save(model, path)
    return path


SHAPES = ((1, 4, 8, 8), (2, 4), (2,), (2, 1, 4, 4))
PHOTO = np.zeros((64, 64, 3), np.uint8)


def test_a_made_up_network_of_our_shapes_runs(tmp_path: Path) -> None:
    assert Segmenter(ours(tmp_path / "n.onnx", {}, *SHAPES), threads=1).predict(PHOTO) == []


@pytest.mark.parametrize(
    ("place", "shape"),
    [(0, (1, 5, 8, 8)), (0, (4, 8, 8)), (0, (1, 4, 0, 8)), (1, (3, 4)), (1, (2, 5)), (2, (2, 1)), (3, (2, 4, 4))],
    ids=["classes", "no batch", "no rows", "boxes", "corners", "scores", "masks"],
)
def test_outputs_of_other_shapes(tmp_path: Path, place: int, shape: tuple[int, ...]) -> None:
    shapes = [*SHAPES[:place], shape, *SHAPES[place + 1 :]]
    segmenter = Segmenter(ours(tmp_path / "n.onnx", {}, *shapes), threads=1)
    with pytest.raises(WeightsError, match=rf"n\.onnx, got .*{re.escape(str(list(shape)))}"):
        segmenter.predict(PHOTO)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0], ids=["no number", "infinite", "negative"])
def test_outputs_that_are_no_probabilities(tmp_path: Path, value: float) -> None:
    segmenter = Segmenter(ours(tmp_path / "n.onnx", {}, *SHAPES, value=value), threads=1)
    with pytest.raises(WeightsError, match="finite and not negative"):
        segmenter.predict(PHOTO)


def test_too_few_outputs(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected outputs of a network of ours"):
        Segmenter(ours(tmp_path / "n.onnx", {}, *SHAPES[:3]), threads=1).predict(PHOTO)


def test_a_network_that_takes_no_photo(tmp_path: Path) -> None:
    model = network(initializer=[plain()])
    helper.set_model_props(model, {"interior-surfaces.name": "n", "interior-surfaces.merge": "{}"})
    onnx.save(model, tmp_path / "n.onnx")
    with pytest.raises(WeightsError, match="to take a photo") as caught:
        Segmenter(tmp_path / "n.onnx", threads=1).predict(PHOTO)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ['{"table_score": "a"}', '{"table_score": NaN}', '{"table_score": true}', '{"table_score": [1]}', "[" * 100_000],
    ids=["text", "no number", "bool", "list", "nested"],
)
def test_settings_that_are_no_numbers(tmp_path: Path, text: str) -> None:
    with pytest.raises(WeightsError, match="expected an ONNX file with settings of ours"):
        Segmenter(ours(tmp_path / "n.onnx", {"interior-surfaces.merge": text}, *SHAPES), threads=1)
