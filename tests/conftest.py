"""What several tests share. Tests of real data skip, and say so, where FER+ is not found."""

import csv
import os
import runpy
import shutil
import signal
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from device_fixtures import arm_pi, binfmt, phone, sshd  # noqa: F401  fixtures
from web_fixtures import (  # noqa: F401  fixtures
    browser,
    camera_clip,
    chromium,
    launch,
    litert_web,
    page_files,
    page_server,
    shared_page,
    web_bundle,
)

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "train/checkpoints/efficientface"

signal.signal(signal.SIGINT, signal.default_int_handler)
"""Started with it ignored, as a shell starts what runs in the background, tests' own programs would inherit that."""


@pytest.fixture
def program(monkeypatch, capfd):
    """``program(module, *arguments)``: what ``python -m module`` does, in this process: its exit code, stdout and stderr.

    For what ends in one sentence: a new process would spend seconds on importing torch.
    """

    def call(module: str, *arguments) -> subprocess.CompletedProcess:
        monkeypatch.setattr("sys.argv", [module, *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop, warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* found in sys.modules")  # a test imports what it runs
            runpy.run_module(module, run_name="__main__")
        return subprocess.CompletedProcess(arguments, stop.value.code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def ferplus_data() -> str:
    """Folder with FER+, from EDGEFER_DATA."""
    from train.data import ferplus

    if ferplus.find() is None:
        pytest.skip("FER+ is not here: set EDGEFER_DATA to a folder that holds it")
    return os.environ["EDGEFER_DATA"]


@pytest.fixture(scope="session")
def checkpoint_folder() -> Path:
    """The default network's shipped checkpoint."""
    return CHECKPOINT


@pytest.fixture(scope="session")
def shipped():
    """What is in it: (network, ModelSpec)."""
    from train import checkpoint

    return checkpoint.load(CHECKPOINT)


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory) -> Path:
    """The default bundle of target i7, built without any data, as a newcomer's is."""
    from edgefer import targets
    from export import build

    folder = tmp_path_factory.mktemp("bundles") / "i7"
    return build.bundle(CHECKPOINT, targets.get("i7"), "synthetic", folder)


def write_ferplus(root: Path) -> Path:
    """FER+'s published layout with made-up faces, one grey level a class: 80 rows to train on, 24 to validate on."""
    rng = np.random.default_rng(0)
    for folder, count in {"FER2013Train": 80, "FER2013Valid": 24}.items():
        (root / folder).mkdir(parents=True)
        with (root / folder / "label.csv").open("w", newline="") as file:
            for i in range(count):
                votes = [10 if k == i % 8 else 0 for k in range(10)]
                image = np.clip(rng.normal(40 + 25 * (i % 8), 20, (48, 48)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / folder / f"fer{i:07}.png"), image)
                csv.writer(file).writerow([f"fer{i:07}.png", "(0, 0, 48, 48)", *votes])
    return root


@pytest.fixture
def tiny_ferplus(tmp_path) -> Path:
    """A small FER+ of the test's own, to damage."""
    return write_ferplus(tmp_path / "data")


@pytest.fixture(scope="session")
def small_ferplus(tmp_path_factory) -> Path:
    """A small FER+ that no test changes."""
    return write_ferplus(tmp_path_factory.mktemp("ferplus") / "data")


@pytest.fixture(scope="session")
def arm_root(tmp_path_factory) -> Path:
    """An arm64 root: the one that EDGEFER_ARM_ROOT names, the checkout's, or a new one."""
    from edgefer import targets
    from edgefer.errors import EnvironmentInvalid

    if not shutil.which(targets.QEMU):
        pytest.skip("needs QEMU: apt-get install qemu-user-static")
    for folder in (Path(os.environ.get("EDGEFER_ARM_ROOT", "nowhere")), ROOT / "build" / "arm"):
        if folder.is_dir():
            return folder.resolve()
    from benchmarks.reach import arm_root

    folder = tmp_path_factory.mktemp("arm") / "root"
    try:
        arm_root.make(folder)
    except EnvironmentInvalid as error:
        pytest.skip(f"needs an arm64 root, which cannot be made here: {error}")
    return folder


@pytest.fixture(scope="session")
def untrained(shipped, tmp_path_factory):
    """``untrained(**changes)``: folder of an untrained MicroExpNet's checkpoint, with the shipped ModelSpec so changed."""
    import torch

    from train import checkpoint, models

    def made(**changes) -> Path:
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("untrained")
        spec = replace(shipped[1], system="microexpnet", options={}, **changes)
        checkpoint.save(folder, models.build("microexpnet", 8, 1), spec)
        return folder

    return made


@pytest.fixture
def few_faces(monkeypatch):
    """``few_faces(train, valid, calibration, tuning)``: so many synthetic faces instead of thousands."""
    from compress import calibration as crops
    from train.data import drawn

    def set_to(train: int, valid: int, calibration: int, tuning: int) -> None:
        monkeypatch.setitem(drawn.FACES, "train", train)
        monkeypatch.setitem(drawn.FACES, "valid", valid)
        monkeypatch.setattr(crops, "CALIBRATION_CROPS", calibration)
        monkeypatch.setattr(crops, "TUNING_SYNTHETIC", tuning)

    return set_to
