"""``python -m benchmarks.finding``: what finding a face costs, by the bundle's own finder, YuNet and Haar, in one run.

Frame to label with every frame searched comes first, in a process of its own that must not have loaded OpenCV. Then each
detector is loaded in this process; rounds of some frames each take turns, so that a disturbance meets all alike. "twice"
is the bundle's own where every face that can be seen larger is in doubt, and so looked at again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgefer import bundle, choose, detectors, errors
from edgefer.classifier import Classifier
from edgefer.commands import note
from edgefer.detectors.own import Own
from edgefer.errors import exit_with
from edgefer.files import write_json
from edgefer.loop import FrameLoop
from edgefer.sources import Frame

ROUNDS, FRAMES = 15, 10
FRAME_S = 1 / 30


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finding", description=__doc__)
    parser.add_argument("--bundle", required=True, type=Path, metavar="DIR")
    parser.add_argument("--engine", help="default: the bundle's own")
    parser.add_argument("--precision", help="default: the bundle's own")
    parser.add_argument("--threads", type=int, help="default: the bundle's own")
    parser.add_argument(
        "--frames", type=Path, help="frames to use, a .npy of uint8 (N, H, W, 3) (default: synthetic, 640×480)"
    )
    parser.add_argument(
        "--yunet", default=os.environ.get(detectors.VARIABLE), help=f"YuNet's file (default: {detectors.VARIABLE})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, with every sample, to FILE")
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)  # this program in a process of its own
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.whole:
        print(json.dumps(whole(args)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        if args.frames is None:
            from train.data import synthetic

            args.frames = Path(folder) / "frames.npy"
            np.save(args.frames, synthetic.frames(FRAMES, 6)[0])
        label = _apart(args)  # first: engines loaded in this process would have threads that disturb the other
        result = {"detect_ms": detecting(args), "frame_to_label": label}
    for name, figures in result["detect_ms"].items():
        print(f"{name:6} {figures['median']:7.3f} ms a frame (best {figures['best']:.3f})")
    print(
        f"frame to label {label['fps']:.0f} frames/s (best {label['best_fps']:.0f}), OpenCV loaded: {label['opencv']}"
    )
    if args.json:
        write_json(args.json, result)
    return 0


def _chosen(args: argparse.Namespace) -> tuple[bundle.Bundle, choose.Choice]:
    opened = bundle.load(args.bundle)
    return opened, choose.choice(opened, args.engine, args.precision, args.threads, note)


def detecting(args: argparse.Namespace) -> dict:
    """Milliseconds a frame of every detector that is there: median and best of all, and the samples."""
    opened, choice = _chosen(args)
    frames = np.load(args.frames, allow_pickle=False)
    own = detectors.load("own", own=opened.finder_model(*choice))
    there = {"own": own, "haar": detectors.load("haar")}
    if own.spec.doubt is not None:
        there["twice"] = Own(own.engine, replace(own.spec, threshold=1.0))
    if args.yunet:
        there["yunet"] = detectors.load("yunet", args.yunet)
    samples = {name: [] for name in there}
    for number in range(ROUNDS + 1):
        for name, detector in there.items():
            taken = [_ms(detector.detect, frame) for frame in frames[:FRAMES]]
            samples[name] += taken if number else []  # the first round warms up
    return {
        name: {"median": float(np.median(taken)), "best": min(taken), "samples": taken}
        for name, taken in samples.items()
    }


def whole(args: argparse.Namespace) -> dict:
    """Frame to label by the bundle's own finder, every frame searched; says whether OpenCV came to be loaded."""
    opened, choice = _chosen(args)
    detector = detectors.load("own", own=opened.finder_model(*choice))
    loop = FrameLoop(detector, Classifier(opened, *choice), moving=True)
    frames = np.load(args.frames, allow_pickle=False)
    samples, faces = [], 0
    for number in range(FRAMES * (ROUNDS + 1)):
        frame = Frame(number, "recorded", number * FRAME_S, frames[number % len(frames)])
        start = time.perf_counter()
        line = loop.step(frame)
        if number >= FRAMES:
            samples.append(1000 * (time.perf_counter() - start))
            faces += len(line["faces"])
    typical, best = float(np.median(samples)), float(np.percentile(samples, 5))
    return {
        "ms": typical,
        "fps": 1000 / typical,
        "best_fps": 1000 / best,
        "faces_a_frame": faces / len(samples),
        "opencv": "cv2" in sys.modules,
        "samples": samples,
    }


def _apart(args: argparse.Namespace) -> dict:
    command = [
        sys.executable,
        "-m",
        "benchmarks.finding",
        "--whole",
        "--bundle",
        str(args.bundle),
        "--frames",
        str(args.frames),
    ]
    for name in ("engine", "precision", "threads"):
        command += [f"--{name}", str(getattr(args, name))] if getattr(args, name) else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise errors.of(done.returncode)(errors.last_words(done.stderr).removeprefix("error: "))
    return json.loads(done.stdout)


def _ms(work, *told) -> float:
    start = time.perf_counter()
    work(*told)
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(exit_with(main))
