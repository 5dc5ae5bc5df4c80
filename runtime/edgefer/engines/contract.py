"""What all engines hold models and crops to: uint8 crop (1, S, S, C) in, float32 probabilities (1, classes) out."""

from pathlib import Path

import numpy as np

from edgefer.errors import InputRejected
from edgefer.finder_spec import OUTPUTS

Tensor = tuple[str, tuple]
"""Name of a dtype and a shape, as a model file states them."""


def check_file(model: Path) -> None:
    """Refuse a missing or empty model file before an engine words it its own way."""
    if not model.is_file():
        raise InputRejected(f"model file {model} is missing; copy or export the bundle again")
    if model.stat().st_size == 0:
        raise InputRejected(f"model file {model} is empty; copy or export the bundle again")


def damaged(model: Path, error: Exception) -> InputRejected:
    """The error for a file its engine cannot load."""
    reason = " ".join(str(error).split())[:200]
    return InputRejected(f"model file {model} cannot be loaded ({reason}); copy or export the bundle again")


def check_graph(model: Path, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    """Refuse a model that does not keep the contract.

    Raises:
        InputRejected: names what the file has instead.
    """
    if not (len(inputs) == 1 and inputs[0][0] == "uint8" and _is_crop(inputs[0][1])):
        raise InputRejected(
            f"{model}: input must be one uint8 (1, S, S, 1 or 3), not {_told(inputs)}; export the model again"
        )
    if not (len(outputs) == 1 and outputs[0][0] == "float32" and _is_row(outputs[0][1])):
        raise InputRejected(
            f"{model}: output must be one float32 (1, classes), not {_told(outputs)}; export the model again"
        )


def check_finder(model: Path, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    """Refuse a model that is no face finder: uint8 gray square in; scores, boxes and landmarks of the same cells out.

    Raises:
        InputRejected: names what the file has instead.
    """
    if not (len(inputs) == 1 and inputs[0][0] == "uint8" and _is_crop(inputs[0][1]) and inputs[0][1][3] == 1):
        raise InputRejected(
            f"{model}: a finder's input must be one uint8 (1, S, S, 1), not {_told(inputs)}; export the bundle again"
        )
    widths = sorted(shape[2] for dtype, shape in outputs if dtype == "float32" and len(shape) == 3 and shape[0] == 1)
    if not (widths == sorted(OUTPUTS.values()) and len({shape[1] for _, shape in outputs}) == 1):
        raise InputRejected(
            f"{model}: a finder's outputs must be float32 (1, cells, 1), (1, cells, 4) and (1, cells, 10), "
            f"not {_told(outputs)}; export the bundle again"
        )


def check_crop(crop: np.ndarray, shape: tuple) -> None:
    """Refuse a crop that the loaded graph was not made for."""
    found = f"{crop.dtype} {crop.shape}" if isinstance(crop, np.ndarray) else type(crop).__name__
    if not (isinstance(crop, np.ndarray) and crop.dtype == np.uint8 and crop.shape == shape):
        raise InputRejected(f"a crop for this model must be uint8 {shape}, not {found}")


def _is_crop(shape: tuple) -> bool:
    whole = len(shape) == 4 and all(isinstance(side, int) for side in shape)
    return whole and shape[0] == 1 and shape[1] == shape[2] > 0 and shape[3] in (1, 3)


def _is_row(shape: tuple) -> bool:
    return len(shape) == 2 and shape[0] == 1 and isinstance(shape[1], int) and shape[1] >= 2


def _told(tensors: list[Tensor]) -> str:
    return " and ".join(f"{dtype} {tuple(shape)}" for dtype, shape in tensors) or "nothing"
