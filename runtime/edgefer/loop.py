"""The frame loop: frame → faces → crops → probabilities → one JSON object. It knows no files, flags or engines."""

import numpy as np

from edgefer.align import check_frame
from edgefer.classifier import Classifier
from edgefer.detectors import Detector
from edgefer.errors import InputRejected
from edgefer.faces import Face
from edgefer.follow import Follower
from edgefer.sources import Frame
from edgefer.track import Track, Tracker

SMOOTHING = 0.3
"""Default time constant of smoothing, seconds: about the length of a fleeting expression."""
DETECT_EVERY_LIVE = 5
"""How often faces are looked for in a live source, unless said otherwise: a camera does not wait for a detector."""


class FrameLoop:
    """Works through the frames of one source, in their order.

    Args:
        detector: finds faces.
        classifier: reads them.
        moving: frames follow each other in time: faces are tracked and their probabilities smoothed. False: independent
            images.
        smooth: time constant of smoothing in seconds; 0 turns it off.
        detect_every: look for faces in every n-th frame only, and follow them in between; one that is lost on the way, or a
            frame of another size, is a reason to look at once.
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
        self._follower = Follower() if self._every > 1 and detector.name != "none" else None
        self._faces: list[Face] = []
        self._until, self._shape = 0, None

    def step(self, frame: Frame) -> dict:
        """One frame's line: ``{frame, source, time_s, faces: [{track, box, label, probabilities}], dropped}``.

        A frame that cannot be used gives no faces and an ``error``. ``dropped`` counts frames skipped before this one to keep
        up with a live source; files are never hurried.
        """
        line = {
            "frame": frame.index,
            "source": frame.source,
            "time_s": round(frame.time, 6),
            "faces": [],
            "dropped": frame.dropped,
        }
        if frame.error:
            return {**line, "error": frame.error}
        try:
            return {**line, "faces": self._read(frame)}
        except InputRejected as error:
            return {**line, "error": str(error)}

    def _read(self, frame: Frame) -> list[dict]:
        check_frame(frame.image)
        faces = self._found(frame.image)
        tracks = self._tracker.assign(faces, frame.time) if self._tracker else [None] * len(faces)
        return [self._face(frame, face, track) for face, track in zip(faces, tracks, strict=True)]

    def _found(self, image: np.ndarray) -> list[Face]:
        followed = self._followed(image) if self._until > 0 and image.shape == self._shape else None
        self._until = self._until - 1 if followed is not None else 0
        if followed is not None:
            return followed
        self._faces, self._until, self._shape = self._detector.detect(image), self._every - 1, image.shape
        if self._follower:
            self._follower.remember(image, self._faces)
        return self._faces

    def _followed(self, image: np.ndarray) -> list[Face] | None:
        return self._follower.move(image) if self._follower else self._faces

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
