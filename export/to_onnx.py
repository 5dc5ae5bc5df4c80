"""ONNX, for onnxruntime."""

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from compress.convert import OUTPUTS
from compress.quantize import Plan, nncf_quantize

ENGINE, FORMAT = "onnxruntime", "onnx"
FP32, INT8 = "fp32.onnx", "int8.onnx"


def write_fp32(graph: nn.Module, crop_shape: tuple[int, ...], folder: Path, outputs=OUTPUTS) -> list[str]:
    """Write the graph, its outputs named so; returns the files' names."""
    example = (torch.zeros(crop_shape, dtype=torch.uint8),)
    program = torch.onnx.export(
        graph, example, dynamo=True, verbose=False, input_names=["crop"], output_names=list(outputs)
    )
    model = program.model_proto
    for node in model.graph.node:  # where in Python an operation came from, with this machine's paths
        del node.metadata_props[:]
    for value in model.graph.value_info:
        del value.metadata_props[:]
    onnx.checker.check_model(model)
    (folder / FP32).write_bytes(model.SerializeToString(deterministic=True))
    return [FP32]


def write_int8(crops: np.ndarray, plan: Plan, folder: Path, **_litert) -> list[str]:
    """Quantise the fp32 file in ``folder``; returns the files' names. What only LiteRT's takes is not used."""
    model = onnx.load(folder / FP32)
    quantized = nncf_quantize(model, crops, plan, model.graph.input[0].name)
    (folder / INT8).write_bytes(quantized.SerializeToString(deterministic=True))
    return [INT8]
