"""Tracks: which face of this frame is which of the last, and what it has expressed lately."""

import math
from dataclasses import dataclass, field

import numpy as np

from edgefer.faces import Box, Face, overlap

LEAST_OVERLAP = 0.3
"""Two boxes with less intersection over union than this are two people."""
PATIENCE = 0.5
"""Seconds a track survives without its face: a blink of the detector, not a change of persons."""
GAP = 2.0
"""Longest time between two frames of one scene, seconds. A slow device may see one frame a second: a face that was in the frame
before is the same one, though more than ``PATIENCE`` ago. After a longer gap nobody knows."""


@dataclass
class Track:
    """One face over time."""

    id: int
    box: Box
    seen: float
    """Time of the last frame in which its face was found, seconds."""
    probabilities: np.ndarray | None = None
    """float32 (classes,), smoothed; None before the first."""
    _updated: float = field(default=0.0, repr=False)

    def smooth(self, probabilities: np.ndarray, time: float, constant: float) -> np.ndarray:
        """Blend new probabilities (classes,) into the track's: p ← p + (1 − e^(−Δt/constant)) · (new − p).

        ``constant`` is the time constant in seconds; 0 leaves the new ones as they are.
        """
        if self.probabilities is None or constant <= 0:
            self.probabilities = probabilities
        else:
            weight = 1 - math.exp(-max(0.0, time - self._updated) / constant)
            self.probabilities = self.probabilities + np.float32(weight) * (probabilities - self.probabilities)
        self._updated = time
        return self.probabilities


class Tracker:
    """Gives each face the track it overlaps most, the best pair first; a face without one begins a new track."""

    def __init__(self):
        self._tracks: list[Track] = []
        self._next = 1
        self._last = 0.0

    def assign(self, faces: list[Face], time: float) -> list[Track]:
        """The tracks of ``faces``, in their order; ``time`` in seconds, not decreasing."""
        patience = max(PATIENCE, min(GAP, time - self._last))
        self._tracks = [track for track in self._tracks if time - track.seen <= patience]
        self._last = time
        chosen = _matches(faces, self._tracks)
        return [self._seen(chosen.get(i), face, time) for i, face in enumerate(faces)]

    def _seen(self, track: Track | None, face: Face, time: float) -> Track:
        if track is None:
            track = Track(self._next, face.box, time)
            self._tracks.append(track)
            self._next += 1
        track.box, track.seen = face.box, time
        return track


def _matches(faces: list[Face], tracks: list[Track]) -> dict[int, Track]:
    """Index of a face → its track."""
    pairs = [(overlap(face.box, track.box), i, j) for i, face in enumerate(faces) for j, track in enumerate(tracks)]
    chosen, taken = {}, set()
    for amount, i, j in sorted(pairs, reverse=True):
        if amount >= LEAST_OVERLAP and i not in chosen and j not in taken:
            chosen[i] = tracks[j]
            taken.add(j)
    return chosen
