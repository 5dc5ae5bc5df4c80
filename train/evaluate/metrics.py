"""Figures of a classifier from its probabilities: recognition, calibration, confusion. Plain numpy.

Classes without faces are left out of every per-class figure and every macro average, and are listed.
"""

import numpy as np

from edgefer import parity

BINS = 15
"""Bins of confidence for the calibration error, as many as Guo et al. 2017 use."""
SMALLEST = 1e-7
"""Probabilities below it count as this in the likelihoods: a quantised model may answer 0, and one face would decide all."""


def score(
    probabilities: np.ndarray, labels: np.ndarray, names: tuple[str, ...], distributions: np.ndarray | None = None
) -> dict:
    """All figures as JSON values.

    Args:
        probabilities: float (N, classes), rows sum to 1.
        labels: int (N,), true class indices.
        names: of the classes.
        distributions: float (N, classes), label distributions; None, or rows of one 1, where nothing but the label is known.

    Returns:
        accuracy (fraction) with its Wilson interval ci95 and n; macro and per-class recall, precision and F1; ece and the
        bins it is made of (``reliability``); nll of the labels and, where there are distributions, distribution_nll; the
        confusion counts, rows true, columns predicted.
    """
    predicted = probabilities.argmax(1)
    right = predicted == labels
    counts = confusion(labels, predicted, len(names))
    bins = reliability(probabilities.max(1), right)
    return {
        "accuracy": float(right.mean()),
        "ci95": list(parity.wilson(int(right.sum()), len(right))),
        "n": len(right),
        **_by_class(counts, names),
        "ece": calibration_error(bins),
        "reliability": bins,
        **_likelihoods(probabilities, labels, distributions),
        "confusion": {"labels": list(names), "counts": counts.tolist()},
    }


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int64 (classes, classes): faces of each true class (row) that were given each class (column)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def recall_precision_f1(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Each as float (classes,) from a confusion matrix; the precision of a class that is never answered is 0."""
    hits, faces, answers = np.diagonal(counts), counts.sum(1), counts.sum(0)
    return {
        "recall": _ratio(hits, faces),
        "precision": _ratio(hits, answers),
        "f1": _ratio(2 * hits, faces + answers),
    }


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[dict]:
    """Faces by the probability of the answer they were given, in bins ((m − 1)/M, m/M] (Guo et al. 2017, Equation 3).

    Returns:
        One {low, high, confidence, accuracy, n} for each bin that holds faces; confidence and accuracy are its means.
    """
    edges = np.linspace(0, 1, bins + 1)
    confidence = np.asarray(confidence, np.float64)
    index = np.searchsorted(edges[1:-1], confidence, side="left")
    rows = []
    for m in np.unique(index):
        held = index == m
        means = {"confidence": float(confidence[held].mean()), "accuracy": float(right[held].mean())}
        rows.append({"low": float(edges[m]), "high": float(edges[m + 1]), **means, "n": int(held.sum())})
    return rows


def calibration_error(bins: list[dict]) -> float:
    """Expected calibration error: Σ n_m / N · |accuracy_m − confidence_m| (Guo et al. 2017, Equation 5), a fraction."""
    total = sum(row["n"] for row in bins)
    return sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / total


def _by_class(counts: np.ndarray, names: tuple[str, ...]) -> dict:
    present = counts.sum(1) > 0
    figures = {}
    for figure, values in recall_precision_f1(counts).items():
        kept = {name: float(value) for name, value, there in zip(names, values, present, strict=True) if there}
        figures |= {f"macro_{figure}": float(np.mean(list(kept.values()))), f"per_class_{figure}": kept}
    absent = [name for name, there in zip(names, present, strict=True) if not there]
    return figures | {"classes_without_faces": absent}


def _likelihoods(probabilities: np.ndarray, labels: np.ndarray, distributions: np.ndarray | None) -> dict:
    """Mean −log p of the true label and, in nats as well, mean −Σ d log p against the label distributions d."""
    logs = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    figures = {"nll": float(-logs[np.arange(len(labels)), labels].mean())}
    if distributions is None or not ((distributions > 0).sum(1) > 1).any():
        return figures
    known = distributions.sum(1) > 0
    return figures | {"distribution_nll": float(-(distributions[known] * logs[known]).sum(1).mean())}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
