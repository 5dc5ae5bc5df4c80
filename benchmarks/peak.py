"""The machine's measured peak: multiply–accumulates a second of kernels that do nothing else, fp32 and int8.

A share of the peak says how far a network is from what the same cores could do on the same day, without a data sheet. The
kernels are large products of matrices and a chain of 1×1 convolutions, big enough to be bound by arithmetic (each weight is
used hundreds of times) and small enough for the caches, and run through libraries whose makers tune them: torch (oneDNN and
MKL), onnxruntime (MLAS), OpenVINO (oneDNN). Which is best depends on the CPU, so several run and the fastest counts. They
take turns with what they are compared to, at the same number of threads. It is the peak that software reaches, not the
silicon's: a better kernel than all of these would show as a share above 1.
"""

from pathlib import Path

import numpy as np

from benchmarks import stats
from edgefer.errors import EnvironmentInvalid

CHANNELS, SIDE, LAYERS = 512, 28, 8
"""Of the chain of 1×1 convolutions: 1.64 GMAC, weights 8 MB and maps 1.6 MB in fp32."""
MATRIX = 1024
"""Side of the square matrices: 1.07 GMAC a product."""
SCALE = 0.05
"""One grey level of the int8 chain; time does not depend on it."""
PREFIX = "peak "


def jobs(threads: int, folder: Path) -> dict[str, dict]:
    """Role → job of every kernel; each job also says its ``macs`` and ``precision``. Model files are written to ``folder``.

    Raises:
        EnvironmentInvalid: onnx is not installed.
    """
    files = {precision: str(chain(folder, precision)) for precision in ("fp32", "int8")}
    chained = {"shape": [1, CHANNELS, SIDE, SIDE], "macs": LAYERS * CHANNELS**2 * SIDE**2, "threads": threads}
    product = {"kind": "matmul", "side": MATRIX, "macs": MATRIX**3, "threads": threads}
    found = {}
    for precision, dtype in (("fp32", "float32"), ("int8", "int8")):
        told = {"precision": precision}
        found[f"{PREFIX}{precision} torch"] = product | told | {"dtype": dtype}
        found[f"{PREFIX}{precision} onnxruntime"] = chained | told | {"kind": "onnx", "model": files[precision]}
        found[f"{PREFIX}{precision} openvino"] = chained | told | {"kind": "openvino", "model": files[precision]}
    return found


def peaks(blocks: dict[str, np.ndarray], kernels: dict[str, dict]) -> dict[str, dict]:
    """The fastest kernel of each precision: {precision: {gmacs_per_s, ci95, kernel, kernels: {role: gmacs_per_s}}}."""
    found: dict[str, dict] = {}
    for role, job in kernels.items():
        rate = stats.median(blocks[role]).map(lambda ns, macs=job["macs"]: macs / ns)  # MACs a nanosecond are GMAC/s
        best = found.setdefault(job["precision"], {"gmacs_per_s": 0.0, "kernels": {}})
        best["kernels"][role] = rate.value
        if rate.value > best["gmacs_per_s"]:
            best |= {"gmacs_per_s": rate.value, "ci95": list(rate.ci95), "kernel": role}
    return found


def chain(folder: Path, precision: str) -> Path:
    """The chain of convolutions as an ONNX file, float32 in and out; int8 has quantise–dequantise pairs around each layer."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise EnvironmentInvalid("the peak needs onnx; run: pip install 'edgefer[workshop]'") from None
    h, random, tensors, nodes, last = onnx.helper, np.random.default_rng(0), [], [], "input"

    def constant(name: str, value: np.ndarray) -> str:
        tensors.append(onnx.numpy_helper.from_array(value, name))
        return name

    step, zero = constant("step", np.array(SCALE, np.float32)), constant("zero", np.array(128, np.uint8))

    def rounded(name: str) -> str:
        nodes.append(h.make_node("QuantizeLinear", [name, step, zero], [f"{name}_q"]))
        nodes.append(h.make_node("DequantizeLinear", [f"{name}_q", step, zero], [f"{name}_r"]))
        return f"{name}_r"

    for layer in range(LAYERS):
        shape = (CHANNELS, CHANNELS, 1, 1)
        if precision == "int8":
            last = rounded(last)
            weights = constant(f"w{layer}", random.integers(-63, 64, shape, np.int8))  # u8 × s8 cannot saturate
            nodes.append(h.make_node("DequantizeLinear", [weights, "small"], [f"{weights}_r"]))
            weights = f"{weights}_r"
        else:
            weights = constant(f"w{layer}", (random.standard_normal(shape) / CHANNELS**0.5).astype(np.float32))
        nodes.append(h.make_node("Conv", [last, weights], [f"map{layer}"], kernel_shape=[1, 1]))
        last = f"map{layer}"
    if precision == "int8":
        constant("small", np.array(1 / (36 * CHANNELS**0.5), np.float32))
        last = rounded(last)
    info = [
        h.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, CHANNELS, SIDE, SIDE]) for name in ("input", last)
    ]
    graph = h.make_graph(nodes, "peak", [info[0]], [info[1]], tensors)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"peak-{precision}.onnx"
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), path)
    return path
