"""OpenCV's Haar cascade for frontal faces: a box without landmarks, from a file that OpenCV 4 brings along."""

from pathlib import Path

import numpy as np

from edgefer import detectors
from edgefer.align import check_frame
from edgefer.errors import EnvironmentInvalid
from edgefer.faces import Face

CASCADE = "haarcascade_frontalface_default.xml"
SCALE_STEP = 1.1
NEIGHBOURS = 3
"""Overlapping hits that make a face. On 208 photographs with a face each, 3 found 151 with 9 false ones, 5 found 145 with 6."""
LEAST_PART = 8
"""Faces smaller than one LEAST_PART-th of the frame's smaller side are not looked for: they are what costs the time."""


class Haar:
    """See ``edgefer.detectors.Detector``."""

    name = "haar"

    def __init__(self, cv2, cascade):
        self._cv2, self._cascade = cv2, cascade

    def detect(self, frame: np.ndarray) -> list[Face]:
        check_frame(frame)
        gray = frame if frame.ndim == 2 else frame[..., 0]
        if frame.ndim == 3 and frame.shape[2] == 3:
            gray = self._cv2.cvtColor(frame, self._cv2.COLOR_RGB2GRAY)
        least = max(1, min(gray.shape) // LEAST_PART)
        boxes = self._cascade.detectMultiScale(gray, SCALE_STEP, NEIGHBOURS, minSize=(least, least))
        return detectors.largest_first([Face(tuple(map(float, box)), 1.0, self.name) for box in boxes])


def load() -> Haar:
    """See ``edgefer.detectors.load``."""
    cv2 = detectors.opencv()
    if not hasattr(cv2, "CascadeClassifier"):
        raise EnvironmentInvalid(
            f"OpenCV {cv2.__version__} no longer has Haar cascades: run pip install 'opencv-python-headless>=4.11,<5', "
            "or use --detector yunet"
        )
    path = Path(getattr(getattr(cv2, "data", None), "haarcascades", "")) / CASCADE
    cascade = cv2.CascadeClassifier(str(path)) if path.is_file() else None
    if cascade is None or cascade.empty():
        raise EnvironmentInvalid(f"this OpenCV has no {CASCADE}: run pip install 'opencv-python-headless>=4.11,<5'")
    return Haar(cv2, cascade)
