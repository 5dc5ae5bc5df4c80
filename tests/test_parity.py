"""Parity statistics against known values, and each clause of the rule."""

import math

import numpy as np
import pytest

from edgefer import parity


def predictions(n: int, lost: int, gained: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels all 0; reference and candidate with so many crops lost and gained."""
    labels, reference, candidate = np.zeros(n, int), np.zeros(n, int), np.zeros(n, int)
    candidate[:lost] = 1
    reference[lost : lost + gained] = 1
    return reference, candidate, labels


def test_counts_of_a_pair():
    result = parity.paired(*predictions(1000, 12, 4), ("a", "b"))
    assert result.drop_points == pytest.approx(0.8)
    assert result.flip_rate == pytest.approx(0.016)
    assert (result.accuracy_reference, result.accuracy_candidate) == (0.996, 0.988)
    assert result.recalls == {"a": (0.996, 0.988, 1000)}
    assert result.drop_ci95[0] < 0.8 < result.drop_ci95[1]


def test_mcnemar_is_the_exact_binomial():
    assert parity.mcnemar(12, 4) == pytest.approx(0.076813, abs=1e-6)
    assert parity.mcnemar(5, 5) == 1.0
    assert parity.mcnemar(0, 0) == 1.0
    assert parity.mcnemar(10, 0) == pytest.approx(2 / 1024)


def test_wilson_interval_of_a_textbook_case():
    low, high = parity.wilson(81, 263)
    assert (low, high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert parity.wilson(0, 10)[0] == 0.0


def test_difference_interval_covers_the_truth():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(2000):
        lost, gained, _same = rng.multinomial(3191, [0.012, 0.008, 0.98])
        low, high = parity.difference_interval(lost, gained, 3191)
        hits += low <= 0.004 <= high
    assert 0.935 <= hits / 2000 <= 0.965


def test_identical_predictions_hold():
    reference, _, labels = predictions(3191, 0, 0)
    assert parity.problems(parity.paired(reference, reference, labels)) == []


def test_each_clause_is_named():
    assert "drops by 0.60 points" in parity.problems(parity.paired(*predictions(5000, 40, 10)))[0]
    # 0.4 points observed on 500 crops: within the margin, but it may well be more than one point
    assert ["may be as large as" in p for p in parity.problems(parity.paired(*predictions(500, 4, 2)))] == [True]
    flips = np.repeat([0, 1], [960, 40])
    assert "4.00% of the labels flip" in parity.problems(parity.paired(np.zeros(1000, int), flips))[0]


def test_recall_gates_only_large_classes():
    labels = np.repeat([0, 1, 2], [4000, 200, 100])
    candidate = labels.copy()
    candidate[4000:4007] = 0  # 3.5 points of class 1
    candidate[4200:4206] = 0  # 6 points of class 2, which is small
    result = parity.paired(labels, candidate, labels, ("large", "gated", "small"))
    assert [p for p in parity.problems(result) if "recall" in p] == [
        "recall of gated drops by 3.5 points, 3 are allowed"
    ]


def test_without_labels_only_agreement():
    result = parity.paired(np.array([0, 1, 2]), np.array([0, 1, 1]))
    assert result.drop_points is None
    assert math.isclose(result.flip_rate, 1 / 3)


def test_what_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        parity.paired(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="cannot be paired"):
        parity.paired(np.zeros(0), np.zeros(0))
