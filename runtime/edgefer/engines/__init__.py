"""Inference engines, one module each. Adding one: a module, a line in ``ENGINES``, an extra in pyproject.toml.

This module knows names only; an engine's package is imported by its own module when that engine is loaded.
"""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgefer.errors import EnvironmentInvalid, UsageError, unknown

if TYPE_CHECKING:  # the doctor reads the table where numpy may be what is broken
    import numpy as np


class Row(NamedTuple):
    """Where an engine lives and what it needs."""

    module: str
    """Its module in this package; it has ``load(model, threads)``."""
    extra: str
    """The extra of the ``edgefer`` package that installs it; empty where nothing is needed."""
    format: str
    """Format of its model files, as named in a bundle's manifest."""
    packages: tuple[str, ...] = ()
    """Top-level modules, any one of which serves it."""


ENGINES = {
    "litert": Row("edgefer.engines.litert", "litert", "tflite", ("ai_edge_litert", "tflite_runtime")),
    "onnxruntime": Row("edgefer.engines.ort", "onnxruntime", "onnx", ("onnxruntime",)),
    "openvino": Row("edgefer.engines.ov", "openvino", "openvino", ("openvino",)),
    "null": Row("edgefer.engines.null", "", "spec"),
}
"""Engine name → row, in the order in which a fallback tries them. ``null`` computes nothing: the loop's cost."""


class Engine(Protocol):
    """A loaded model. Not thread-safe: one engine, one thread of control."""

    name: str
    input_shape: tuple[int, int, int, int]
    """(1, size, size, channels), as the model file says."""
    classes: int
    output_shapes: tuple[tuple[int, ...], ...]

    def infer(self, crop: "np.ndarray") -> "np.ndarray":
        """uint8 ``input_shape`` → float32 probabilities (1, classes).

        Raises:
            InputRejected: the crop has another shape or dtype.
        """

    def run(self, image: "np.ndarray") -> "list[np.ndarray]":
        """uint8 ``input_shape`` → every output, float32, in the order of ``output_shapes``; raises as ``infer``."""

    @property
    def details(self) -> dict:
        """What really runs, as JSON values: engine version, threads, and by the engine's own account ``layers``: dtype → how
        many layers that multiply (convolutions, dense ones) are computed in it. Asking may take time and memory."""


def load(name: str, model: Path, threads: int = 1, check: Callable | None = None) -> Engine:
    """Load a model file.

    Args:
        name: one of ``ENGINES``.
        model: the file.
        threads: of the engine.
        check: what the graph's inputs and outputs must be: one of ``edgefer.engines.contract``; None: a classifier's.

    Raises:
        UsageError: no such engine, or fewer than one thread.
        EnvironmentInvalid: the engine's package is not installed.
        InputRejected: the file is damaged, or its graph is not what ``check`` wants.
    """
    row = row_of(name)
    if threads < 1:
        raise UsageError(f"threads must be at least 1, not {threads}")
    from edgefer.engines import contract

    return importlib.import_module(row.module).load(Path(model), threads, check or contract.check_graph)


def row_of(name: str) -> Row:
    """An engine's row in the table; an unknown name is a UsageError listing those that exist."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES, "edgefer")
    return ENGINES[name]


def installed() -> list[str]:
    """Names of the real engines whose package is here, in the table's order."""
    return [name for name, row in ENGINES.items() if any(map(importlib.util.find_spec, row.packages))]


def missing(name: str, error: ImportError) -> EnvironmentInvalid:
    """The error for an engine whose package is not installed, or does not load."""
    if not isinstance(error, ModuleNotFoundError):
        return EnvironmentInvalid(f"engine '{name}' is installed here and does not load ({error}); run: edgefer doctor")
    extra = ENGINES[name].extra
    return EnvironmentInvalid(f"engine '{name}' is not installed here; run: pip install 'edgefer[{extra}]'")
