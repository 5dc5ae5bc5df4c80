"""LiteRT (once TensorFlow Lite): .tflite models, through ``ai-edge-litert`` or else ``tflite-runtime``."""

import importlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgefer import engines
from edgefer.engines import contract

MULTIPLYING = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"}
"""Operators that multiply by weights or by each other."""
PACKAGES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}


class LiteRT:
    """See ``edgefer.engines.Engine``."""

    name = "litert"

    def __init__(self, interpreter, package: str, threads: int):
        self._interpreter, self._package, self._threads = interpreter, package, threads
        (input_,), outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self._input, self._outputs = input_["index"], [output["index"] for output in outputs]
        self.input_shape, self.output_shapes = _shape(input_), tuple(map(_shape, outputs))
        self.classes = self.output_shapes[0][1]

    def infer(self, crop: np.ndarray) -> np.ndarray:
        return self.run(crop)[0]

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        contract.check_crop(image, self.input_shape)
        self._interpreter.set_tensor(self._input, image)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(output) for output in self._outputs]

    @property
    def details(self) -> dict:
        from importlib import metadata  # 4 MB that only this question needs

        dtypes = {t["index"]: np.dtype(t["dtype"]).name for t in self._interpreter.get_tensor_details()}
        operators = self._interpreter._get_ops_details()  # no public way
        delegated = any(op["op_name"] == "DELEGATE" for op in operators)
        # A float input beside int8 weights is computed in float (dynamic-range quantisation), so the input's type counts.
        layers = Counter(dtypes[int(op["inputs"][0])] for op in operators if op["op_name"] in MULTIPLYING)
        return {
            "engine": f"{self._package} {metadata.version(self._package)}",
            "threads": self._threads,
            "precision": "as the file says: LiteRT computes each operator in the type of its tensors",
            "layers": dict(sorted(layers.items())),
            "delegate": "XNNPACK" if delegated else "none",
        }


def load(model: Path, threads: int, check: Callable = contract.check_graph) -> LiteRT:
    """See ``edgefer.engines.load``."""
    package, module = _module()
    contract.check_file(model)
    try:
        interpreter = module.Interpreter(model_path=str(model), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise contract.damaged(model, error) from None
    check(
        model,
        [(np.dtype(t["dtype"]).name, _shape(t)) for t in interpreter.get_input_details()],
        [(np.dtype(t["dtype"]).name, _shape(t)) for t in interpreter.get_output_details()],
    )
    return LiteRT(interpreter, package, threads)


def _module():
    problems = []
    for package, name in PACKAGES.items():
        try:
            return package, importlib.import_module(name)
        except ImportError as error:
            problems.append(error)
    problems.sort(key=lambda error: isinstance(error, ModuleNotFoundError))  # one that is there and broken says more
    raise engines.missing("litert", problems[0])


def _shape(tensor: dict) -> tuple:
    return tuple(int(side) for side in tensor["shape_signature"])
