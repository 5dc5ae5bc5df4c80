"""What happens to a device in a year: frames that are none, a wheel turned back, a clock that jumps, memory over a long run."""

import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from edgefer import api, bundle, doctor
from edgefer.cli import main
from edgefer.sources import Options
from edgefer.sources.live import Live

TINY = Path(__file__).parent / "data" / "tiny"
EVERY_FILE = sorted(path.relative_to(TINY).as_posix() for path in TINY.rglob("*") if path.is_file())
ODD = {
    "no pixels": (np.zeros((0, 0, 3), np.uint8), "has no pixels"),
    "one row of nothing": (np.zeros((0, 640, 3), np.uint8), "has no pixels"),
    "16 bits": (np.zeros((48, 64), np.uint16), "uint8 grey levels, not uint16"),
    "float": (np.zeros((48, 64, 3)), "uint8 grey levels, not float64"),
    "none": (None, "a numpy array, not NoneType"),
    "four channels": (np.zeros((48, 64, 4), np.uint8), "must have shape"),
    "text": ("frame", "a numpy array, not str"),
}


@pytest.fixture(params=["none", "haar"])
def step(request):
    return api.Recogniser(TINY, detector=request.param).stepper(detect_every=3)


# --- frames ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image, told", ODD.values(), ids=ODD)
def test_a_frame_that_is_none_between_two_that_are(step, image, told):
    """Also where no detection is due, and the faces before it keep their tracks."""
    good = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    lines = [step(good, 0.0), step(image, 0.1), step(good, 0.2)]
    assert told in lines[1]["error"] and lines[1]["faces"] == []
    assert "error" not in lines[0] and "error" not in lines[2]
    assert [face["track"] for face in lines[0]["faces"]] == [face["track"] for face in lines[2]["faces"]]


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 1), (48, 64, 3), (1, 1, 3), (1, 4000, 3)], ids=str)
def test_frames_that_are_odd_but_frames(step, shape):
    line = step(np.full(shape, 77, np.uint8), 0.0)
    assert "error" not in line
    json.dumps(line, allow_nan=False)


def test_an_8k_frame(step):
    """33 megapixels; the picture is a view of one row, so that the test itself does not take 100 MB."""
    row = np.random.default_rng(0).integers(0, 256, (1, 7680, 3), np.uint8)
    assert "error" not in step(np.broadcast_to(row, (4320, 7680, 3)), 0.0)


def test_a_camera_that_changes_its_size(step):
    for i, shape in enumerate([(48, 64, 3), (96, 128, 3), (48, 64), (200, 20, 3)]):
        line = step(np.full(shape, 90, np.uint8), i / 10)
        assert "error" not in line
        for face in line["faces"]:
            assert face["box"][2:] == [shape[1], shape[0]]


