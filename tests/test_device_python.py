"""What a device really has: tflite-runtime with numpy 1 in a Python of its own, and the loop in a Raspberry Pi 4's userland."""

import json
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from edgefer import bundle, doctor, golden, targets

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny"
OLD = ("numpy<2", "tflite-runtime==2.14.0", "opencv-python-headless==4.11.0.86")
"""The last tflite-runtime knows numpy 1 only, and this is the newest OpenCV that accepts it."""
SIZE, FRAMES = (64, 48), 20


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    """Raw frames in which something moves: rgb24, 64×48."""
    coarse = np.random.default_rng(5).integers(0, 256, (8, 8, 3), np.uint8)
    still = coarse.repeat(6, 0).repeat(8, 1)
    path = tmp_path_factory.mktemp("raw") / "frames.rgb"
    path.write_bytes(b"".join(np.roll(still, i, axis=1).tobytes() for i in range(FRAMES)))
    return path


def lines(python: list[str], frames: Path, *more: str, environment: dict | None = None) -> tuple[list[dict], str]:
    """What ``edgefer run`` in that Python says of the raw frames, and what it says beside."""
    size = f"{SIZE[0]}x{SIZE[1]}"
    command = [*python, "-m", "edgefer", "run", "--bundle", TINY, "--source", "-", "--size", size, "--pixels", "rgb24"]
    command += ["--detector", "none", *more]
    with frames.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def differences(found: list[dict], wanted: list[dict]) -> float:
    """Largest difference of two runs' probabilities; everything else of their lines is the same."""
    worst = 0.0
    for a, b in zip(found, wanted, strict=True):
        (face,), (other,) = a["faces"], b["faces"]
        mine, theirs = face.pop("probabilities"), other.pop("probabilities")
        worst = max(worst, *(abs(mine[name] - theirs[name]) for name in theirs))
        assert a == b
    return worst


# --- tflite-runtime ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    """A Python with tflite-runtime, made from the package index."""
    if sys.version_info[:2] != (3, 11) or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("tflite-runtime 2.14.0 has wheels up to Python 3.11 only")
    folder = tmp_path_factory.mktemp("old")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", *OLD]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs the package index: {done.stderr.strip().splitlines()[-1][:150]}")
    return python


@pytest.fixture
def alone() -> dict:
    """Environment in which that Python sees edgefer and nothing of this one."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "runtime")}


def test_tflite_runtime_replays_the_golden_vectors(old, alone):
    program = (
        "import sys, json; from edgefer import bundle, golden, engines; b = bundle.load(sys.argv[1]); "
        "e = engines.load('litert', b.model_path('litert', 'fp32'));"
        "print(json.dumps([e.details['engine'], *[golden.check(b, 'litert', p, 1) for p in ('fp32', 'int8')]]))"
    )
    done = subprocess.run([old, "-c", program, TINY], capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["tflite-runtime 2.14.0", [], []]


def test_tflite_runtime_says_what_this_engine_says(old, alone, frames):
    for precision in bundle.PRECISIONS:
        more = ("--engine", "litert", "--precision", precision, "--detect-every", "3")
        found, _ = lines([str(old)], frames, *more, environment=alone)
        wanted, _ = lines([sys.executable], frames, *more)
        tolerance = golden.FP32_TOLERANCE if precision == "fp32" else golden.INT8_TOLERANCE
        assert len(found) == FRAMES and differences(found, wanted) <= tolerance


def test_haar_works_with_the_opencv_that_fits_it(old, alone, tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    command = [old, "-m", "edgefer", "run", "--bundle", TINY, "--source", tmp_path / "a.png", "--detector", "haar"]
    done = subprocess.run(command, capture_output=True, text=True, env=alone)
    assert done.returncode == 0 and json.loads(done.stdout)["source"].endswith("a.png"), done.stderr


def test_the_doctor_knows_that_tflite_runtime_and_numpy_2_do_not_go_together(old, alone, tmp_path, monkeypatch):
    """A real break of numpy's ABI: this Python's numpy 2 before that one's numpy 1."""
    if np.__version__.startswith("1."):
        pytest.skip("this Python has numpy 1 itself")
    monkeypatch.setenv("PYTHONPATH", alone["PYTHONPATH"])
    assert doctor._examined("engine litert", None, [str(old)]).status == doctor.OK
    assert doctor._examined("model", TINY, [str(old)]).status == doctor.OK
    for name in ("numpy", "numpy.libs"):
        if (Path(np.__file__).parents[1] / name).is_dir():
            (tmp_path / name).symlink_to(Path(np.__file__).parents[1] / name)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{alone['PYTHONPATH']}")
    for check, folder in (("engine litert", None), ("model", TINY)):
        found = doctor._examined(check, folder, [str(old)])
        assert found.status == doctor.BROKEN and "built for another numpy" in found.told, found
        assert "numpy<2" in found.remedy


# --- a Raspberry Pi 4 --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pi4(arm_root) -> list[str]:
    """The command that starts Python on an emulated Cortex-A72, with the wheels a Pi would install."""
    from benchmarks.reach import arm_root as making

    paths = f"{ROOT / 'runtime'}:{arm_root / 'site'}"
    options = ["-cpu", "cortex-a72", "-L", str(arm_root / "cortex-a72"), "-E", f"PYTHONPATH={paths}"]
    return [targets.QEMU, *options, str(making.python(arm_root))]


@pytest.mark.parametrize("engine, precision", [("litert", "int8"), ("onnxruntime", "fp32")])
def test_the_loop_on_a_pi_4_says_what_it_says_here(pi4, frames, engine, precision):
    """The whole command on the CPU of a Pi: bundle with its hashes, raw frames, tracks, smoothing, lines.

    That every artifact of the default bundle computes there what was exported is shown in test_bench_reach.py.
    """
    more = ("--engine", engine, "--precision", precision)
    found, told = lines(pi4, frames, *more)
    wanted, _ = lines([sys.executable], frames, *more)
    tolerance = golden.FP32_TOLERANCE if precision == "fp32" else golden.INT8_TOLERANCE
    assert len(found) == FRAMES and f"{engine} {precision}" in told
    assert [line["faces"][0]["track"] for line in found] == [1] * FRAMES
    assert differences(found, wanted) <= tolerance


def test_the_doctor_on_a_pi_4(pi4):
    for check in ("cpu", "wheels", "model"):
        found = doctor._examined(check, TINY, pi4)
        assert found.status == doctor.OK, found
