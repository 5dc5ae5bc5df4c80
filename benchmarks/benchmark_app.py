"""Does our harness agree with OpenVINO's own ``benchmark_app``? The same file, measured by both in turns.

Both run one request at a time with the same threads and precision, each time in a fresh process. ``benchmark_app`` reports what
OpenVINO says an inference took, from inside the library; our figures are of the whole call that a program makes, with Python's
share, the check of the crop and the copy of the answer. So our engine is asked for OpenVINO's own time as well: that is what is
compared, like with like, and the rest of our call stands beside it. What still differs: ``benchmark_app`` gives the network the
same random picture every time, ours a few in turn, and it copies no input or output.
"""

import re
import subprocess
import sys

import numpy as np

from benchmarks import contenders, stats
from benchmarks.processes import Worker
from edgefer.errors import EdgeferError

REPEATS, SECONDS = 7, 2
QUICK_REPEATS, QUICK_SECONDS = 3, 1
WARM_S = 0.3
PATIENCE_S = 120
MEDIAN = re.compile(r"Median:\s+([0-9.]+)\s*(ms|us)")
UNIT_MS = {"ms": 1.0, "us": 1e-3}
"""It changes to microseconds where the average is below a millisecond."""


def study(session) -> dict:
    """``{"benchmark_app": …}`` of the OpenVINO artifact in the target's precision; None and a remark where there is none.

    Raises:
        EdgeferError: ``benchmark_app`` failed, or printed no median.
    """
    precision = session.target.precision
    wanted = f"openvino/{precision}"
    if wanted not in [artifact.name for artifact in contenders.runnable(session.bundle, session.device.about)]:
        session.remarks.append(f"benchmark_app: the bundle has no {wanted}, or openvino is not installed here")
        return {"benchmark_app": None}
    job = contenders.artifact_job(session.bundle, "openvino", precision, session.target.threads) | {"kind": "inside"}
    quick = session.effort.quick
    repeats, seconds = (QUICK_REPEATS, QUICK_SECONDS) if quick else (REPEATS, SECONDS)
    inside, calls, theirs = [], [], []
    for number in range(repeats):
        session.say(f"benchmark_app: {number + 1} of {repeats}, it and we in turns")
        turns = [lambda: _ours(job, seconds, inside, calls), lambda: theirs.append(_theirs(job, seconds))]
        for turn in turns if number % 2 else reversed(turns):
            turn()
    found = compare(np.array(inside), np.array(calls), np.array(theirs))
    if not found["agrees"]:
        session.remarks.append(
            f"benchmark_app: we say {found['ratio']:.2f} times its time; its noise is {found['noise']:.0%}"
        )
    return {"benchmark_app": {"artifact": wanted, **found}}


def compare(inside_ms: np.ndarray, call_ms: np.ndarray, theirs_ms: np.ndarray) -> dict:
    """Medians (repeats,) of each side, in milliseconds, as one result.

    ``ratio`` is OpenVINO's own time in our run over ``benchmark_app``'s. ``noise`` is how much its repeats differ among
    themselves: interquartile range over median. They agree when the ratio's interval, widened by that noise, holds 1.
    """
    ours, call = stats.repeats(list(inside_ms)), stats.repeats(list(call_ms))
    shaped = [values[:, None, None] for values in (inside_ms, theirs_ms)]
    ratio, noise = stats.ratio(*shaped), stats.spread(theirs_ms[None, :, None])
    low, high = ratio.ci95
    return {
        "ours_ms": ours.value,
        "ours_ci95": ours.ci95 and list(ours.ci95),
        "ours_call_ms": call.value,
        "outside_ms": call.value - ours.value,
        "theirs_ms": theirs_ms.tolist(),
        "ratio": ratio.value,
        "ratio_ci95": [low, high],
        "noise": noise,
        "agrees": bool(low - noise <= 1 <= high + noise),
    }


def median_ms(printed: str) -> float:
    """The median latency in what ``benchmark_app`` printed, milliseconds.

    Raises:
        EdgeferError: there is none.
    """
    found = MEDIAN.search(printed)
    if not found:
        last = (printed.strip().splitlines() or ["nothing"])[-1]
        raise EdgeferError(
            f"benchmark_app printed no median latency, but: {last}; its output may have changed, see MEDIAN"
        )
    return float(found[1]) * UNIT_MS[found[2]]


def command(job: dict, seconds: int) -> list[str]:
    """How ``benchmark_app`` is run: as our engine sets OpenVINO up, one request at a time."""
    setting = {
        "-m": job["model"],
        "-d": "CPU",
        "-api": "sync",
        "-nireq": 1,
        "-hint": "none",
        "-nstreams": 1,
        "-nthreads": job["threads"],
        "-infer_precision": "f32",
        "-t": seconds,
    }
    program = "from openvino.tools.benchmark.main import main; main()"
    return [sys.executable, "-c", program, *(str(word) for pair in setting.items() for word in pair)]


def _theirs(job: dict, seconds: int) -> float:
    try:
        done = subprocess.run(command(job, seconds), capture_output=True, text=True, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise EdgeferError(f"benchmark_app did not end within {PATIENCE_S} s") from None
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["it left no message"]
        raise EdgeferError(f"benchmark_app ended with code {done.returncode}: {last[0]}")
    return median_ms(done.stdout)


def _ours(job: dict, seconds: int, inside: list[float], calls: list[float]) -> None:
    with Worker(job) as worker:
        worker.start()
        worker.warm_up(WARM_S)
        told = worker.ask("run", seconds=seconds)
    inside.append(float(np.median(told["inside_ns"])) / 1e6)
    calls.append(float(np.median(told["ns"])) / 1e6)
