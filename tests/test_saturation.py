"""The study of int8 on CPUs without VNNI: the same file answers here and on an emulated older CPU."""

import platform
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgefer.bundle import load
from edgefer.errors import BudgetBroken
from export import saturation
from export.saturation import Row

TINY = Path(__file__).parent / "data" / "tiny"


@pytest.fixture
def crops(tmp_path) -> Path:
    shape = load(TINY).spec.crop_shape[1:]
    np.save(tmp_path / "crops.npy", np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8))
    return tmp_path / "crops.npy"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="runs this machine's own wheels on an older x86-64 CPU")
def test_an_older_cpu_answers(crops, tmp_path):
    if not shutil.which(saturation.QEMU):
        pytest.skip(f"needs {saturation.QEMU}: apt-get install qemu-user-static")
    model = TINY / "fp32.tflite"
    here = saturation.answers("litert", model, crops, tmp_path / "a.npy")
    there = saturation.answers("litert", model, crops, tmp_path / "b.npy", saturation.CPU)
    assert here.shape == (3, len(load(TINY).spec.labels))
    assert np.abs(here - there).max() < 1e-4
    with pytest.raises(BudgetBroken, match="litert stopped on core2duo"):
        saturation.answers("litert", model, crops, tmp_path / "c.npy", "core2duo")


def test_table_names_what_differs():
    rows = [
        Row("onnxruntime", False, "Haswell", None, 0.168, 0.2951, 0.97),
        Row("litert", None, "Haswell", 0.2, 0.01, 0.001, 0.0),
    ]
    told = saturation.table(rows).splitlines()
    assert told[2] == "| onnxruntime | no | Haswell | – | 16.80% | 0.2951 | 0.97 |"
    assert told[3] == "| litert | – | Haswell | +0.20 | 1.00% | 0.0010 | 0 |"


def test_no_crops_are_refused(program):
    done = program("export.saturation", "--checkpoint", "nowhere", "--crops", "0")
    assert done.returncode == 2 and "at least one is needed" in done.stderr
