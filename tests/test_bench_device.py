"""The device's own benchmarks: what they count, and that they run. No figure is judged here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import flicker, thin

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny"


def line(at: float, *faces: tuple[int, str]) -> dict:
    return {"time_s": at, "faces": [{"track": track, "label": label} for track, label in faces]}


def test_changes_are_counted_within_a_track_only():
    lines = [
        line(0.0, (1, "fear"), (2, "anger")),
        line(0.5, (1, "anger")),
        line(1.0, (1, "anger"), (2, "fear")),
        line(1.5, (3, "fear")),
    ]
    found = flicker.measured(lines)
    assert (found["faces"], found["tracks"], found["changes"], found["seconds"]) == (6, 3, 2, 2.0)
    assert found["changes_per_s"] == 1.0
    alone = flicker.measured([line(0.0)])
    assert alone["changes_per_s"] is None
    head = {"video": "v", "artifact": "a", "detector": "none", "detect_every": 1}
    assert "–" in flicker.told({**head, "by_constant": [{"smooth_s": 0.0, **alone}]})


def test_verdicts():
    assert thin._judged("peak_mb", [50, 60, 70])["verdict"] == "pass"
    assert thin._judged("peak_mb", [60, 70, 80])["verdict"] == "inconclusive"
    assert thin._judged("peak_mb", [65, 70, 80])["verdict"] == "fail"
    assert thin._judged("import_s", [0.4, 0.5], busy=True)["verdict"] == "inconclusive"


def test_thin_runs_and_its_memory_is_the_commands_own(tmp_path):
    video = str(tmp_path / "small.avi")
    writer = cv2.VideoWriter(video, cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for level in range(5):
        writer.write(np.full((48, 64, 3), 40 * level, np.uint8))
    writer.release()
    command = [sys.executable, "-m", "benchmarks.thin", "--bundle", TINY, "--repeats", "1", "--video", video]
    command += ["--json", tmp_path / "thin.json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1, 4), done.stderr  # a busy machine is slow, and that is no matter here
    value = json.loads((tmp_path / "thin.json").read_text())["metrics"]
    assert value.keys() == thin.BUDGETS.keys()
    assert 30 < value["peak_mb"]["median"] < value["peak_opencv_mb"]["median"] < 200
    for name in ("import_s", "first_answer_s"):
        assert value[name]["median"] > 0 and value[name]["processor_s"] > 0


def test_thin_says_when_the_command_fails(tmp_path):
    command = [sys.executable, "-m", "benchmarks.thin", "--bundle", tmp_path, "--repeats", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (
        done.returncode == 70 and "edgefer run ended with 6: error: " in done.stderr and "Traceback" not in done.stderr
    )


def test_smoothing_takes_flicker_away(monkeypatch):
    """On the shared clip: fewer changes with every longer constant, and the same tracks throughout."""
    video = Path(os.environ.get("EDGEFER_DATA", "nowhere")) / flicker.VIDEO
    if not video.is_file():
        pytest.skip("EDGEFER_DATA has no one-face.mp4")
    monkeypatch.setattr(flicker, "CONSTANTS_S", (0.0, 2.0))
    plain, smoothed = flicker.run(str(TINY), str(video), 24, detector="haar", precision="fp32")["by_constant"]
    assert plain["changes"] > smoothed["changes"]
    assert (plain["tracks"], plain["faces"]) == (smoothed["tracks"], smoothed["faces"])
