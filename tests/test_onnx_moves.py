"""Dequantising sinks below operations that only move values: same numbers, and onnxruntime then computes in int8."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefer import engines
from export.onnx_moves import sink_dequantize


def model(second_scale: float = 0.05) -> onnx.ModelProto:
    """Two quantised inputs, a slice of each, joined, pooled, convolved, quantised."""
    rng = np.random.default_rng(0)
    constants = {
        "scale": np.float32(0.05), "second": np.float32(second_scale), "zero": np.uint8(3), "w_scale": np.float32(0.01),
        "w_zero": np.int8(0), "w": rng.integers(-90, 90, (4, 4, 3, 3), np.int8), "starts": np.array([1]),
        "ends": np.array([3]), "axes": np.array([1]), "out_scale": np.float32(0.2), "out_zero": np.uint8(128),
    }  # fmt: skip
    nodes = [
        helper.make_node("DequantizeLinear", ["a", "scale", "zero"], ["af"]),
        helper.make_node("DequantizeLinear", ["b", "second", "zero"], ["bf"]),
        helper.make_node("Slice", ["af", "starts", "ends", "axes"], ["as"]),
        helper.make_node("Slice", ["bf", "starts", "ends", "axes"], ["bs"]),
        helper.make_node("Concat", ["as", "bs"], ["joined"], axis=1),
        helper.make_node("MaxPool", ["joined"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wf"]),
        helper.make_node("Conv", ["pooled", "wf"], ["convolved"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["convolved", "out_scale", "out_zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "out_scale", "out_zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "moves",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, [1, 4, 8, 8]) for name in "ab"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 4, 4])],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def answer(made: onnx.ModelProto) -> np.ndarray:
    import onnxruntime

    rng = np.random.default_rng(1)
    inputs = {name: rng.integers(0, 256, (1, 4, 8, 8), np.uint8) for name in "ab"}
    return onnxruntime.InferenceSession(made.SerializeToString()).run(None, inputs)[0]


def feeders(made: onnx.ModelProto) -> dict[str, str]:
    """Operation → what makes its first input."""
    by = {name: node.op_type for node in made.graph.node for name in node.output}
    return {node.op_type: by.get(node.input[0], "input") for node in made.graph.node}


def test_same_numbers_and_the_convolution_is_fed_by_a_dequantise():
    before, after = model(), model()
    sink_dequantize(after)
    assert feeders(before)["Conv"] == "MaxPool"
    assert feeders(after) | {
        "Slice": "input",
        "Concat": "Slice",
        "MaxPool": "Concat",
        "Conv": "DequantizeLinear",
    } == feeders(after)
    assert np.ptp(answer(before)) > 1
    assert (
        np.abs(answer(before) - answer(after)).max() <= 0.2 + 1e-6
    )  # one step of the output: int8 sums round otherwise


def test_values_of_two_scales_stay_where_they_are():
    before, after = model(second_scale=0.07), model(second_scale=0.07)
    sink_dequantize(after)
    assert feeders(after)["Concat"] == "DequantizeLinear"  # each slice is moved, the join is not
    assert np.array_equal(answer(before), answer(after))


def test_the_default_networks_int8_is_computed_in_int8(bundle_folder):
    """What it is for: of 71 layers that multiply, NNCF's file as it comes runs 45 in float."""
    layers = engines.load("onnxruntime", bundle_folder / "int8.onnx", 1).details["layers"]
    assert layers["int8"] >= 0.95 * sum(layers.values())


@pytest.mark.parametrize("operation", ["Relu", "Add"])
def test_operations_that_compute_are_no_moves(operation):
    made = model()
    node = next(node for node in made.graph.node if node.op_type == "MaxPool")
    node.op_type = operation
    del node.attribute[:]
    if operation == "Add":
        node.input.append(node.input[0])
    sink_dequantize(made)
    assert feeders(made)[operation] == "DequantizeLinear"
