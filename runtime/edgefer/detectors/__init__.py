"""Face detectors, one module each: frame → faces. They know OpenCV; they do not know what a face expresses."""

from pathlib import Path
from typing import Protocol

import numpy as np

from edgefer.align import check_frame
from edgefer.errors import EnvironmentInvalid, InputRejected, unknown
from edgefer.faces import Face
from edgefer.finder_spec import FinderModel

VARIABLE = "EDGEFER_YUNET"
NAMES = {
    "own": "the bundle's own small network, with five landmarks; needs no OpenCV",
    "yunet": "a small network that also finds five landmarks; needs its ONNX file",
    "haar": "OpenCV's cascade, a box only; needs nothing, misses more",
    "none": "the whole image is one face crop, as in data sets of crops",
}
"""Detector name → what it is."""


class Detector(Protocol):
    """Not thread-safe."""

    name: str

    def detect(self, frame: np.ndarray) -> list[Face]:
        """Faces in a uint8 frame (H, W) or (H, W, 3 RGB), largest first, in that frame's pixels.

        Raises:
            InputRejected: not a frame.
        """


class WholeFrame:
    """No detector: the frame is the face."""

    name = "none"

    def detect(self, frame: np.ndarray) -> list[Face]:
        check_frame(frame)
        height, width = frame.shape[:2]
        return [Face(box=(0.0, 0.0, float(width), float(height)), score=1.0, detector=self.name)]


def load(name: str, yunet: str | Path | None = None, own: FinderModel | None = None) -> Detector:
    """Make a detector.

    Args:
        name: one of ``NAMES``.
        yunet: YuNet's ONNX file; only ``yunet`` needs it.
        own: the bundle's finder; only ``own`` needs it.

    Raises:
        UsageError: no such detector.
        EnvironmentInvalid: OpenCV is missing or too new (Haar), no file of YuNet is named, or the engine is not installed.
        InputRejected: YuNet's file is missing or damaged, or there is no finder in the bundle.
    """
    if name not in NAMES:
        raise unknown("detector", name, NAMES, "edgefer")
    if name == "none":
        return WholeFrame()
    if name == "own":
        if own is None:
            raise InputRejected(
                "the bundle has no face finder of its own; export it again with this version, or use --detector yunet or haar"
            )
        from edgefer.detectors import own as own_module

        return own_module.load(*own)
    if name == "haar":
        from edgefer.detectors import haar

        return haar.load()
    if not yunet:
        raise EnvironmentInvalid(
            f"detector 'yunet' needs its model file: name it with --yunet or {VARIABLE} "
            "(face_detection_yunet_*.onnx of the OpenCV Zoo), or use --detector haar"
        )
    from edgefer.detectors import yunet as yunet_module

    return yunet_module.load(Path(yunet))


def opencv():
    """The cv2 module; the one place that says how to install it."""
    try:
        import cv2
    except ModuleNotFoundError:
        raise EnvironmentInvalid("OpenCV is not installed here; run: pip install 'edgefer[camera]'") from None
    except ImportError as error:
        raise EnvironmentInvalid(f"OpenCV is installed here and does not load ({error}); run: edgefer doctor") from None
    return cv2


def largest_first(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: face.box[2] * face.box[3], reverse=True)
