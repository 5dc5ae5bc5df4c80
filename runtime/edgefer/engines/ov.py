"""OpenVINO: .xml + .bin models on its CPU plugin, tuned for the latency of single frames."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgefer import engines
from edgefer.engines import contract

MULTIPLYING = {"Convolution", "GroupConvolution", "Deconvolution", "FullyConnected", "MatMul"}
"""Layers that multiply by weights or by each other."""
DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "i8": "int8", "u8": "int8"}
"""Precisions of OpenVINO's runtime model → as every engine's details name them."""


class OpenVino:
    """See ``edgefer.engines.Engine``."""

    name = "openvino"

    def __init__(self, compiled, version: str):
        self._compiled, self._version = compiled, version
        self._request, self._outputs = compiled.create_infer_request(), list(compiled.outputs)
        self.input_shape, self.output_shapes = _shape(compiled.input(0)), tuple(map(_shape, self._outputs))
        self.classes = self.output_shapes[0][1]

    def infer(self, crop: np.ndarray) -> np.ndarray:
        return self.run(crop)[0]

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        contract.check_crop(image, self.input_shape)
        found = self._request.infer([image], share_inputs=True)
        return [found[output].copy() for output in self._outputs]

    @property
    def details(self) -> dict:
        infos = [node.get_rt_info() for node in self._compiled.get_runtime_model().get_ordered_ops()]
        layers = [(str(i["layerType"].astype(str)), str(i["runtimePrecision"].astype(str))) for i in infos]
        executed = Counter(DTYPES.get(precision, precision) for kind, precision in layers if kind in MULTIPLYING)
        return {
            "engine": f"openvino {self._version}",
            "threads": int(self._compiled.get_property("INFERENCE_NUM_THREADS")),
            "precision": self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
            "layers": dict(sorted(executed.items())),
        }


def load(model: Path, threads: int, check: Callable = contract.check_graph) -> OpenVino:
    """See ``edgefer.engines.load``."""
    try:
        import openvino
    except ImportError as error:
        raise engines.missing("openvino", error) from None
    contract.check_file(model)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # otherwise fp32 models silently run in bf16 on CPUs that have it
    }
    core = openvino.Core()
    try:
        network = core.read_model(model)
        check(model, _tensors(network.inputs), _tensors(network.outputs))
        compiled = core.compile_model(network, "CPU", settings)
    except RuntimeError as error:
        raise contract.damaged(model, error) from None
    return OpenVino(compiled, openvino.__version__)


def _tensors(ports) -> list:
    return [(port.element_type.to_dtype().name, _shape(port)) for port in ports]


def _shape(port) -> tuple:
    return tuple(d.get_length() if d.is_static else -1 for d in port.get_partial_shape())
