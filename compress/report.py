"""How a changed network is compared with the one it came from, and how that is told."""

from collections.abc import Sequence

import numpy as np

from compress.calibration import Calibration
from edgefer import parity
from edgefer.spec import ModelSpec


def against(
    reference: np.ndarray, said: np.ndarray, faces: Calibration, spec: ModelSpec, margin_points: float = 0.5
) -> dict:
    """Predicted classes (N,) of two networks on the tuning crops: ``parity.Paired`` as JSON, and "problems" with the rule."""
    result = parity.paired(reference, said, faces.tuning_labels, spec.labels)
    return {**result.to_json(), "problems": parity.problems(result, margin_points)}


def divergence(expected: np.ndarray, said: np.ndarray) -> float:
    """Mean Kullback–Leibler divergence of two sets of distributions (N, classes)."""
    return float((expected * np.log((expected + 1e-9) / (said + 1e-9))).sum(1).mean())


def drop(points: float, ci95: Sequence[float]) -> str:
    """``drop +0.19 points [−0.17, +0.55]``."""
    return f"drop {points:+.2f} points [{ci95[0]:+.2f}, {ci95[1]:+.2f}]"


def told(result: dict) -> str:
    """One phrase of what ``against`` found."""
    words = []
    if result["drop_points"] is not None:
        words.append(f"accuracy {result['accuracy_candidate']:.2%}")
        words.append(drop(result["drop_points"], result["drop_ci95"]))
    words.append(f"{result['flip_rate']:.2%} of {result['n']} labels flip")
    return f"{', '.join(words)}: {'; '.join(result['problems']) or 'the parity rule holds'}"
