"""YuNet: a face detector of 75 thousand parameters that also finds five landmarks, run by OpenCV from its ONNX file."""

from pathlib import Path

import numpy as np

from edgefer import detectors
from edgefer.align import check_frame
from edgefer.errors import EnvironmentInvalid, InputRejected
from edgefer.faces import Face

SIDE = 320
"""The frame's longer side is shrunk to this before YuNet sees it: a quarter of the time that 640 pixels cost."""
SCORE, OVERLAP = 0.6, 0.3
"""Least confidence of a face; largest overlap (intersection over union) of two faces."""


class YuNet:
    """See ``edgefer.detectors.Detector``."""

    name = "yunet"

    def __init__(self, cv2, network):
        self._cv2, self._network, self._size = cv2, network, None

    def detect(self, frame: np.ndarray) -> list[Face]:
        check_frame(frame)
        small = self._shrunk(frame)
        height, width = small.shape[:2]
        if (width, height) != self._size:
            self._network.setInputSize((width, height))
            self._size = (width, height)
        _, rows = self._network.detect(small)
        scale = np.array([frame.shape[1] / width, frame.shape[0] / height], np.float32)
        found = [row for row in (rows if rows is not None else []) if _is_in_frame(row, width, height)]
        return detectors.largest_first([_face(row, scale) for row in found])

    def _shrunk(self, frame: np.ndarray) -> np.ndarray:
        """BGR, at most ``SIDE`` pixels a side, at least one."""
        height, width = frame.shape[:2]
        factor = min(1.0, SIDE / max(height, width))
        if factor < 1:
            size = max(1, round(width * factor)), max(1, round(height * factor))
            frame = self._cv2.resize(frame, size, interpolation=self._cv2.INTER_AREA)
        gray = frame.ndim == 2 or frame.shape[2] == 1
        return self._cv2.cvtColor(frame, self._cv2.COLOR_GRAY2BGR if gray else self._cv2.COLOR_RGB2BGR)


def _is_in_frame(row: np.ndarray, width: int, height: int) -> bool:
    """On pictures of some 30 pixels a side YuNet now and then returns numbers that are no face: without extent, far outside."""
    x, y, w, h = row[:4]
    return bool(np.isfinite(row).all() and w >= 1 and h >= 1 and -w < x < width and -h < y < height)


def _face(row: np.ndarray, scale: np.ndarray) -> Face:
    """One row of YuNet's answer: x, y, width, height, five (x, y), score."""
    box = row[:4].reshape(2, 2) * scale
    return Face(tuple(map(float, box.ravel())), float(row[14]), YuNet.name, row[4:14].reshape(5, 2) * scale)


def load(model: Path) -> YuNet:
    """See ``edgefer.detectors.load``."""
    cv2 = detectors.opencv()
    if not hasattr(cv2, "FaceDetectorYN"):
        raise EnvironmentInvalid(
            f"OpenCV {cv2.__version__} has no YuNet: run pip install 'opencv-python-headless>=4.11,<5'"
        )
    if not model.is_file():
        raise InputRejected(f"YuNet's file {model} is missing; correct --yunet or {detectors.VARIABLE}")
    try:
        network = cv2.FaceDetectorYN.create(str(model), "", (SIDE, SIDE), SCORE, OVERLAP)
        network.detect(np.zeros((SIDE, SIDE, 3), np.uint8))  # another network's file loads, and fails only here
    except cv2.error as error:
        reason = " ".join(str(error).split())[:200]
        raise InputRejected(f"YuNet's file {model} cannot be used ({reason}); download it again") from None
    return YuNet(cv2, network)
