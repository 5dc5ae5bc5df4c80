"""Robustness: the same faces with a part hidden, and synthetic faces under exact conditions.

Paper 000, Table 6, and paper 001, Tables 6 and 7, do this with lists of real occluded and turned faces; such a list goes to
``--subset``. Here the cause is controlled: everything but the hidden rectangle, or the pose, stays as it was.
"""

import math

import numpy as np

from edgefer.parity import paired, wilson
from edgefer.spec import ModelSpec
from train.data import crops_of, ferplus, synthetic
from train.evaluate.data import for_labels
from train.evaluate.subject import Subject

FILLS = ("grey", "noise")
GREY = 128
"""The middle of the grey levels, which the networks see as 0."""
SQUARE_SHARE = 0.25
"""Of the crop's area, hidden by the square at a random place."""
SEED = 0
CONDITION_FACES, CONDITION_SEED = 500, 4
"""Of each synthetic condition; calibration, tuning, evaluation and golden vectors use seeds 0 to 3."""
FRONTAL = {"yaw": (0, 15), "pitch": (0, 15)}
CONDITIONS = {
    "frontal, nothing hidden": {**FRONTAL, "occlusion": "none"},
    "turned above 30°": {**FRONTAL, "yaw": (30, 60), "occlusion": "none"},
    "turned above 45°": {**FRONTAL, "yaw": (45, 60), "occlusion": "none"},
    "glasses": {**FRONTAL, "occlusion": "glasses"},
    "hand": {**FRONTAL, "occlusion": "hand"},
    "mask": {**FRONTAL, "occlusion": "mask"},
}
"""Name → arguments of ``synthetic.drawn``, degrees without sign; the first is what the others are compared with."""


def regions(spec: ModelSpec) -> dict[str, tuple[float, float, float, float]]:
    """Name → rectangle (left, top, right, bottom) in fractions of the crop's side, from where landmarks lie in it.

    Eyes and mouth reach beyond their landmarks by shares of the distance between the eyes, so that brows and open lips are
    hidden too. Left and right are the picture's.
    """
    right_eye, left_eye, _nose, right_mouth, left_mouth = np.array(spec.alignment.landmarks)
    unit = float(np.hypot(*(left_eye - right_eye)))
    middle = float(right_eye[0] + left_eye[0]) / 2
    return {
        "eyes": _around(right_eye, left_eye, 0.45 * unit, 0.45 * unit, 0.3 * unit),
        "mouth": _around(right_mouth, left_mouth, 0.3 * unit, 0.3 * unit, 0.45 * unit),
        "left half": (0.0, 0.0, middle, 1.0),
        "right half": (middle, 0.0, 1.0, 1.0),
    }


def boxes(region: str, spec: ModelSpec, n: int, seed: int = SEED) -> np.ndarray:
    """int (n, 4): left, top, right, bottom in pixels of what ``region``, one of ``regions`` or "random square", hides."""
    size = spec.input_size
    if region == "random square":
        side = round(math.sqrt(SQUARE_SHARE) * size)
        corners = np.random.default_rng([seed, 0]).integers(0, size - side + 1, (n, 2))
        return np.hstack([corners, corners + side])
    return np.tile(np.round(np.array(regions(spec)[region]) * size).astype(int), (n, 1))


def hidden(crops: np.ndarray, boxes: np.ndarray, fill: str, seed: int = SEED) -> np.ndarray:
    """A copy of uint8 crops (N, S, S, C) with a rectangle of each filled: "grey", or "noise" of levels 0…255."""
    if fill not in FILLS:
        raise ValueError(f"fill {fill!r} is none of {', '.join(FILLS)}")
    covered, rng = crops.copy(), np.random.default_rng([seed, 1])
    for crop, (left, top, right, bottom) in zip(covered, boxes, strict=True):
        part = crop[top:bottom, left:right]
        part[:] = GREY if fill == "grey" else rng.integers(0, 256, part.shape[:2] + (1,), np.uint8)
    return covered


def occlusion(subject: Subject, crops: np.ndarray, labels: np.ndarray, clean: np.ndarray) -> list[dict]:
    """Accuracy with each region hidden by each fill, paired face by face with ``clean``, the classes (N,) given unhidden.

    Returns:
        Rows {name, fill, hidden, n, accuracy, ci95, accuracy_reference, drop_points, drop_ci95, mcnemar_p, flip_rate};
        ``hidden`` is the share of the crop's area, points are percentage points.
    """
    return [
        _occlusion_row(subject, crops, labels, clean, name, fill)
        for name in (*regions(subject.spec), "random square")
        for fill in FILLS
    ]


def conditions(subject: Subject, n: int = CONDITION_FACES) -> list[dict]:
    """Accuracy on synthetic faces of each of ``CONDITIONS``, paired person by person with the first.

    ``synthetic.drawn`` gives the same people with the same expressions under all conditions.

    Returns:
        Rows like those of ``occlusion`` without fill and hidden; the first is only {name, n, accuracy, ci95}.
    """
    rows, reference = [], None
    for name, wanted in CONDITIONS.items():
        faces = for_labels(synthetic.drawn(n, CONDITION_SEED, ferplus.SIDE, **wanted).faces, subject.spec.labels)
        crops = crops_of(faces, subject.spec.input_size, subject.spec.channels)
        predicted = subject.probabilities(crops).argmax(1)
        rows.append({"name": name, **_figures(faces.labels, predicted, reference)})
        reference = predicted if reference is None else reference
    return rows


def _around(one: np.ndarray, other: np.ndarray, wide: float, above: float, below: float) -> tuple:
    low, high = np.minimum(one, other), np.maximum(one, other)
    box = (low[0] - wide, low[1] - above, high[0] + wide, high[1] + below)
    return tuple(float(np.clip(edge, 0, 1)) for edge in box)


def _occlusion_row(subject, crops, labels, clean, name: str, fill: str) -> dict:
    where = boxes(name, subject.spec, len(crops))
    predicted = subject.probabilities(hidden(crops, where, fill)).argmax(1)
    area = (where[0, 2] - where[0, 0]) * (where[0, 3] - where[0, 1]) / subject.spec.input_size**2
    return {"name": name, "fill": fill, "hidden": float(area), **_figures(labels, predicted, clean)}


def _figures(labels: np.ndarray, predicted: np.ndarray, reference: np.ndarray | None) -> dict:
    """Accuracy of the classes ``predicted``, and its paired difference from those of the reference where there is one."""
    right = predicted == labels
    figures = {"n": len(right), "accuracy": float(right.mean()), "ci95": list(wilson(int(right.sum()), len(right)))}
    if reference is None:
        return figures
    difference = paired(reference, predicted, labels)
    return figures | {
        "accuracy_reference": difference.accuracy_reference,
        "drop_points": difference.drop_points,
        "drop_ci95": list(difference.drop_ci95),
        "mcnemar_p": difference.mcnemar_p,
        "flip_rate": difference.flip_rate,
    }
