"""Parity of face finders: does a lossy one still find what its reference finds, and where? The same squares for both.

The rule: of the faces that fp32 finds at least ``LEAST_FOUND`` are found again at an intersection over union of 0.5, at most
``MOST_EXTRA`` more, their boxes overlap on average by ``LEAST_OVERLAP``, and their landmarks shift by at most ``MOST_SHIFT`` of
the distance of the eyes in the median. Scores near the threshold tip either way, which is what the first two allow for.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from edgefer import finder
from edgefer.finder import Found

LEAST_FOUND, MOST_EXTRA = 0.97, 0.03
LEAST_OVERLAP = 0.9
MOST_SHIFT = 0.03
FP32_TOLERANCE = 1e-3
"""Largest difference of any output number between torch and a format in fp32; boxes and landmarks are of the order of 1."""


@dataclass(frozen=True)
class Likeness:
    """A finder against its reference on the same squares. Fractions are 0…1."""

    squares: int
    faces: int
    """That the reference finds."""
    found: float
    """Of them, found again."""
    extra: float
    """Faces that only the candidate finds, as a fraction of the reference's."""
    overlap: float
    """Mean intersection over union of the faces found by both."""
    shift: float
    """Median over faces of the landmarks' mean distance, in eye distances."""

    def to_json(self) -> dict:
        return asdict(self)


def compare(reference: Sequence[Found], candidate: Sequence[Found]) -> Likeness:
    """Compare what two finders found on the same squares."""
    faces = extra = 0
    overlaps, shifts = [], []
    for was, is_ in zip(reference, candidate, strict=True):
        rows = finder.pairs(is_.boxes, was.boxes)
        faces, extra = faces + len(was.boxes), extra + int((rows < 0).sum())
        for i, row in enumerate(rows):
            if row >= 0:
                overlaps.append(float(finder.intersections(is_.boxes[i], was.boxes[row])[0, 0]))
                shifts.append(finder.landmarks_off(is_.landmarks[i], was.landmarks[row]))
    count = max(1, faces)
    overlap, shift = (float(np.mean(overlaps)), float(np.median(shifts))) if overlaps else (0.0, float("inf"))
    return Likeness(len(reference), faces, len(overlaps) / count, extra / count, overlap, min(shift, 1e9))


def problems(likeness: Likeness) -> list[str]:
    """What breaks the rule, in words; empty when it holds."""
    if not likeness.faces:
        return ["fp32 finds no face on these squares, so nothing can be compared"]
    found = []
    if likeness.found < LEAST_FOUND:
        found.append(f"{likeness.found:.1%} of fp32's faces are found, {LEAST_FOUND:.0%} are wanted")
    if likeness.extra > MOST_EXTRA:
        found.append(f"{likeness.extra:.1%} more faces are found than by fp32, {MOST_EXTRA:.0%} are allowed")
    if likeness.overlap < LEAST_OVERLAP:
        found.append(f"boxes overlap fp32's by {likeness.overlap:.3f}, {LEAST_OVERLAP} is wanted")
    if likeness.shift > MOST_SHIFT:
        found.append(f"landmarks shift by {likeness.shift:.1%} of the eyes' distance, {MOST_SHIFT:.0%} are allowed")
    return found
