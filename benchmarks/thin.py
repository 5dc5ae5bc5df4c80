"""How thin the runtime is: time to import it, time to a first answer, and peak memory of the whole command, in fresh processes.

    python -m benchmarks.thin --bundle build/bundles/i7 [--video clip.mp4] [--json FILE]

``run.py`` measures one model in a bare worker; this is ``edgefer run`` as a device runs it: bundle with its hashes, source,
detector, loop, lines. Beside the times stands the processor's, which waiting for others does not lengthen. Exit code 0 when the
budgets hold, 1 when one is broken in every run, 4 when the median breaks one and some run holds it, or the machine was busy.
"""

import argparse
import json
import os
import resource
import statistics as std
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgefer.errors import BROKEN, INCONCLUSIVE, PASS, EdgeferError, UsageError, exit_with
from edgefer.files import write_json

BUDGETS = {"import_s": 0.3, "first_answer_s": 0.5, "peak_mb": 64.0, "peak_opencv_mb": 120.0}
"""Largest value of each metric: seconds; MB are 10⁶ bytes."""
REPEATS = 7
WIDTH, HEIGHT, FRAMES = 640, 480, 60
BUSY = 0.5
"""Load of the machine per core, before the start, above which a long time says nothing."""
IMPORT = (
    "import time; a, b = time.perf_counter(), time.process_time(); import edgefer.api, edgefer.cli; "
    "print(time.perf_counter() - a, time.process_time() - b)"
)
RAW = ("--source", "-", "--size", f"{WIDTH}x{HEIGHT}", "--pixels", "rgb24", "--detector", "none")
COMMAND = """
import sys
from edgefer.cli import main
code = main(sys.argv[1:])
with open("/proc/self/status") as file:
    print(next(line for line in file if line.startswith("VmHWM:")), end="", file=sys.stderr)
sys.exit(code)
"""
"""The command, and the high-water mark of its memory as its last word."""
SCENE = """
import sys, cv2, numpy as np
path, width, height, frames = sys.argv[1], *map(int, sys.argv[2:])
still = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8), (width, height))
writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25, (width, height))
for i in range(frames):
    writer.write(np.roll(still, 3 * i, axis=1))
writer.release()
"""


def import_s() -> tuple[float, float]:
    """Seconds of importing the runtime, the interpreter's own start not counted: of the clock, and of the processor."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    wall, processor = map(float, done.stdout.split())
    return wall, processor


def one_frame_s(bundle: str, engine: str, frames: Path) -> float:
    """The processor's seconds of a whole run over one frame."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    flags = [*RAW, "--engine", engine]
    with frames.open("rb") as file, _started(bundle, flags, stdin=subprocess.PIPE) as process:
        process.communicate(file.read(WIDTH * HEIGHT * 3))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def raw_run(bundle: str, engine: str, frames: Path) -> tuple[float, float]:
    """Raw frames without OpenCV: seconds from starting the process to its first line, and its peak in MB."""
    flags = [*RAW, "--engine", engine]
    begin = time.perf_counter()
    with frames.open("rb") as file, _started(bundle, flags, stdin=file) as process:
        first = process.stdout.readline()
        answered = time.perf_counter() - begin
        _, told = process.communicate()
    return answered, _peak_mb(process, first, told)


def video_run(bundle: str, engine: str, video: str) -> float:
    """A video with the detector that the command chooses: peak in MB."""
    with _started(bundle, ["--engine", engine, "--source", video, "--detect-every", "5"]) as process:
        out, told = process.communicate()
    return _peak_mb(process, out, told)


