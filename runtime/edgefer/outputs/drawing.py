"""Boxes and labels on a frame, by OpenCV."""

import numpy as np

from edgefer.detectors import opencv

COLOURS = ((80, 200, 80), (230, 160, 60), (80, 160, 240), (200, 90, 200), (60, 200, 230), (90, 90, 230))
"""BGR; a track keeps its own."""
SIDE_PER_SIZE = 700
"""A frame whose smaller side is this has letters of OpenCV's size 1 and lines of 2 pixels."""


def draw(image: np.ndarray, faces: list[dict]) -> np.ndarray:
    """A copy of a frame, uint8 (H, W) or (H, W, 3) RGB, with its faces drawn: uint8 (H, W, 3) BGR."""
    cv2 = opencv()
    gray = image.ndim == 2 or image.shape[2] == 1
    canvas = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if gray else cv2.COLOR_RGB2BGR)
    size = max(0.4, min(canvas.shape[:2]) / SIDE_PER_SIZE)
    for face in faces:
        _face(cv2, canvas, face, size)
    return canvas


def _face(cv2, canvas: np.ndarray, face: dict, size: float) -> None:
    x, y, width, height = (round(side) for side in face["box"])
    colour, thick = COLOURS[(face["track"] or 0) % len(COLOURS)], max(1, round(2 * size))
    cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, thick)
    number = f"{face['track']} " if face["track"] else ""
    text = f"{number}{face['label']} {face['probabilities'][face['label']]:.0%}"
    (_, tall), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    at = (max(0, x), max(tall + below, y - below))
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 3 * thick, cv2.LINE_AA)
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick, cv2.LINE_AA)
