"""Face: where a detector found a face, in pixels of the frame."""

from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Face:
    """One detected face. Coordinates are pixels of the original frame, origin at its upper left corner."""

    box: Box
    """x, y, width, height; may reach over the frame's edge."""
    score: float
    """The detector's own confidence, 0…1; 1 where it gives none."""
    detector: str
    """Name of the detector: the key of its framing in ``Alignment.boxes``."""
    landmarks: np.ndarray | None = None
    """float32 (5, 2): right eye, left eye, nose tip, right mouth corner, left mouth corner (the subject's right and
    left), or None where the detector gives a box only."""


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0…1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (a[2] * a[3] + b[2] * b[3] - common)
