"""Moves the padding of an exported network into its convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def fold_padding(model: onnx.ModelProto) -> onnx.ModelProto:
    """Lets convolutions pad unevenly themselves, as ONNX can and torch cannot.

    A Pad node before a convolution makes ONNX Runtime leave its fast memory layout and come back to it. Only pads with
    constant zeros along height and width are moved; a Pad node that something else reads is kept.
    """
    graph = model.graph
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    for node in graph.node:
        while node.op_type == "Conv" and node.input[0] in pads:
            pad = pads[node.input[0]]
            sides = _constant_padding(model, pad)
            if sides is None:
                break
            _widen_padding(node, sides)
            node.input[0] = pad.input[0]
    while unread := set(pads) - _names_read(graph):
        for name in unread:
            graph.node.remove(pads.pop(name))
    return model


def _names_read(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node for name in node.input} | {output.name for output in graph.output}


def _widen_padding(convolution: onnx.NodeProto, sides: Sequence[int]) -> None:
    """Adds padding (top, left, bottom, right) to a convolution's own."""
    own = next((attribute for attribute in convolution.attribute if attribute.name == "pads"), None)
    if own is None:
        convolution.attribute.append(helper.make_attribute("pads", list(sides)))
    else:
        own.CopyFrom(helper.make_attribute("pads", [a + b for a, b in zip(own.ints, sides, strict=True)]))


def _constant_padding(model: onnx.ModelProto, pad: onnx.NodeProto) -> list[int] | None:
    """Top, left, bottom and right of a Pad node of zeros on (N, C, H, W); None for any other."""
    modes = [attribute.s for attribute in pad.attribute if attribute.name == "mode"]
    value = _constant(model, pad.input[2]) if len(pad.input) > 2 and pad.input[2] else np.zeros(1)
    amounts = _constant(model, pad.input[1])
    if modes not in ([], [b"constant"]) or value is None or value.any() or amounts is None or amounts.size != 8:
        return None
    before, after = amounts.reshape(2, 4).tolist()
    if any(before[:2] + after[:2]) or min(before + after) < 0:
        return None
    return [int(amount) for amount in before[2:] + after[2:]]


def _constant(model: onnx.ModelProto, name: str) -> npt.NDArray[Any] | None:
    """The value of a tensor that is computed of constants alone; None where it depends on the network's input."""
    makers = {output: index for index, node in enumerate(model.graph.node) for output in node.output}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: set[int] = set()
    used: dict[str, TensorProto] = {}
    wanted = [name]
    while wanted:
        tensor = wanted.pop()
        if tensor in weights:
            used[tensor] = weights[tensor]
        elif tensor not in makers:
            return None
        elif makers[tensor] not in nodes:
            nodes.add(makers[tensor])
            wanted += [given for given in model.graph.node[makers[tensor]].input if given]
    result = helper.make_value_info(name, onnx.TypeProto())
    part = [model.graph.node[index] for index in sorted(nodes)]
    graph = helper.make_graph(part, "constant", [], [result], list(used.values()))
    evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=model.opset_import))
    values = evaluator.run(None, {})
    assert isinstance(values, list)
    return np.asarray(values[0])
