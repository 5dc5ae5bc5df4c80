"""TFLite flatbuffers, for LiteRT and tflite-runtime."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from compress.convert import OUTPUTS
from compress.quantize import Plan, litert_quantize

ENGINE, FORMAT = "litert", "tflite"
FP32, INT8 = "fp32.tflite", "int8.tflite"


def write_fp32(graph: nn.Module, crop_shape: tuple[int, ...], folder: Path, outputs=OUTPUTS) -> list[str]:
    """Write the graph, whose outputs keep their order but not their names; returns the files' names."""
    import litert_torch  # slow to import, and only needed here

    litert_torch.convert(graph, (torch.zeros(crop_shape, dtype=torch.uint8),)).export(str(folder / FP32))
    return [FP32]


def write_int8(crops: np.ndarray, plan: Plan, folder: Path, **litert) -> list[str]:
    """Quantise the fp32 file in ``folder``, statically from the same crops; returns the files' names.

    ``plan`` says how NNCF quantises; this format's quantiser has no such choices. ``litert`` are choices that it
    does have: see ``litert_quantize``.
    """
    litert_quantize(folder / FP32, crops, folder / INT8, **litert)
    return [INT8]
