"""The child process that runs one model. Reads one JSON request a line from stdin, answers one JSON line.

    python -P benchmarks/worker.py '{"kind": "artifact", "engine": …, "model": …, "threads": …, "shape": [1, S, S, C]}'
    python -P benchmarks/worker.py '{"kind": "eager", "system": …, "threads": …}'
    python -P benchmarks/worker.py '{"kind": "pipeline", …}'
    python -P benchmarks/worker.py '{"kind": "machine"}'
    python -P benchmarks/worker.py '{"kind": one of benchmarks.study_kinds.OPENERS, …}'

Requests: load, first, details, memory, climate, run (n or seconds), predict, frames, fingerprint, installed; each is the
function of that name below. Waiting for one is a blocking read, so an idle worker takes no time from the one being measured.
The process imports numpy, edgefer and its one engine, so its memory and start-up are a device's; torch and OpenCV come in only
for the kinds that are about them. A device gets this file as it is.
"""

import importlib
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from edgefer import engines
from edgefer.errors import EdgeferError

IMPORTED_NS = time.monotonic_ns()
SPAWNED = "EDGEFER_SPAWNED_NS"
"""Environment variable: when this process was spawned, by the monotonic clock of the machine it runs on; who starts a worker on
another machine cannot know."""
RING = 16
"""Different random inputs in turn, so that no result depends on one picture."""


class Model:
    """What the requests work on: ``infer()`` once ``load`` has run."""

    def __init__(self, job: dict):
        self.job, self.calls = job, 0
        self.infer_one = self.engine = self.inside_ns = None
        self.details = dict

    def infer(self):
        self.calls += 1
        return self.infer_one(self.calls % RING)


def load(model: Model, _request: dict) -> dict:
    """Import the engine and load, or compile, the model. Times are of the monotonic clock, nanoseconds."""
    importer, opener = KINDS.get(model.job["kind"], (_nothing, _open_study))
    importer(model)
    engine_ns = time.monotonic_ns()
    opener(model)
    spawned = {"spawned_ns": int(os.environ[SPAWNED])} if SPAWNED in os.environ else {}
    return {**spawned, "imported_ns": IMPORTED_NS, "engine_ns": engine_ns, "loaded_ns": time.monotonic_ns()}


def first(model: Model, _request: dict) -> dict:
    """One inference, and when its answer was there."""
    model.infer()
    return {"answered_ns": time.monotonic_ns()}


def details(model: Model, _request: dict) -> dict:
    """What really runs: version, threads, executed precision as far as the engine tells. Asking may take time and memory."""
    return model.details()


def run(model: Model, request: dict) -> dict:
    """``n`` inferences, or at least five and as many as fit into ``seconds``; the nanoseconds of each.

    ``inside_ns`` is the engine's own time of each, where it tells, else empty.
    """
    clock, samples, inside = time.perf_counter_ns, [], []
    end = clock() + int(request.get("seconds", 0) * 1e9)
    wanted = request.get("n", 5)
    while len(samples) < wanted or ("n" not in request and clock() < end):
        start = clock()
        model.infer()
        samples.append(clock() - start)
        if model.inside_ns:
            inside.append(model.inside_ns())
    return {"ns": samples, "inside_ns": inside}


def memory(_model: Model, _request: dict) -> dict:
    """Resident memory of this process in bytes: high-water mark, and proportional set size now. Linux only."""
    status = Path("/proc/self/status").read_text()
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return {"vm_hwm": _kib(status, "VmHWM:"), "vm_rss": _kib(status, "VmRSS:"), "pss": _kib(rollup, "Pss:")}


def climate(_model: Model, _request: dict) -> dict:
    """Temperature, frequency and throttling of this machine; see ``benchmarks.environment.climate``."""
    from benchmarks import environment

    return environment.climate()


