"""The study of calibration sets: what is in them, and how a changed network is judged."""

import numpy as np
import pytest

from compress import calibration_study as study


def test_a_balanced_set_has_as_many_of_each_class(shipped, small_ferplus, monkeypatch):
    _, spec = shipped
    monkeypatch.setattr(study, "SIZES", (8, 32))
    sets = study.sets(spec, str(small_ferplus))
    assert {kind: len(crops) for kind, crops in sets.items()} == dict.fromkeys(("random", "balanced", "synthetic"), 32)
    levels = sets["balanced"][:8].mean((1, 2, 3))  # a made-up face's grey level is its class
    assert np.ptp(levels) > 100 and len(np.unique((levels // 20).round())) == 8


def test_a_network_that_answers_otherwise_is_told_so():
    true = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]], np.float32)
    labels, names = np.array([0, 0, 1, 1]), ("a", "b")
    same = study.judged(true, true, labels, names)
    assert (same["drop_points"], same["flip_rate"]) == (0, 0)
    assert same["divergence"] == pytest.approx(0, abs=1e-6)
    other = study.judged(true, true[:, ::-1], labels, names)
    assert (other["drop_points"], other["flip_rate"]) == (100, 1)
    assert other["divergence"] > 0.5
    assert study.line({"kind": "random", "crops": 32, "plan": "plain", **other}).startswith(
        "| 32 | random | +100.00 | 100.00% |"
    )


def test_without_data_it_says_what_it_needs(program, checkpoint_folder):
    done = program("compress.calibration_study", "--checkpoint", checkpoint_folder, "--data", "synthetic")
    assert done.returncode == 3
    assert "needs FER+" in done.stderr