def _started(bundle: str, flags: list[str], **how) -> subprocess.Popen:
    command = [sys.executable, "-c", COMMAND, "run", "--bundle", bundle, *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def _peak_mb(process: subprocess.Popen, out: bytes, told: bytes) -> float:
    *before, last = ["it left no message", *told.decode(errors="replace").strip().splitlines()]
    if process.returncode or not last.startswith("VmHWM:"):
        raise EdgeferError(f"edgefer run ended with {process.returncode}: {(before or [last])[-1]}")
    if not json.loads(out.splitlines()[0])["source"]:
        raise EdgeferError("edgefer run wrote no line")
    return int(last.split()[1]) * 1024 / 1e6


def measure(bundle: str, engine: str, video: str | None, repeats: int) -> dict:
    """``{metric: {values, median, budget, verdict}}``, times with ``processor_s``; verdict: pass, fail or inconclusive."""
    found: dict[str, list[float]] = {name: [] for name in BUDGETS}
    processor: dict[str, list[float]] = {"import_s": [], "first_answer_s": []}
    busy = os.getloadavg()[0] / os.cpu_count() > BUSY
    with tempfile.TemporaryDirectory() as folder:
        frames, video = _recorded(Path(folder), video)
        for _ in range(repeats):
            wall, own = import_s()
            found["import_s"].append(wall)
            processor["import_s"].append(own)
            processor["first_answer_s"].append(one_frame_s(bundle, engine, frames))
            answered, peak = raw_run(bundle, engine, frames)
            found["first_answer_s"].append(answered)
            found["peak_mb"].append(peak)
            found["peak_opencv_mb"].append(video_run(bundle, engine, video))
    rows = {name: _judged(name, values, busy and name in processor) for name, values in found.items()}
    return {name: row | _processor(processor.get(name)) for name, row in rows.items()}


def _processor(values: list[float] | None) -> dict:
    return {"processor_s": std.median(values)} if values else {}


def _recorded(folder: Path, video: str | None) -> tuple[Path, str]:
    """Raw frames, and a video where none is named; what made them is not in a process that is measured."""
    frames = folder / "frames.rgb"
    frames.write_bytes(os.urandom(WIDTH * HEIGHT * 3) * FRAMES)
    if video:
        return frames, video
    made = str(folder / "scene.avi")
    subprocess.run([sys.executable, "-c", SCENE, made, *map(str, (WIDTH, HEIGHT, FRAMES))], check=True)
    return frames, made


def _judged(name: str, values: list[float], busy: bool = False) -> dict:
    median, budget = std.median(values), BUDGETS[name]
    verdict = "pass" if median <= budget else "inconclusive" if busy or min(values) <= budget else "fail"
    return {"values": values, "median": median, "budget": budget, "verdict": verdict}


def told(metrics: dict) -> str:
    """A table for a person."""
    rows = [f"{'':<16} {'median':>8} {'least':>8} {'most':>8} {'budget':>8} {'processor':>10}"]
    for name, row in metrics.items():
        numbers = (row["median"], min(row["values"]), max(row["values"]), row["budget"])
        own = f"{row['processor_s']:.2f} s" if "processor_s" in row else ""
        rows.append(
            f"{name:<16} " + " ".join(f"{number:>8.3g}" for number in numbers) + f" {own:>10}  {row['verdict']}"
        )
    return "\n".join(rows)


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.thin", description="How thin the runtime is.")
    parser.add_argument("--bundle", required=True, metavar="DIR")
    parser.add_argument("--engine", default="litert", help="default: %(default)s, which the budgets are about")
    parser.add_argument("--video", metavar="FILE", help="default: a made-up one, 640×480")
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N")
    parser.add_argument("--json", metavar="FILE", help="write what was measured to FILE")
    args = parser.parse_args()
    if args.repeats < 1:
        raise UsageError(f"--repeats must be at least 1, not {args.repeats}")
    metrics = measure(args.bundle, args.engine, args.video, args.repeats)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    print(
        f"{told(metrics)}\n{args.repeats} runs of each, {args.engine}; load of the machine {load}, {os.cpu_count()} cores"
    )
    if args.json:
        write_json(Path(args.json), {"engine": args.engine, "load": load, "metrics": metrics})
    verdicts = {row["verdict"] for row in metrics.values()}
    return BROKEN if "fail" in verdicts else INCONCLUSIVE if "inconclusive" in verdicts else PASS


if __name__ == "__main__":
    sys.exit(exit_with(_main))
