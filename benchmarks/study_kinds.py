"""What a worker runs in the studies beside the target's own artifact: peers, kernels of known cost, batches, several faces.

Each opener gets the worker's model, sets ``infer_one(i)`` and ``details``, and imports what it needs.
"""

from pathlib import Path

import numpy as np

RING = 4
"""Different random inputs in turn."""


def open_onnx(model) -> None:
    """An ONNX file in onnxruntime as people run it: its defaults but for the threads. job: model, shape, dtype, threads.

    ``spin`` False in the job lets its threads sleep between the parts of an inference, as edgefer's engine does.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = model.job["threads"]
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(model.job.get("spin", True))))
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.job["model"], options, providers=["CPUExecutionProvider"])
    name, inputs = session.get_inputs()[0].name, _inputs(model.job)
    model.infer_one = lambda i: session.run(None, {name: inputs[i % RING]})
    model.details = lambda: {"engine": f"onnxruntime {onnxruntime.__version__}", "threads": model.job["threads"]}


def open_opencv(model) -> None:
    """An ONNX file in OpenCV's dnn module as OpenCV's model zoo runs it. job: model, shape, threads."""
    import cv2

    cv2.setNumThreads(model.job["threads"])
    network, inputs = cv2.dnn.readNet(model.job["model"]), _inputs(model.job)
    network.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    network.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)

    def infer_one(i: int):
        network.setInput(inputs[i % RING])
        return network.forward()

    model.infer_one = infer_one
    model.details = lambda: {"engine": f"opencv {cv2.__version__}", "threads": cv2.getNumThreads()}


def open_openvino(model) -> None:
    """An ONNX or IR file in OpenVINO, any shape. job: model, shape, dtype, threads."""
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": model.job["threads"]}
    settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = openvino.Core().compile_model(model.job["model"], "CPU", settings)
    request, inputs = compiled.create_infer_request(), _inputs(model.job)
    model.infer_one = lambda i: request.infer([inputs[i % RING]], share_inputs=True)
    model.details = lambda: {"engine": f"openvino {openvino.__version__}", "layers": _precisions(compiled)}


def open_litert(model) -> None:
    """A .tflite file in LiteRT, any shape. job: model, shape, dtype, threads."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model.job["model"], num_threads=model.job["threads"])
    interpreter.allocate_tensors()
    (input_,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    inputs = _inputs(model.job)

    def infer_one(i: int):
        interpreter.set_tensor(input_["index"], inputs[i % RING])
        interpreter.invoke()
        return interpreter.get_tensor(output["index"])

    model.infer_one = infer_one
    model.details = lambda: {"engine": "litert", "threads": model.job["threads"]}


def open_matmul(model) -> None:
    """A square matrix product in torch. job: side, dtype float32 or int8, threads."""
    import torch

    torch.set_num_threads(model.job["threads"])
    side = model.job["side"]
    if model.job["dtype"] == "int8":
        a, b = (torch.randint(-127, 128, (side, side), dtype=torch.int8) for _ in range(2))
        model.infer_one = lambda _: torch._int_mm(a, b)  # the only int8 product that torch has
    else:
        a, b, out = torch.randn(side, side), torch.randn(side, side), torch.empty(side, side)
        model.infer_one = lambda _: torch.mm(a, b, out=out)
    model.details = lambda: {"engine": f"torch {torch.__version__}", "threads": torch.get_num_threads()}


def open_inside(model) -> None:
    """OpenVINO by edgefer's engine, with the time that OpenVINO itself says an inference took. job: as of an artifact."""
    from edgefer import engines

    engine = engines.load("openvino", Path(model.job["model"]), model.job["threads"])
    crops = np.random.default_rng(0).integers(0, 256, (RING, *model.job["shape"]), np.uint8)
    model.infer_one = lambda i: engine.infer(crops[i % RING])
    model.inside_ns = lambda: int(engine._request.latency * 1e6)  # what benchmark_app reads, milliseconds
    model.details = lambda: engine.details


def open_faces(model) -> None:
    """Align and classify several faces of one frame. job: bundle, engine, precision, threads, faces."""
    from benchmarks.growth import frame_with_faces
    from edgefer import bundle
    from edgefer.classifier import Classifier

    job = model.job
    classifier = Classifier(bundle.load(job["bundle"], verify=False), job["engine"], job["precision"], job["threads"])
    frame, faces = frame_with_faces(job["faces"], classifier.spec)
    model.infer_one = lambda _: [classifier.classify(classifier.crop(frame, face)) for face in faces]
    model.details = lambda: classifier.engine.details


OPENERS = {
    "onnx": open_onnx,
    "opencv": open_opencv,
    "openvino": open_openvino,
    "litert": open_litert,
    "matmul": open_matmul,
    "inside": open_inside,
    "faces": open_faces,
}
"""Kind of job → what makes it ready."""


def _inputs(job: dict) -> np.ndarray:
    """(RING, *shape) random inputs of the job's dtype: bytes, or numbers around 0."""
    random = np.random.default_rng(0)
    if job.get("dtype") == "uint8":
        return random.integers(0, 256, (RING, *job["shape"]), np.uint8)
    return random.standard_normal((RING, *job["shape"]), np.float32)


def _precisions(compiled) -> dict[str, int]:
    """How many layers run in which precision."""
    found: dict[str, int] = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        info = node.get_rt_info()
        if "runtimePrecision" in info:
            precision = str(info["runtimePrecision"].astype(str))
            found[precision] = found.get(precision, 0) + 1
    return found
