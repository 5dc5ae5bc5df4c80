"""Let ONNX move quantised values, not dequantised ones.

NNCF marks where values are quantised and dequantised; onnxruntime computes a convolution in int8 only when a dequantise stands
right before it. Operations that only move values, or pick some of them, stand between after a concatenation or slice, and the
convolution falls back to float. They commute with dequantising when everything they join has one scale, which NNCF sees to.
"""

import numpy as np
import onnx
from onnx import numpy_helper

MOVES = {"Slice", "Concat", "Split", "Reshape", "Transpose", "MaxPool", "Gather"}
JOINS = {"Concat"}
"""All their inputs are data; of the others only the first is."""


def sink_dequantize(model: onnx.ModelProto) -> None:
    """Put every dequantise whose value is only moved behind the move, in place. The model computes the same numbers."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    made_by: dict[str, onnx.NodeProto] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        sources = [made_by.get(name) for name in (node.input if node.op_type in JOINS else node.input[:1])]
        nodes.append(node)
        if node.op_type in MOVES and _one_grid(sources, constants):
            for position, source in enumerate(sources):
                node.input[position] = source.input[0]
            for position, name in enumerate(list(node.output)):
                node.output[position] = f"{name}_quantized"
                inputs = [node.output[position], *sources[0].input[1:]]
                nodes.append(onnx.helper.make_node("DequantizeLinear", inputs, [name], name=f"{name}_dequantize"))
        for made in nodes[-1 - len(node.output) :]:
            made_by |= dict.fromkeys(made.output, made)
    _keep_used(graph, nodes)
    del graph.value_info[:]  # types changed
    onnx.checker.check_model(model)


def _one_grid(sources: list[onnx.NodeProto | None], constants: dict) -> bool:
    """Whether all are dequantised from one scale and zero point of the whole tensor."""
    if not all(source is not None and source.op_type == "DequantizeLinear" for source in sources):
        return False
    grids = [[_value(constants.get(name)) for name in source.input[1:]] for source in sources]
    return all(value is not None and value == grids[0][i] for grid in grids for i, value in enumerate(grid))


def _value(tensor: onnx.TensorProto | None) -> tuple | None:
    """Dtype and number of a scalar; None of anything else."""
    array = None if tensor is None else numpy_helper.to_array(tensor)
    return (array.dtype.name, array.item()) if isinstance(array, np.ndarray) and array.size == 1 else None


def _keep_used(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """The nodes whose outputs are needed, last first; a dequantise that was moved behind all its readers is not."""
    needed, kept = {value.name for value in graph.output}, []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
