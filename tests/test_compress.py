"""Quantisation: the same crops for every format, remedies in order, the plan travels with the checkpoint."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from compress import calibration, plan
from compress.convert import write_litert
from compress.quantize import litert_moves, litert_quantize, remedies
from compress.toollog import tool_output
from edgefer import engines, parity


def test_overflow_fix_unless_the_target_declares_vnni():
    assert all(p.overflow_fix for p in remedies(vnni=False))
    assert not any(p.overflow_fix for p in remedies(vnni=True))
    assert remedies(False)[0].name == "plain"


def test_calibration_without_data_is_reproducible(shipped):
    _, spec = shipped
    first, again = calibration.collect(spec, "synthetic"), calibration.collect(spec, "synthetic")
    assert first.sha256 == again.sha256
    assert first.crops.shape == (calibration.CALIBRATION_CROPS, spec.input_size, spec.input_size, spec.channels)
    assert first.tuning_labels is None
    assert "synthetic" in first.source


def test_calibration_with_data_keeps_tuning_faces_apart(shipped, ferplus_data):
    _, spec = shipped
    faces = calibration.collect(spec, ferplus_data)
    tuning = {crop.tobytes() for crop in faces.tuning}
    # not none: FER2013 itself holds some pictures twice, under two names
    assert sum(crop.tobytes() in tuning for crop in faces.crops) <= 0.02 * len(faces.crops)
    assert len(faces.tuning) == len(faces.tuning_labels) > 2000


def test_trials_survive_their_file():
    trial = plan.Trial(remedies(False)[1], parity.paired(np.zeros(5), np.zeros(5)), ("broken",))
    assert plan.Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial


def test_remedies_are_tried_in_order_until_one_holds(shipped, monkeypatch, tmp_path):
    """The first two remedies are calibrated on noise and are refused; the third is given a plan that is known to hold."""
    network, spec = shipped
    faces = calibration.collect(spec, "synthetic")
    small = calibration.Calibration(faces.crops, faces.tuning[:400], None, faces.source)
    real, calls = plan.quantized, []

    def garbled_twice(model, faces, chosen, name):
        calls.append(chosen.name)
        noise = np.random.default_rng(0).integers(0, 256, faces.crops[:20].shape, np.uint8) // 8
        return real(model, replace(faces, crops=noise) if len(calls) < 3 else faces, remedies(False)[0], name)

    monkeypatch.setattr(plan, "quantized", garbled_twice)
    with tool_output(tmp_path / "log", quiet=True) as say:
        trials = plan.choose(network, spec, small, False, 0.5, say)
    assert calls == [p.name for p in remedies(False)][:3]
    assert [bool(t.problems) for t in trials] == [True, True, False]


def test_command_writes_a_checkpoint_with_its_plan(tmp_path, checkpoint_folder):
    command = [
        sys.executable,
        "-m",
        "compress",
        "--checkpoint",
        str(checkpoint_folder),
        "--target",
        "i7",
        "--data",
        "synthetic",
    ]
    out = tmp_path / "compressed"
    result = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr
    written = json.loads((out / plan.FILE).read_text())
    assert written["trials"][-1]["problems"] == []
    assert written["trials"][-1]["tuning"]["flip_rate"] <= parity.MAX_FLIPS
    assert (out / "weights.safetensors").read_bytes() == (checkpoint_folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(("arguments", "code", "sentence"), [
    (["--checkpoint", "nowhere", "--target", "i7"], 6, "is not a folder"),
    (["--checkpoint", "nowhere", "--target", "i9"], 2, "unknown target 'i9'; devices.yaml has android, i7, rpi4, rpi4-em"),
])  # fmt: skip
def test_mistakes(program, arguments, code, sentence):
    result = program("compress", *arguments)
    assert result.returncode == code
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_what_tools_print_goes_to_a_log(tmp_path, capfd):
    with tool_output(tmp_path / "log") as say:
        print("noise from Python")
        subprocess.run(["sh", "-c", "echo noise from native code >&2"], check=True)
        say("a step")
    out, err = capfd.readouterr()
    assert out == ""
    assert "a step" in err
    assert "noise" not in err
    assert "noise from Python\n" in (tmp_path / "log").read_text()
    assert "native code" in (tmp_path / "log").read_text()
    with pytest.raises(RuntimeError), tool_output(tmp_path / "log"):
        raise RuntimeError("tool broke")
    assert "what the tools printed is in" in capfd.readouterr().err


class Normalised(torch.nn.Module):
    """Features, of length 1, of a crop's channels; all zero where the crop is black."""

    def forward(self, crop: torch.Tensor) -> torch.Tensor:
        features = torch.relu(crop.float().mean((1, 2)) - 20)
        return torch.softmax(9 * torch.nn.functional.normalize(features, dim=1), 1)


def test_litert_divides_in_float_where_a_divisor_may_round_to_zero(tmp_path):
    crops = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), np.uint8)
    write_litert(Normalised().eval(), (1, *crops[0].shape), tmp_path / "fp32.tflite")
    litert_quantize(tmp_path / "fp32.tflite", crops, tmp_path / "int8.tflite")
    fp32, int8 = (engines.load("litert", tmp_path / name, 1) for name in ("fp32.tflite", "int8.tflite"))
    for crop in (*crops, np.zeros_like(crops[0]), np.full_like(crops[0], 21)):
        assert int8.infer(crop[None]) == pytest.approx(fp32.infer(crop[None]), abs=0.1)


class Halves(torch.nn.Module):
    """Slices of two unlike tensors that begin and end alike."""

    def forward(self, crop: torch.Tensor) -> torch.Tensor:
        x = crop.float().mean(3)
        halves = [torch.maximum(y[:, :2], y[:, 2:]) for y in (x / 255, x * x)]
        return torch.softmax(halves[0].flatten(1) + halves[1].flatten(1), 1)


def test_litert_moves_are_not_joined_by_constants(tmp_path):
    write_litert(Halves().eval(), (1, 4, 4, 3), tmp_path / "fp32.tflite")
    assert sorted(len(group) for group in litert_moves(tmp_path / "fp32.tflite", {"SLICE", "STRIDED_SLICE"})) == [3, 3]
