"""onnxruntime: .onnx models on its CPU provider."""

from pathlib import Path

import numpy as np

from edgefer import engines
from edgefer.engines import contract

DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxRuntime:
    """See ``edgefer.engines.Engine``."""

    name = "onnxruntime"

    def __init__(self, session, version: str, threads: int):
        self._session, self._version, self._threads = session, version, threads
        (input_,), (output,) = session.get_inputs(), session.get_outputs()
        self._input, self.input_shape, self.classes = input_.name, tuple(input_.shape), output.shape[1]

    def infer(self, crop: np.ndarray) -> np.ndarray:
        contract.check_crop(crop, self.input_shape)
        return self._session.run(None, {self._input: crop})[0]

    @property
    def details(self) -> dict:
        return {
            "engine": f"onnxruntime {self._version}",
            "threads": self._threads,
            "precision": "as the file says: the CPU provider computes each operator in the type of its tensors",
            "providers": self._session.get_providers(),
        }


def load(model: Path, threads: int) -> OnnxRuntime:
    """See ``edgefer.engines.load``."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise engines.missing("onnxruntime") from None
    contract.check_file(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning burns a device's other core
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no public base class narrower than Exception
        raise contract.damaged(model, error) from None
    contract.check_graph(model, _tensors(session.get_inputs()), _tensors(session.get_outputs()))
    return OnnxRuntime(session, onnxruntime.__version__, threads)


def _tensors(nodes) -> list:
    return [(DTYPES.get(node.type, node.type), tuple(node.shape)) for node in nodes]