def predict(model: Model, request: dict) -> dict:
    """Probabilities of the crops in one .npy file, batch 1 each, written to another: float32 (N, classes)."""
    crops = np.load(request["crops"], mmap_mode="r", allow_pickle=False)
    rows = [np.array(model.engine.infer(np.ascontiguousarray(crop[None]))[0], np.float32) for crop in crops]
    np.save(request["out"], np.stack(rows), allow_pickle=False)
    return {"n": len(rows)}


def frames(model: Model, _request: dict) -> dict:
    """Recorded frames through the whole pipeline; see ``benchmarks.whole.run``."""
    from benchmarks import whole

    return whole.run(model.job)


def fingerprint(_model: Model, _request: dict) -> dict:
    """Of the machine this runs on; see ``benchmarks.environment.machine``."""
    from benchmarks import environment

    return environment.machine()


def installed(model: Model, request: dict) -> dict:
    """MB that these top-level modules take up with all they require; see ``benchmarks.resources.installed_mb``."""
    from benchmarks import resources

    return {"mb": resources.installed_mb(tuple(request["packages"]))}


def _import_engine(model: Model) -> None:
    """Import the engine's package, so that loading a model is timed apart. LiteRT's library comes with its ``interpreter``."""
    package = next(filter(importlib.util.find_spec, engines.row_of(model.job["engine"]).packages), None)
    for name in (package, f"{package}.interpreter"):
        if package and importlib.util.find_spec(name):
            importlib.import_module(name)


def _open_artifact(model: Model) -> None:
    job = model.job
    model.engine = engines.load(job["engine"], Path(job["model"]), job["threads"])
    crops = np.random.default_rng(0).integers(0, 256, (RING, *job["shape"]), np.uint8)
    model.infer_one = lambda i: model.engine.infer(crops[i])
    model.details = lambda: model.engine.details


def _import_torch(_model: Model) -> None:
    importlib.import_module("torch")
    importlib.import_module("train.models")


def _open_eager(model: Model) -> None:
    """The system as its paper runs it: its own configuration and input size, fp32, eager, batch 1."""
    import hashlib

    import torch

    from train import models

    job = model.job
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    torch.set_flush_denormal(True)  # weights are random: vanishing activations must not slow the reference down
    network, cls = models.paper_network(job["system"]).eval(), models.SYSTEMS[job["system"]]
    pixels = torch.randint(0, 256, (RING, 1, cls.CHANNELS, cls.INPUT_SIZE, cls.INPUT_SIZE))
    inputs = (pixels.float() - 128) / 128

    def infer_one(i: int):
        with torch.inference_mode():
            return network(inputs[i])

    source = sorted(Path(models.__file__).parent.glob("*.py"))
    model.infer_one = infer_one
    model.details = lambda: {
        "engine": f"torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "precision": str(next(network.parameters()).dtype),
        "source_sha256": hashlib.sha256(b"".join(file.read_bytes() for file in source)).hexdigest(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "input_size": cls.INPUT_SIZE,
        "channels": cls.CHANNELS,
    }


def _nothing(_model: Model) -> None:
    """The pipeline loads what it needs when its frames come; the machine needs nothing."""


def _open_study(model: Model) -> None:
    """What only the studies run: see ``benchmarks.study_kinds``."""
    from benchmarks import study_kinds

    study_kinds.OPENERS[model.job["kind"]](model)


KINDS = {
    "artifact": (_import_engine, _open_artifact),
    "eager": (_import_torch, _open_eager),
    "pipeline": (_nothing, _nothing),
    "machine": (_nothing, _nothing),
}
REQUESTS = {
    f.__name__: f for f in (load, first, details, run, memory, climate, predict, frames, fingerprint, installed)
}


def _kib(text: str, field: str) -> int:
    line = next(line for line in text.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def _answer(model: Model, line: str) -> dict:
    request = json.loads(line)
    try:
        return REQUESTS[request["do"]](model, request)
    except EdgeferError as error:
        return {"error": str(error), "exit_code": error.exit_code}


def main() -> None:
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # an engine that prints must not garble the answers
    model = Model(json.loads(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(_answer(model, line)), file=replies)


if __name__ == "__main__":
    main()
