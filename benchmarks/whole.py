"""The whole way, frame to label: detector, alignment, network and smoothing, by edgefer's own frame loop on recorded frames.

Frames are decoded beforehand. First they are processed one after the other as fast as they go, which gives the throughput; then
they come at a camera's pace, which gives the age of a result and how many frames are dropped (``benchmarks.camera``).
"""

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import camera
from edgefer import bundle, detectors
from edgefer.bundle import Bundle
from edgefer.classifier import Classifier
from edgefer.loop import FrameLoop
from edgefer.sources import Frame, open_source
from edgefer.targets import Target

VIDEO = "one-face.mp4"
VIDEO_FRAMES, SYNTHETIC_FRAMES, SYNTHETIC_SEED = 100, 40, 5
PACE_S = 1 / 25
"""Time from frame to frame that the tracker and the smoothing are told."""
WARM_FRAMES = 3
LIMIT_S = 5
"""A slow detector gets fewer frames, not more time."""


@dataclass(frozen=True)
class Frames:
    """Recorded frames."""

    path: Path
    """.npy file: uint8 (N, H, W, 3) RGB."""
    source: str


def choose_frames(data: str | None, folder: Path) -> Frames:
    """The first frames of the video ``one-face.mp4`` where the data folder has it, otherwise synthetic scenes with one face."""
    root = None if data == "synthetic" else data or os.environ.get("EDGEFER_DATA")
    video = Path(root) / VIDEO if root else None
    if video and video.is_file():
        frames = np.stack([frame.image for frame in itertools.islice(open_source(str(video)).frames, VIDEO_FRAMES)])
        source = f"{VIDEO}, its first {len(frames)} frames"
    else:
        from train.data import synthetic

        frames, _ = synthetic.frames(SYNTHETIC_FRAMES, SYNTHETIC_SEED)
        source = f"{len(frames)} synthetic frames, seed {SYNTHETIC_SEED}"
    np.save(folder / "frames.npy", frames, allow_pickle=False)
    return Frames(folder / "frames.npy", f"{source}, {frames.shape[2]}×{frames.shape[1]}")


def job(opened: Bundle, target: Target, frames: Frames) -> dict:
    """What a worker is told: see ``run``."""
    return {
        "kind": "pipeline",
        "bundle": str(opened.folder.resolve()),
        "engine": target.engine,
        "precision": target.precision,
        "threads": target.threads,
        "frames": str(frames.path),
        "yunet": os.environ.get(detectors.VARIABLE),
    }


def run(told: dict) -> dict:
    """In the worker: time each frame on its way to its labels.

    Returns:
        detector: name; ns: of each counted frame; faces: found in each; camera: see ``benchmarks.camera.paced``.
    """
    frames = np.load(told["frames"], allow_pickle=False)
    opened = bundle.load(told["bundle"], verify=False)
    own = opened.finder_model(told["engine"], told["precision"], told["threads"])
    detector = detectors.load("own" if own else "yunet" if told["yunet"] else "haar", told["yunet"], own)
    loop = FrameLoop(detector, Classifier(opened, told["engine"], told["precision"], told["threads"]), moving=True)
    ns, faces, end = [], [], None
    for index, image in enumerate(itertools.chain(frames[:WARM_FRAMES], frames)):
        if index == WARM_FRAMES:
            end = time.perf_counter() + LIMIT_S
        start = time.perf_counter_ns()
        line = loop.step(Frame(index, "recorded", index * PACE_S, image))
        if index >= WARM_FRAMES:
            ns.append(time.perf_counter_ns() - start)
            faces.append(len(line["faces"]))
        if end and time.perf_counter() > end:
            break
    begun = len(frames) + WARM_FRAMES

    def step(number: int) -> dict:
        at = begun * PACE_S + number / camera.FPS
        return loop.step(Frame(begun + number, "camera", at, frames[number % len(frames)]))

    return {"detector": detector.name, "ns": ns, "faces": faces, "camera": camera.paced(step)}


def note(run_: dict) -> str:
    """What the throughput covers."""
    found = sum(1 for faces in run_["faces"] if faces)
    counted = f"detector {run_['detector']} (a face in {found} of {len(run_['ns'])} frames)"
    return f"{counted}, alignment, network, smoothing; as fast as frames go"


def camera_note(runs: list[dict]) -> str:
    """What the age covers."""
    worst = 1000 * max(age for run_ in runs for age in run_["camera"]["age_s"])
    return f"from a frame's coming to its labels, {camera.FPS} frames/s, the newest wins; oldest result {worst:.0f} ms"
