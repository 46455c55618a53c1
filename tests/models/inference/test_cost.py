"""What the shipped network costs, in operations: unlike times, they are the same on every machine."""

from __future__ import annotations

import math

import onnx
import pytest
from onnx import shape_inference

from models.weights.registry import shipped

HEIGHT, WIDTH = 512, 640
MOST_MULTIPLICATIONS = 3.8e9
"""Of the convolutions for a photo of 640x480; two passes took 6.9e9."""


@pytest.fixture(scope="module")
def graph() -> onnx.GraphProto:
    model = onnx.load(shipped("onnx").path)
    sides = model.graph.input[0].type.tensor_type.shape.dim
    sides[2].dim_value, sides[3].dim_value = HEIGHT, WIDTH
    return shape_inference.infer_shapes(model, data_prop=True).graph


def shapes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """Of all tensors whose shape is known; 0 for a side that depends on the photo."""
    values = [*graph.value_info, *graph.input, *graph.output]
    known = {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in values}
    return known | {tensor.name: list(tensor.dims) for tensor in graph.initializer}


def test_the_convolutions_multiply_no_more(graph: onnx.GraphProto) -> None:
    known, counted, total = shapes(graph), 0, 0
    for node in graph.node:
        if node.op_type == "Conv" and all(known.get(node.output[0], [0])):
            total += math.prod(known[node.output[0]]) * math.prod(known[node.input[1]][1:])
            counted += 1
    assert counted > 80
    assert total < MOST_MULTIPLICATIONS


def test_upsampling_is_one_operator_and_probabilities_need_no_softmax(graph: onnx.GraphProto) -> None:
    known = shapes(graph)
    resizes = [node for node in graph.node if node.op_type == "Resize"]
    assert len(resizes) == 6
    assert not {node.op_type for node in graph.node if set(node.input) & {resize.output[0] for resize in resizes}} & {
        "Slice",
        "Pad",
    }
    assert not [node for node in graph.node if node.op_type == "Softmax" and len(known.get(node.input[0], [])) == 4]
