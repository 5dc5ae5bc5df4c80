"""What a network takes on a disk, in a download or in a flash image: files as they are and compressed."""

import lzma
import zlib
from pathlib import Path

import numpy as np
from torch import nn

from compress.convert import write_litert
from compress.quantize import litert_quantize
from edgefer.spec import ModelSpec
from train.graph import DeployedGraph


def sizes(file: Path) -> dict[str, int]:
    """Bytes of a file: "as it is", and by zlib (as in gzip, zip and an APK) and lzma (xz) at their highest levels."""
    data = file.read_bytes()
    return {"as it is": len(data), "zlib": len(zlib.compress(data, 9)), "lzma": len(lzma.compress(data, preset=9))}


def write_litert_int8(network: nn.Module, spec: ModelSpec, crops: np.ndarray, file: Path) -> None:
    """The network as the int8 .tflite that a device gets; ``crops`` uint8 (N, S, S, C) set its ranges."""
    fp32 = file.with_name(f"{file.stem}-fp32.tflite")
    write_litert(DeployedGraph(network, spec).eval(), spec.crop_shape, fp32)
    litert_quantize(fp32, crops, file)


def litert_answers(file: Path, crops: np.ndarray) -> np.ndarray:
    """The class int64 (N,) that a .tflite sees in each of uint8 crops (N, S, S, C)."""
    from edgefer import engines
    from train.evaluate import engine_probabilities

    return engine_probabilities(engines.load("litert", file, 1), crops).argmax(1)
