"""The frame loop: frame → faces → crops → probabilities → one JSON object. It knows no files, flags or engines."""

import numpy as np

from edgefer.classifier import Classifier
from edgefer.detectors import Detector
from edgefer.errors import InputRejected
from edgefer.faces import Face
from edgefer.sources import Frame
from edgefer.track import Track, Tracker

SMOOTHING = 0.3
"""Default time constant of smoothing, seconds: about the length of a fleeting expression."""


class FrameLoop:
    """Works through the frames of one source, in their order.

    Args:
        detector: finds faces.
        classifier: reads them.
        moving: frames follow each other in time: faces are tracked and their probabilities smoothed. False: independent
            images.
        smooth: time constant of smoothing in seconds; 0 turns it off.
        detect_every: look for faces in every n-th frame only, and where they were in between.
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier,
        moving: bool,
        smooth: float = SMOOTHING,
        detect_every: int = 1,
    ):
        self._detector, self._classifier, self._smooth = detector, classifier, smooth
        self._every = detect_every if moving else 1
        self._tracker = Tracker() if moving else None
        self._faces: list[Face] = []
        self._since = 0

    def step(self, frame: Frame) -> dict:
        """One frame's line: ``{frame, source, time_s, faces: [{track, box, label, probabilities}], dropped}``.

        A frame that cannot be used gives no faces and an ``error``. ``dropped`` counts frames skipped before this one to keep
        up with a live source; files are never hurried.
        """
        line = {"frame": frame.index, "source": frame.source, "time_s": round(frame.time, 6), "faces": [], "dropped": 0}
        if frame.error:
            return {**line, "error": frame.error}
        try:
            return {**line, "faces": self._read(frame)}
        except InputRejected as error:
            return {**line, "error": str(error)}

    def _read(self, frame: Frame) -> list[dict]:
        faces = self._found(frame.image)
        tracks = self._tracker.assign(faces, frame.time) if self._tracker else [None] * len(faces)
        return [self._face(frame, face, track) for face, track in zip(faces, tracks, strict=True)]

    def _found(self, image: np.ndarray) -> list[Face]:
        if self._since % self._every == 0:
            self._faces = self._detector.detect(image)
        self._since += 1
        return self._faces

    def _face(self, frame: Frame, face: Face, track: Track | None) -> dict:
        probabilities = self._classifier.classify(self._classifier.crop(frame.image, face))
        if track:
            probabilities = track.smooth(probabilities, frame.time, self._smooth)
        labels = self._classifier.labels
        return {
            "track": track.id if track else None,
            "box": [round(float(side), 2) for side in face.box],
            "label": labels[int(probabilities.argmax())],
            "probabilities": {name: round(float(p), 6) for name, p in zip(labels, probabilities, strict=True)},
        }
