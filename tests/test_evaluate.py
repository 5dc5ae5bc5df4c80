"""Evaluation: the JSON other programs read, subsets, seven classes, and what is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from edgefer.spec import FERPLUS_LABELS
from train import checkpoint, evaluate, models
from train.data import ferplus
from train.evaluate import __main__ as command
from train.evaluate import data, subject

KEYS = {"accuracy", "ci95", "n", "macro_recall", "per_class_recall", "protocol"}
"""What other programs read; more may stand beside them."""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Call the command; gives its result as JSON."""
    monkeypatch.setattr(data, "SYNTHETIC_FACES", 40)

    def call(*arguments) -> dict:
        out = tmp_path / "result.json"
        monkeypatch.setattr(sys, "argv", ["train.evaluate", *map(str, arguments), "--json", str(out)])
        assert command.main() == 0
        return json.loads(out.read_text())

    return call


@pytest.fixture(scope="module")
def seven_folder(shipped, tmp_path_factory) -> Path:
    """An untrained checkpoint of seven classes."""
    folder = tmp_path_factory.mktemp("seven")
    spec = replace(shipped[1], labels=FERPLUS_LABELS[:7])
    checkpoint.save(folder, models.build(spec.system, 7, spec.channels, spec.options), spec)
    return folder


def test_the_command_on_a_small_ferplus(checkpoint_folder, small_ferplus, tmp_path):
    arguments = ["--checkpoint", checkpoint_folder, "--data", small_ferplus, "--json", tmp_path / "result.json"]
    result = subprocess.run(
        [sys.executable, "-m", "train.evaluate", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    value = json.loads((tmp_path / "result.json").read_text())
    assert value.keys() >= KEYS
    assert value["n"] == 24
    assert value["ci95"][0] <= value["accuracy"] <= value["ci95"][1]
    assert list(value["per_class_recall"]) == list(ferplus.FERPLUS_LABELS)
    assert value["protocol"] == "FER+ majority, 8 classes, valid"
    assert np.sum(value["confusion"]["counts"]) == 24
    for told in ("macro recall", "calibration error", "contempt"):
        assert told in result.stdout
    assert max(map(len, result.stdout.splitlines())) < 130


def test_bundle_artifact_agrees_with_its_checkpoint(run, bundle_folder, checkpoint_folder, small_ferplus):
    torch_result = run("--checkpoint", checkpoint_folder, "--data", small_ferplus)
    artifact = ["--engine", "onnxruntime", "--precision", "fp32"]
    onnx_result = run("--bundle", bundle_folder, *artifact, "--data", small_ferplus)
    assert {key: torch_result[key] for key in KEYS} == {key: onnx_result[key] for key in KEYS}
    assert onnx_result["nll"] == pytest.approx(torch_result["nll"], abs=1e-4)
    assert (torch_result["model"], onnx_result["model"]) == (
        "efficientface, torch fp32",
        "efficientface, onnxruntime fp32",
    )


def test_artifacts_have_no_activation_maps(run, bundle_folder, small_ferplus, tmp_path, capsys):
    run("--bundle", bundle_folder, "--data", small_ferplus, "--pictures", tmp_path / "pictures")
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"confusion.png", "reliability.png"}
    assert "an artifact has no gradients" in capsys.readouterr().out


def test_synthetic_faces_are_called_what_they_are(run, checkpoint_folder):
    result = run("--checkpoint", checkpoint_folder, "--data", "synthetic")
    assert result["protocol"].startswith("synthetic faces")
    assert result["n"] == 40


def test_seven_classes_leave_contempt_out(run, seven_folder, small_ferplus):
    result = run("--checkpoint", seven_folder, "--data", small_ferplus)
    assert result["protocol"] == "FER+ majority, 7 classes (without contempt), valid"
    assert result["n"] == 21
    assert result["confusion"]["labels"] == list(FERPLUS_LABELS[:7])
    assert run("--checkpoint", seven_folder, "--data", "synthetic")["n"] == 35


def test_a_model_of_eight_is_judged_on_seven(run, checkpoint_folder, seven_folder, small_ferplus):
    result = run("--checkpoint", checkpoint_folder, "--data", small_ferplus, "--seven")
    assert result["protocol"] == "FER+ majority, 7 classes (without contempt), valid" and result["n"] == 21
    assert list(result["per_class_recall"]) == list(FERPLUS_LABELS[:7])
    already = ["--checkpoint", seven_folder, "--data", small_ferplus]
    assert run(*already, "--seven") == run(*already)


def test_contempt_is_no_answer_among_seven(shipped):
    said = np.array([[0.2, 0.1, 0, 0, 0, 0, 0, 0.7], [0, 0, 0, 0, 0, 0, 0, 1]], np.float32)
    judged = subject.without_contempt(subject.Subject("sure of contempt", shipped[1], lambda crops: said))
    first, second = judged.probabilities(None)
    assert first == pytest.approx([2 / 3, 1 / 3, 0, 0, 0, 0, 0])
    assert second == pytest.approx([1 / 7] * 7)
    assert judged.spec.labels == FERPLUS_LABELS[:7]


def test_labels_are_fitted_to_the_model(small_ferplus):
    faces = ferplus.load("valid", small_ferplus)
    faces.distributions[1] = [0.3, 0.3, 0, 0, 0, 0, 0, 0.4]
    seven = evaluate.for_labels(faces, FERPLUS_LABELS[:7])
    assert len(seven) == 21
    assert seven.labels.max() == 6
    assert seven.distributions[1] == pytest.approx([0.5, 0.5, 0, 0, 0, 0, 0])
    wider = evaluate.for_labels(seven, FERPLUS_LABELS)
    assert wider.distributions.shape == (21, 8)
    assert not wider.distributions[:, 7].any()
    with pytest.raises(InputRejected, match="no known order"):
        evaluate.for_labels(faces, FERPLUS_LABELS[::-1])
    with pytest.raises(InputRejected, match="no face with a label"):
        evaluate.for_labels(faces[faces.labels == 7], FERPLUS_LABELS[:7])


def test_another_data_set_by_name(run, checkpoint_folder, small_ferplus):
    result = run("--checkpoint", checkpoint_folder, "--dataset", "ferplus7", "--data", small_ferplus)
    assert result["n"] == 21
    assert result["protocol"] == "FER+ majority, 7 classes (without contempt), valid"
    assert result["classes_without_faces"] == ["contempt"]


def test_subset_is_said_in_the_protocol(run, checkpoint_folder, small_ferplus, tmp_path):
    (tmp_path / "pose.txt").write_text("fer0000003.png\nfer0000004.png\n")
    result = run("--checkpoint", checkpoint_folder, "--data", small_ferplus, "--subset", tmp_path / "pose.txt")
    assert result["n"] == 2
    assert result["protocol"].endswith("valid, subset pose.txt")
    assert list(result["per_class_recall"]) == ["sadness", "anger"]


def test_crops_without_data_carry_no_labels(shipped, monkeypatch):
    monkeypatch.delenv("EDGEFER_DATA", raising=False)
    monkeypatch.setattr(data, "SYNTHETIC_FACES", 8)
    crops = evaluate.crops(shipped[1])
    assert crops.labels is None
    assert crops.source.startswith("synthetic faces")
    assert crops.crops.shape[1:] == shipped[1].crop_shape[1:]


def test_the_test_split_is_read_where_it_is(run, checkpoint_folder, tiny_ferplus):
    (tiny_ferplus / "FER2013Valid").rename(tiny_ferplus / "FER2013Test")
    result = run("--checkpoint", checkpoint_folder, "--data", tiny_ferplus, "--split", "test")
    assert result["protocol"] == "FER+ majority, 8 classes, test"


def test_mistakes(run, checkpoint_folder, small_ferplus, tmp_path):
    with pytest.raises(UsageError, match="choose an artifact of a --bundle"):
        run("--checkpoint", checkpoint_folder, "--engine", "litert")
    with pytest.raises(EnvironmentInvalid, match=r"FER\+ was not found in"):
        run("--checkpoint", checkpoint_folder, "--data", tmp_path)
    with pytest.raises(EnvironmentInvalid, match="test split is not there"):
        run("--checkpoint", checkpoint_folder, "--data", small_ferplus, "--split", "test")
    with pytest.raises(EnvironmentInvalid, match="was not found in"):
        evaluate.use_ferplus(str(tmp_path))
