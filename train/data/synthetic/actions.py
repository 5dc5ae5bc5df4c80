"""FACS Action Units, and which of them show which expression. Knows nothing of identity, pose and pixels."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Actions:
    """FACS Action Units, 0 (rest) to about 1 (strongest)."""

    inner_brow_raise: float = 0.0
    outer_brow_raise: float = 0.0
    brow_lower: float = 0.0
    lid_raise: float = 0.0
    cheek_raise: float = 0.0
    lid_tighten: float = 0.0
    nose_wrinkle: float = 0.0
    upper_lip_raise: float = 0.0
    corner_pull: float = 0.0
    dimple: float = 0.0
    """On one side only, ``Pose.side``: contempt's."""
    corner_depress: float = 0.0
    chin_raise: float = 0.0
    pucker: float = 0.0
    lip_stretch: float = 0.0
    lip_press: float = 0.0
    lips_part: float = 0.0
    jaw_drop: float = 0.0
    eyes_close: float = 0.0

    def values(self) -> np.ndarray:
        """float64 (18,), in the order of the fields, which is that of ``FACS``."""
        return np.array(list(vars(self).values()))


FACS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 24, 25, 26, 43)
"""FACS number of each field of ``Actions``, in order."""


def actions_of(units: dict[int, float]) -> Actions:
    """Actions from {FACS number: strength}; what is not named is at rest."""
    return Actions(*(units.get(number, 0.0) for number in FACS))


PROTOTYPES: dict[str, tuple[dict[int, float], ...]] = {
    "neutral": ({}, {}, {25: 0.25}, {25: 0.4}, {24: 0.3}, {15: 0.15}, {4: 0.2, 7: 0.15}),
    "happiness": (
        {6: 0.7, 10: 0.3, 12: 1.0, 25: 1.0},
        {6: 0.9, 10: 0.5, 12: 1.1, 25: 1.1, 26: 0.05},
        {6: 1.0, 10: 0.4, 12: 1.0, 25: 1.0, 26: 0.35},
        {6: 1.0, 10: 0.3, 12: 1.1, 25: 1.0, 26: 0.6},
        {6: 0.7, 12: 1.0},
    ),
    "surprise": (
        {1: 1.0, 2: 1.0, 5: 0.9, 18: 0.4, 25: 0.6, 26: 0.9},
        {1: 1.0, 2: 1.0, 5: 1.0, 18: 0.7, 25: 0.6, 26: 0.55},
        {1: 1.1, 2: 1.1, 5: 1.0, 25: 0.5, 26: 1.1},
    ),
    "sadness": (
        {1: 1.3, 4: 0.5, 7: 0.5, 15: 0.9, 17: 0.8, 43: 0.3},
        {1: 1.4, 4: 0.4, 15: 1.3, 17: 0.5, 43: 0.5},
        {1: 1.2, 4: 0.4, 6: 0.4, 15: 1.0, 17: 0.5, 43: 0.8},
        {1: 1.2, 4: 0.5, 6: 0.7, 15: 0.9, 20: 0.4, 25: 0.8, 26: 0.35, 43: 0.8},
    ),
    "anger": (
        {4: 1.4, 7: 0.4, 9: 0.5, 10: 0.5, 15: 0.8, 17: 0.6, 24: 0.5},
        {4: 1.3, 5: 0.3, 7: 0.6, 15: 0.4, 17: 0.5, 24: 0.8},
        {4: 1.2, 5: 0.3, 7: 0.5, 9: 0.3, 10: 0.7, 20: 0.4, 25: 1.0, 26: 0.9},
        {4: 1.3, 9: 0.5, 10: 0.9, 15: 0.8, 25: 1.1, 26: 0.7},
    ),
    "disgust": (
        {4: 0.4, 6: 0.7, 7: 0.9, 9: 1.3, 10: 1.3, 25: 0.9},
        {4: 0.4, 6: 0.5, 7: 0.8, 9: 1.3, 10: 1.0, 15: 0.6, 17: 0.9},
        {4: 0.4, 6: 0.7, 7: 0.8, 9: 1.3, 10: 1.2, 15: 0.3, 25: 1.0, 26: 0.4, 43: 0.3},
    ),
    "fear": (
        {1: 1.4, 4: 0.6, 5: 1.4, 15: 1.1, 20: 0.5, 25: 1.1, 26: 0.5},
        {1: 1.4, 2: 0.2, 4: 0.6, 5: 1.4, 15: 0.7, 20: 0.3, 25: 1.0, 26: 0.55},
        {1: 1.3, 4: 0.5, 5: 1.3, 20: 1.0, 25: 1.0, 26: 0.35},
    ),
    "contempt": (
        {7: 0.3, 14: 1.2, 24: 0.2},
        {14: 1.2, 17: 0.3, 43: 0.25},
        {7: 0.2, 14: 1.0, 24: 0.5, 43: 0.2},
    ),
}
"""FER+ label → its prototypes at full strength, {FACS number: strength}, equally likely. After the combinations of Action Units
in Ekman and Friesen's FACS investigator's guide; open-mouthed anger and sadness are as FER+ has them."""

BLENDS = (
    ("surprise", "fear"),
    ("surprise", "happiness"),
    ("sadness", "fear"),
    ("sadness", "anger"),
    ("anger", "disgust"),
    ("anger", "fear"),
    ("disgust", "sadness"),
    ("contempt", "disgust"),
    ("contempt", "happiness"),
    ("contempt", "anger"),
)
"""Expressions that one face shows at once: they share Action Units or use different parts of the face."""


def partners(label: str) -> tuple[str, ...]:
    """The labels that blend with this one; none for neutral."""
    return tuple(pair[1 - pair.index(label)] for pair in BLENDS if label in pair)


def blended(first: Actions, second: Actions, share: float) -> Actions:
    """Both at once, ``share`` of the first: a unit of one alone weakens less than its share, else half a face shows nothing.

    Each is weakened by the 0.6th power of its share (0.6 → 0.74, 0.4 → 0.58); of a unit in both, the stronger shows.
    """
    parts = [a.values() * w**0.6 for a, w in ((first, share), (second, 1 - share))]
    return Actions(*np.maximum(*parts).tolist())
