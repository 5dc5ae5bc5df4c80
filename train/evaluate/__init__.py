"""Evaluation: how well a checkpoint, or an artifact of a bundle, recognises expressions. ``python -m train.evaluate``.

Faces come from ``data``, what is judged from ``subject``, the figures from ``metrics`` and ``robustness``; ``table``,
``pictures`` and ``cam`` show them. Knows nothing of recipes, quantisers or devices.
"""

from train.evaluate.data import (
    KNOWN_LABELS,
    SYNTHETIC_FACES,
    SYNTHETIC_SEED,
    EvaluationCrops,
    crops,
    for_labels,
    use_ferplus,
)
from train.evaluate.metrics import score
from train.evaluate.subject import Subject, engine_probabilities

__all__ = [
    "KNOWN_LABELS",
    "SYNTHETIC_FACES",
    "SYNTHETIC_SEED",
    "EvaluationCrops",
    "Subject",
    "crops",
    "engine_probabilities",
    "for_labels",
    "score",
    "use_ferplus",
]
