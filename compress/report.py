"""How a changed network is compared with the one it came from, and how that is told."""

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


def told(result: dict) -> str:
    """One phrase of what ``against`` found."""
    words = []
    if result["drop_points"] is not None:
        low, high = result["drop_ci95"]
        words.append(f"accuracy {result['accuracy_candidate']:.2%}")
        words.append(f"drop {result['drop_points']:+.2f} points [{low:+.2f}, {high:+.2f}]")
    words.append(f"{result['flip_rate']:.2%} of {result['n']} labels flip")
    return f"{', '.join(words)}: {'; '.join(result['problems']) or 'the parity rule holds'}"
