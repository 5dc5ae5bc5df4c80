"""The figures of an evaluation, against cases worked out by hand and against torchmetrics."""

import json

import numpy as np
import pytest
import torch
from torchmetrics.functional import classification as reference

from train.evaluate import metrics, score, table

NAMES = ("a", "b", "c")


def test_score_of_a_hand_made_case():
    result = score(np.eye(3)[[0, 0, 1, 2, 2]], np.array([0, 1, 1, 2, 0]), NAMES)
    assert result["accuracy"] == pytest.approx(0.6)
    assert result["per_class_recall"] == {"a": 0.5, "b": 0.5, "c": 1.0}
    assert result["per_class_precision"] == {"a": 0.5, "b": 1.0, "c": 0.5}
    assert result["per_class_f1"] == pytest.approx({"a": 0.5, "b": 2 / 3, "c": 2 / 3})
    assert result["macro_recall"] == pytest.approx(2 / 3)
    assert result["macro_precision"] == pytest.approx(2 / 3)
    assert result["macro_f1"] == pytest.approx(11 / 18)
    assert result["confusion"] == {"labels": ["a", "b", "c"], "counts": [[1, 0, 1], [1, 1, 0], [0, 0, 1]]}
    assert result["classes_without_faces"] == []
    json.dumps(result, allow_nan=False)


def test_classes_without_faces_are_left_out_and_said():
    result = score(np.eye(3)[[0, 2, 1, 1]], np.array([0, 0, 1, 1]), NAMES)
    assert result["classes_without_faces"] == ["c"]
    assert result["per_class_precision"] == {"a": 1.0, "b": 1.0}
    assert result["macro_recall"] == 0.75
    assert any("no face has them: c" in line for line in table.summary({**result, "protocol": "by hand"}))


def test_a_class_that_is_never_answered_has_precision_and_f1_of_nothing():
    result = score(np.eye(3)[[0, 0, 2]], np.array([0, 1, 2]), NAMES)
    assert (result["per_class_precision"]["b"], result["per_class_f1"]["b"]) == (0.0, 0.0)


def test_figures_agree_with_torchmetrics():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 5, 400), rng.normal(0, 1.5, (400, 5))
    logits[np.arange(400), labels] += 1.5
    probabilities = torch.softmax(torch.from_numpy(logits), 1)
    result = score(probabilities.numpy(), labels, tuple("abcde"))
    truth = torch.from_numpy(labels)
    for figure in ("recall", "precision", "f1_score"):
        expected = getattr(reference, f"multiclass_{figure}")(probabilities, truth, 5, average="none")
        assert list(result[f"per_class_{figure.removesuffix('_score')}"].values()) == pytest.approx(expected.tolist())
    counts = reference.multiclass_confusion_matrix(probabilities, truth, 5)
    assert result["confusion"]["counts"] == counts.tolist()
    expected = reference.multiclass_calibration_error(probabilities, truth, 5, n_bins=metrics.BINS)
    assert result["ece"] == pytest.approx(float(expected), abs=1e-6)
    assert result["nll"] == pytest.approx(float(torch.nn.functional.nll_loss(probabilities.log(), truth)))


def test_calibration_error_of_known_cases():
    bins = metrics.reliability(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False]))
    assert [(row["n"], row["accuracy"]) for row in bins] == [(2, 0.5), (2, 1.0)]
    assert metrics.calibration_error(bins) == pytest.approx(0.1)
    sure_and_wrong = metrics.reliability(np.ones(10), np.zeros(10, bool))
    assert metrics.calibration_error(sure_and_wrong) == 1.0
    ten = metrics.reliability(np.full(10, 0.7), np.arange(10) < 7)
    assert metrics.calibration_error(ten) == pytest.approx(0)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    (row,) = metrics.reliability(np.array([0.2]), np.array([True]))
    assert (row["low"], row["high"]) == pytest.approx((2 / 15, 3 / 15))
    (last,) = metrics.reliability(np.array([1.0]), np.array([True]))
    assert last["high"] == 1.0


def test_likelihoods():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.9, 0.0]])
    crowd = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    result = score(probabilities, np.array([0, 1]), NAMES, crowd)
    assert result["nll"] == pytest.approx(-(np.log(0.5) + np.log(0.9)) / 2)
    first = -(np.log(0.5) + np.log(0.25)) / 2
    assert result["distribution_nll"] == pytest.approx((first - np.log(metrics.SMALLEST)) / 2)
    assert "distribution_nll" not in score(probabilities, np.array([0, 1]), NAMES, np.eye(3)[[0, 1]])
    unknown = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert score(probabilities, np.array([0, 1]), NAMES, unknown)["distribution_nll"] == pytest.approx(first)
