"""onnxruntime: .onnx models on its CPU provider."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgefer import engines
from edgefer.engines import contract

DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}

MULTIPLYING = {
    "Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul", "FusedMatMul",
    "QLinearConv", "ConvInteger", "QGemm", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat",
}  # fmt: skip
"""Operators that multiply by weights or by each other, before and after onnxruntime's own fusions."""
PROFILE_DTYPES = {"float": "float32", "uint8": "int8", "int8": "int8"}


class OnnxRuntime:
    """See ``edgefer.engines.Engine``."""

    name = "onnxruntime"

    def __init__(self, session, model: Path, version: str, threads: int):
        self._session, self._model, self._version, self._threads = session, model, version, threads
        (input_,), outputs = session.get_inputs(), session.get_outputs()
        self._input, self.input_shape = input_.name, tuple(input_.shape)
        self.output_shapes = tuple(tuple(output.shape) for output in outputs)
        self.classes = self.output_shapes[0][1]

    def infer(self, crop: np.ndarray) -> np.ndarray:
        return self.run(crop)[0]

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        contract.check_crop(image, self.input_shape)
        return self._session.run(None, {self._input: image})

    @property
    def details(self) -> dict:
        return {
            "engine": f"onnxruntime {self._version}",
            "threads": self._threads,
            "precision": "as the file says: the CPU provider computes each operator in the type of its tensors",
            "providers": self._session.get_providers(),
            "layers": _profiled(self._model, self.input_shape),
        }


def load(model: Path, threads: int, check: Callable = contract.check_graph) -> OnnxRuntime:
    """See ``edgefer.engines.load``."""
    try:
        import onnxruntime
    except ImportError as error:
        raise engines.missing("onnxruntime", error) from None
    contract.check_file(model)
    try:
        session = _session(model, threads)
    except Exception as error:  # onnxruntime's own errors have no public base class narrower than Exception
        raise contract.damaged(model, error) from None
    check(model, _tensors(session.get_inputs()), _tensors(session.get_outputs()))
    return OnnxRuntime(session, model, onnxruntime.__version__, threads)


def _session(model: Path, threads: int, profile: str | None = None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning burns a device's other core
    options.log_severity_level = 3
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _profiled(model: Path, shape: tuple) -> dict[str, int]:
    """Dtype → how many multiplying operators ran in it, by onnxruntime's profile of one inference in a session of its own.

    The file does not tell: a quantised model whose pairs of quantise and dequantise do not fuse is computed in float.
    """
    with tempfile.TemporaryDirectory() as folder:
        session = _session(model, 1, str(Path(folder) / "profile"))
        session.run(None, {session.get_inputs()[0].name: np.zeros(shape, np.uint8)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    ran = [event["args"] for event in events if event.get("args", {}).get("op_name") in MULTIPLYING]
    dtypes = [next(iter(args["input_type_shape"][0])) for args in ran if args.get("input_type_shape")]
    return dict(sorted(Counter(PROFILE_DTYPES.get(dtype, dtype) for dtype in dtypes).items()))


def _tensors(nodes) -> list:
    return [(DTYPES.get(node.type, node.type), tuple(node.shape)) for node in nodes]