# --- files -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "gone"])
@pytest.mark.parametrize("name", EVERY_FILE)
def test_every_file_of_a_bundle_is_missed_when_it_is_damaged(tmp_path, capsys, name, damage):
    """Whichever file an interrupted download or a worn SD card spoils, nothing runs and one sentence says which."""
    copy = Path(shutil.copytree(TINY, tmp_path / "bundle"))
    data = bytearray((copy / name).read_bytes())
    if damage == "gone":
        (copy / name).unlink()
    elif damage == "flipped":
        data[len(data) // 3] ^= 16
        (copy / name).write_bytes(data)
    else:
        (copy / name).write_bytes(data[: len(data) // 2] if damage == "truncated" else b"")
    code = main(["run", "--bundle", str(copy), "--source", "nowhere.mp4"])
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code == 6 and len(errors) == 1 and ("again" in errors[0] or "is not a bundle" in errors[0])
    assert Path(name).name in errors[0] or "SHA256SUMS" in errors[0] or "bundle.json" in errors[0]


DAMAGED = [("int8.tflite", 0.02), ("int8.tflite", 0.5), ("int8.tflite", 0.9), ("fp32.onnx", 0.3), ("fp32.onnx", 0.8)]


@pytest.mark.parametrize("name, position", DAMAGED)
def test_a_model_that_was_damaged_before_it_was_sealed_is_refused_or_caught(tmp_path, name, position):
    """With right hashes an engine may load a damaged file, and even crash by it: the doctor asks in a process of its own."""
    copy = Path(shutil.copytree(TINY, tmp_path / "bundle"))
    data = bytearray((copy / name).read_bytes())
    data[int(len(data) * position)] ^= 0x55
    (copy / name).write_bytes(data)
    bundle.seal(copy)
    manifest = json.loads((copy / "bundle.json").read_text())
    for artifact in manifest["artifacts"]:
        artifact["files"] |= {n: digest for n, digest in bundle.read_sums(copy).items() if n in artifact["files"]}
    engine, precision = ("litert", "int8") if name.endswith("tflite") else ("onnxruntime", "fp32")
    manifest["defaults"] |= {"engine": engine, "precision": precision}
    (copy / "bundle.json").write_text(json.dumps(manifest))
    bundle.seal(copy)
    assert doctor._examined("bundle", copy, [sys.executable]).status == doctor.OK, "its sums are right"
    found = doctor._examined("model", copy, [sys.executable])
    if found.status == doctor.OK:
        difference = np.abs(outputs(copy, engine, precision) - outputs(TINY, engine, precision)).max()
        assert difference < 2 / 256, "what is called ok computes the same"


def outputs(folder: Path, engine: str, precision: str) -> np.ndarray:
    running = api.Recogniser(folder, engine, precision, detector="none").classifier
    crops = np.random.default_rng(3).integers(0, 256, (20, 16, 16, 1), np.uint8)
    return np.stack([running.classify(crop) for crop in crops])


# --- time --------------------------------------------------------------------------------------------------------------------


def test_the_wall_clock_may_jump(monkeypatch):
    """An hour back, ten years on, between any two frames: times, tracks and smoothing are those of a quiet clock."""
    jumps = itertools.cycle([1.6e9, 1.9e9, 60.0, 1.7e9 - 3600])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    monkeypatch.setattr(time, "time_ns", lambda: int(next(jumps) * 1e9))

    class Capture:
        ends = True

        def __init__(self):
            self.left = 12

        def read(self):
            self.left -= 1
            return np.full((32, 32, 3), self.left, np.uint8) if self.left >= 0 else None

        def picture(self, raw):
            return raw

        def close(self):
            pass

    live = Live("camera", Capture, Options())
    recogniser = api.Recogniser(TINY, detector="none")
    step, lines = recogniser.stepper(), []
    for frame in live.frames():
        lines.append((frame.time, step(frame.image, frame.time)))
    times = [at for at, _ in lines]
    assert times == sorted(times) and times[0] == 0 and times[-1] < 3600
    assert {line["faces"][0]["track"] for _, line in lines} == {1}


def test_nothing_that_follows_faces_reads_the_wall_clock():
    """Whoever adds one finds this test: the time of day is for the health file and the doctor."""
    import edgefer

    root = Path(edgefer.__file__).parent
    users = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(word in path.read_text() for word in ("time.time(", "time_ns(", "datetime.now(", "utcnow"))
    }
    assert users <= {"doctor/system.py", "service/heartbeat.py"}


def test_a_files_own_times_may_go_back_without_harm(step):
    """A video joined from two begins anew in its middle."""
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    lines = [step(image, at) for at in (0.0, 0.1, 0.0, 0.1)]
    for line in lines:
        for face in line["faces"]:
            assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-4)


# --- a long run --------------------------------------------------------------------------------------------------------------

FRAMES, WARM = 10_000, 2_000
MOST_BYTES_A_FRAME = 256.0
"""Less than the smallest thing that could be kept of a frame, a crop of this bundle or a track. Not 0, because an allocator
takes another half megabyte now and then; in 30,000 frames it took none after the first 10,000."""
LONG_RUN = f"""
import json, sys
import numpy as np
from edgefer import api
from edgefer.faces import Face
from edgefer.loop import FrameLoop
from edgefer.sources import Frame

class People:
    name = "haar"
    def __init__(self):
        self.random = np.random.default_rng(0)
    def detect(self, frame):
        count = int(self.random.integers(0, 4))
        return [Face((*map(float, self.random.integers(0, 60, 2)), 40.0, 40.0), 1.0, "haar") for _ in range(count)]

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))

recogniser = api.Recogniser(sys.argv[1], engine=sys.argv[2])
loop = FrameLoop(People(), recogniser.classifier, True, 0.3, 2)
picture = np.random.default_rng(1).integers(0, 256, (100, 100, 3), np.uint8)
samples = []
for i in range({FRAMES}):
    image = np.roll(picture, i, axis=1) if i % 100 else None
    json.dumps(loop.step(Frame(i, "long", i / 25, image)))
    if i >= {WARM} and i % 250 == 0:
        samples.append((i, resident()))
print(json.dumps(samples))
"""
"""Faces come and go, so that tracks do; every hundredth frame is none."""


def test_memory_is_flat_over_ten_thousand_frames(capsys):
    done = subprocess.run([sys.executable, "-c", LONG_RUN, TINY, "litert"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    frames, resident = np.array(json.loads(done.stdout), float).T
    slope = np.polyfit(frames, resident, 1)[0]
    with capsys.disabled():
        print(f"\nmemory: {slope:+.2f} bytes a frame over {FRAMES - WARM} frames (allowed {MOST_BYTES_A_FRAME:.0f})")
    assert slope < MOST_BYTES_A_FRAME


def test_a_live_source_keeps_one_frame_however_slow_its_reader_is():
    """A thousand frames come while one is worked on: what is alive of them is one."""

    class Image(np.ndarray):
        """An array that can be watched."""

    alive, taken = set(), threading.Event()

    class Capture:
        ends, left = True, 1000

        def read(self):
            self.left -= 1
            if self.left < 0:
                return None
            assert self.left == 999 or taken.wait(60)
            image = np.zeros((8, 8), np.uint8).view(Image)
            alive.add(self.left)
            weakref.finalize(image, alive.discard, self.left)
            return image

        def picture(self, raw):
            return raw

        def close(self):
            pass

    live = Live("camera", Capture, Options())
    frames = live.frames()
    first = next(frames)
    taken.set()
    live._thread.join(60)
    assert len(alive) <= 2, "the one in work and the newest"
    last = next(frames)
    assert last.index == 999 and first.index + 1 + last.dropped == 999


def test_a_folder_is_independent_images(tmp_path):
    """Neither tracks nor smoothing nor a missing frame's error reach from one image to the next."""
    import cv2

    for i in range(3):
        coarse = np.random.default_rng(i).integers(0, 256, (5, 5, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.png"), cv2.resize(coarse, (64, 48)))
    together = [line for line, _ in api.watch(TINY, str(tmp_path), detector="none")]
    for i, line in enumerate(together):
        ((alone, _),) = api.watch(TINY, str(tmp_path / f"{i}.png"), detector="none")
        assert alone["faces"] == line["faces"] and line["faces"][0]["track"] is None and line["dropped"] == 0
