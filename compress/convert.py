"""A deployed graph in other formats: choosing how to compress needs it, and so does the export."""

from pathlib import Path

import torch
from torch import nn

OUTPUTS = ("probabilities",)
"""Names of a classifier's outputs."""


def openvino_model(graph: nn.Module, crop_shape: tuple[int, ...], outputs: tuple[str, ...] = OUTPUTS):
    """Trace a ``DeployedGraph`` in evaluation mode.

    Args:
        graph: uint8 (1, S, S, C) → float32 (1, classes).
        crop_shape: (1, S, S, C), which the model's input is fixed to.
        outputs: names of the graph's outputs, in their order.

    Returns:
        An ``openvino.Model`` with the input "crop" and these outputs.
    """
    import openvino  # slow to import

    with torch.inference_mode():
        model = openvino.convert_model(graph, example_input=torch.zeros(crop_shape, dtype=torch.uint8))
    model.reshape(list(crop_shape))
    model.inputs[0].set_names({"crop"})
    for port, name in zip(model.outputs, outputs, strict=True):
        port.set_names({name})
    return model


def compiled(model):
    """An ``openvino.Model`` ready to answer one crop at a time, computed in fp32 where it is not quantised."""
    import openvino

    return openvino.Core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    )


def write_litert(graph: nn.Module, crop_shape: tuple[int, ...], file: Path) -> None:
    """A deployed graph, uint8 (1, S, S, C) → (1, classes), as a fp32 .tflite.

    Tensors are named by number: the converter's names, whole paths through the modules, take 0.14 MB of the default network's
    int8 file and tell a device nothing.
    """
    import litert_torch  # slow to import
    from ai_edge_litert.tools import flatbuffer_utils

    litert_torch.convert(graph, (torch.zeros(crop_shape, dtype=torch.uint8),)).export(str(file))
    model = flatbuffer_utils.read_model(str(file))
    for subgraph in model.subgraphs:
        for number, tensor in enumerate(subgraph.tensors):
            tensor.name = f"t{number}".encode()
    flatbuffer_utils.write_model(model, str(file))
