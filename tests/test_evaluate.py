"""Evaluation: the JSON other programs read, subsets, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgefer.errors import EnvironmentInvalid, InputRejected
from train import evaluate
from train.data import ferplus


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "train.evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_checkpoint_on_a_small_ferplus(checkpoint_folder, small_ferplus, tmp_path):
    result = run("--checkpoint", checkpoint_folder, "--data", small_ferplus, "--json", tmp_path / "result.json")
    assert result.returncode == 0, result.stderr
    value = json.loads((tmp_path / "result.json").read_text())
    assert set(value) == {"accuracy", "ci95", "n", "macro_recall", "per_class_recall", "protocol"}
    assert value["n"] == 24
    assert value["ci95"][0] <= value["accuracy"] <= value["ci95"][1]
    assert list(value["per_class_recall"]) == list(ferplus.FERPLUS_LABELS)
    assert "FER+ majority" in value["protocol"]


def test_bundle_artifact_agrees_with_its_checkpoint(bundle_folder, checkpoint_folder, small_ferplus, tmp_path):
    for name, arguments in {
        "torch": ["--checkpoint", checkpoint_folder],
        "onnx": ["--bundle", bundle_folder, "--engine", "onnxruntime", "--precision", "fp32"],
    }.items():
        assert run(*arguments, "--data", small_ferplus, "--json", tmp_path / name).returncode == 0
    torch_result, onnx_result = (json.loads((tmp_path / name).read_text()) for name in ("torch", "onnx"))
    assert torch_result == onnx_result


def test_synthetic_faces_are_called_what_they_are(bundle_folder, tmp_path):
    result = run("--bundle", bundle_folder, "--data", "synthetic", "--json", tmp_path / "result.json")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "result.json").read_text())["protocol"].startswith("synthetic faces")


def test_score_of_a_hand_made_case():
    probabilities = np.eye(3)[[0, 0, 1, 2, 2]]
    result = evaluate.score(probabilities, np.array([0, 1, 1, 2, 0]), ("a", "b", "c"))
    assert result["accuracy"] == pytest.approx(0.6)
    assert result["per_class_recall"] == {"a": 0.5, "b": 0.5, "c": 1.0}
    assert result["macro_recall"] == pytest.approx(2 / 3)


def test_subset_lists_as_they_are_published(small_ferplus, tmp_path):
    faces = ferplus.load("valid", small_ferplus)
    listing = tmp_path / "pose.txt"
    listing.write_text("5/fer0000003.png\nfer0000004.jpg 2\nfer0000005,1\n\nsomebody_else.png\n")
    assert evaluate.subset(faces, listing).names == ("fer0000003.png", "fer0000004.png", "fer0000005.png")
    listing.write_text("nobody.png\n")
    with pytest.raises(InputRejected, match="names none of the 24 faces"):
        evaluate.subset(faces, listing)
    with pytest.raises(InputRejected, match="cannot be read"):
        evaluate.subset(faces, tmp_path / "absent.txt")


def test_crops_without_data_carry_no_labels(shipped, monkeypatch):
    monkeypatch.delenv("EDGEFER_DATA", raising=False)
    crops = evaluate.crops(shipped[1])
    assert crops.labels is None
    assert crops.source.startswith("synthetic faces")
    assert crops.crops.shape[1:] == shipped[1].crop_shape[1:]


def test_mistakes(checkpoint_folder, small_ferplus, tmp_path):
    both = run("--checkpoint", checkpoint_folder, "--engine", "litert")
    assert both.returncode == 2
    assert "choose an artifact of a --bundle" in both.stderr
    empty = run("--checkpoint", checkpoint_folder, "--data", tmp_path)
    assert empty.returncode == 3
    assert "FER+ was not found in" in empty.stderr
    with pytest.raises(EnvironmentInvalid, match="test split is not there"):
        ferplus.load("test", small_ferplus)
    with pytest.raises(EnvironmentInvalid, match="was not found in"):
        evaluate.use_ferplus(str(Path(tmp_path)))
