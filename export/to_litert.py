"""TFLite flatbuffers, for LiteRT and tflite-runtime."""

from pathlib import Path

from torch import nn

from compress.calibration import Calibration
from compress.convert import OUTPUTS, write_litert
from compress.quantize import Plan, litert_quantize

ENGINE, FORMAT = "litert", "tflite"
FP32, INT8 = "fp32.tflite", "int8.tflite"


def write_fp32(graph: nn.Module, crop_shape: tuple[int, ...], folder: Path, outputs=OUTPUTS) -> list[str]:
    """Write the graph, whose outputs keep their order but not their names; returns the files' names."""
    write_litert(graph, crop_shape, folder / FP32)
    return [FP32]


def write_int8(faces: Calibration, plan: Plan, folder: Path, floats=()) -> list[str]:
    """Quantise the fp32 file in ``folder``, statically from the same crops; returns the files' names.

    Of ``plan`` only how far ranges reach counts here. ``floats`` names the operators that stay float besides the softmax.
    """
    litert_quantize(folder / FP32, faces.crops, folder / INT8, floats, plan.litert_reach)
    return [INT8]
