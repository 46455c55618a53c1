"""Tiny semantic networks whose output can be told by hand: each class has a colour, the nearest colour wins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.float32)
"""RGB of the five classes."""

SHARPNESS = 1e-3


def colour_logits(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What the networks give for a photo (HxWx3) of their input's size: (5, H, W)."""
    away = image[None].astype(np.float32) - COLOURS[:, None, None]
    return -SHARPNESS * (away**2).sum(axis=-1) + SHARPNESS * (image.astype(np.float32) ** 2).sum(axis=-1)


def write_network(
    path: Path,
    size_hw: tuple[int, int] | None = None,
    kind: str = "logits",
    layout: str = "nchw",
    bgr: bool = False,
    mean: float = 0,
    std: float = 1,
    input_type: int = TensorProto.FLOAT,
    batch: int | str = 1,
) -> Path:
    """Writes a network that gives `colour_logits`, or what follows from them.

    Args:
        path: where to.
        size_hw: of its input; None: any.
        kind, layout: of its output, as in a class map; the layout is the input's too.
        bgr: whether it takes blue first.
        mean, std: what it expects to be taken off its input, and what to be divided by.
        input_type: the input's element type.
        batch: how many photos it takes; a name: any number.
    """
    rows, columns = size_hw or ("rows", "columns")
    shape = [batch, 3, rows, columns] if layout == "nchw" else [batch, rows, columns, 3]
    order = slice(None, None, -1 if bgr else 1)
    weight = 2 * SHARPNESS * COLOURS[:, order] * std
    bias = -SHARPNESS * (COLOURS**2).sum(axis=1) + 2 * SHARPNESS * COLOURS.sum(axis=1) * mean
    constants = [
        numpy_helper.from_array(weight[:, :, None, None].astype(np.float32), "weight"),
        numpy_helper.from_array(bias.astype(np.float32), "bias"),
    ]
    nodes = [helper.make_node("Cast", ["photo"], ["floats"], to=TensorProto.FLOAT)]
    last = "floats"
    if layout == "nhwc":
        nodes.append(helper.make_node("Transpose", [last], ["first"], perm=[0, 3, 1, 2]))
        last = "first"
    nodes.append(helper.make_node("Conv", [last, "weight", "bias"], ["logits"]))
    last, out_type = "logits", TensorProto.FLOAT
    if kind == "probabilities":
        nodes.append(helper.make_node("Softmax", [last], ["soft"], axis=1))
        last = "soft"
    if kind == "argmax":
        nodes.append(helper.make_node("ArgMax", [last], ["number"], axis=1, keepdims=0))
        last, out_type = "number", TensorProto.INT64
    elif layout == "nhwc":
        nodes.append(helper.make_node("Transpose", [last], ["back"], perm=[0, 2, 3, 1]))
        last = "back"
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("photo", input_type, shape)],
        [helper.make_tensor_value_info(last, out_type, None)],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
