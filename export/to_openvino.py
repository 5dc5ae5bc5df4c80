"""OpenVINO IR: an .xml of the graph and a .bin of its weights."""

from pathlib import Path

import numpy as np
import openvino
from torch import nn

from compress.convert import OUTPUTS, openvino_model
from compress.quantize import Plan, nncf_quantize

ENGINE, FORMAT = "openvino", "openvino"
FP32, INT8 = ("fp32.xml", "fp32.bin"), ("int8.xml", "int8.bin")


def write_fp32(graph: nn.Module, crop_shape: tuple[int, ...], folder: Path, outputs=OUTPUTS) -> list[str]:
    """Write the graph, its outputs named so; returns the files' names."""
    openvino.save_model(openvino_model(graph, crop_shape, outputs), folder / FP32[0], compress_to_fp16=False)
    return list(FP32)


def write_int8(crops: np.ndarray, plan: Plan, folder: Path, **_litert) -> list[str]:
    """Quantise the fp32 file in ``folder``; returns the files' names. What only LiteRT's takes is not used."""
    model = openvino.Core().read_model(folder / FP32[0])
    openvino.save_model(nncf_quantize(model, crops, plan, "crop"), folder / INT8[0], compress_to_fp16=False)
    return list(INT8)
