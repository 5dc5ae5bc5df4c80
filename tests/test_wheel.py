"""The wheel in a clean environment: only edgefer is in it, and it runs with numpy, one engine and OpenCV, without torch."""

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """A Python that has the wheel and what a device has."""
    folder = tmp_path_factory.mktemp("device")
    venv.create(folder, with_pip=True)
    path = folder / "bin" / "python"
    install = [path, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    constraints = ["--constraint", ROOT / "constraints.txt"]
    done = subprocess.run([*install, *constraints, f"{wheel}[litert,camera]"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path


def test_the_wheel_holds_edgefer_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"edgefer"}
    expected = {path.relative_to(ROOT / "runtime").as_posix() for path in (ROOT / "runtime" / "edgefer").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == expected


def test_the_page_is_in_it_and_what_npm_installs_is_not(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    page = {path.name for path in (ROOT / "runtime" / "web").iterdir() if path.is_file()}
    assert {name for name in names if name.startswith("edgefer/web/")} == {
        f"edgefer/web/{name}" for name in page - {"package.json", "package-lock.json"}
    }


def test_the_wheels_page_asks_for_litert(python, tmp_path):
    program = [python.with_name("edgefer"), "export-web", "--bundle", TINY, "--out", tmp_path / "page"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3 and "npm install @litertjs/core@" in done.stderr


def test_the_workshop_is_not_there(python, tmp_path):
    for name in ("torch", "train", "compress", "export", "nncf", "yaml", "onnxruntime"):
        done = subprocess.run([python, "-c", f"import {name}"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1 and "ModuleNotFoundError" in done.stderr, name


def test_it_runs(python, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed in range(3):
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
        cv2.imwrite(str(pictures / f"{seed}.png"), cv2.resize(coarse, (64, 64)))
    program = [python.with_name("edgefer"), "run", "--bundle", TINY, "--source", pictures, "--detector"]
    done = subprocess.run([*program, "none"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(line["faces"]) for line in found] == [1, 1, 1]
    haar = subprocess.run([*program, "haar"], cwd=tmp_path, capture_output=True, text=True)
    assert haar.returncode == 0, haar.stderr


def test_an_engine_it_does_not_have(python, tmp_path):
    program = [python.with_name("edgefer"), "run", "--bundle", TINY, "--source", TINY, "--engine", "onnxruntime"]
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64), np.uint8))
    program[5] = tmp_path
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3 and "pip install 'edgefer[onnxruntime]'" in done.stderr
