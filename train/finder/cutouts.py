"""Faces to paste: photographs and drawn faces in gray, each in several resolutions so that shrinking does not alias."""

from dataclasses import dataclass

import cv2
import numpy as np

from edgefer.align import similarity
from train.data import finder, synthetic

LEAST_SIDE = 16
"""Pixels; pictures are halved down to about this."""
DRAWN_FRAME = (320, 240)
DRAWN_SEED = 77
"""Of the synthetic faces learned from; nothing else uses it."""
DRAWN_REACH = np.array([[-1.1, -1.3], [1.1, 1.4]])
"""Of the picture that is cut around a drawn face, in widths and heights of its box, from its middle."""


@dataclass(frozen=True)
class Cutout:
    """A face and the picture around it."""

    levels: tuple[np.ndarray, ...]
    """uint8 (H, W): as it is, then halved again and again."""
    box: np.ndarray
    """float32 (4,): x, y, width, height in pixels of the first level."""
    landmarks: np.ndarray
    """float32 (5, 2), pixels of the first level."""

    def level(self, scale: float) -> tuple[np.ndarray, float]:
        """The picture that comes closest from above to one shrunk by ``scale``, and what its pixels are in the first's."""
        at = int(np.clip(np.floor(np.log2(max(1.0, 1 / scale))), 0, len(self.levels) - 1))
        return self.levels[at], self.levels[0].shape[1] / self.levels[at].shape[1]


def cutout(image: np.ndarray, box: np.ndarray, landmarks: np.ndarray) -> Cutout:
    """A face out of a gray picture, uint8 (H, W)."""
    levels = [image]
    while min(levels[-1].shape) >= 2 * LEAST_SIDE:
        height, width = levels[-1].shape
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return Cutout(tuple(levels), np.asarray(box, np.float32), np.asarray(landmarks, np.float32))


def of_photos(photos: list[finder.Picture]) -> list[Cutout]:
    """One for each gray photograph: of the largest face in it."""
    found = []
    for photo in photos:
        largest = int((photo.boxes[:, 2] * photo.boxes[:, 3]).argmax())
        found.append(cutout(photo.image, photo.boxes[largest], photo.landmarks[largest]))
    return found


def drawn(n: int, known: list[Cutout]) -> list[Cutout]:
    """``n`` synthetic faces; their boxes lie about their landmarks as those of the ``known`` do."""
    if not n:
        return []
    usual = UsualBox(known)
    frames, landmarks = synthetic.frames(n, DRAWN_SEED, *DRAWN_FRAME)
    grays = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames)
    return [around(gray, points, usual(points)) for gray, points in zip(grays, landmarks, strict=True)]


def around(image: np.ndarray, landmarks: np.ndarray, box: np.ndarray | None = None) -> Cutout:
    """The part of a gray picture about a face with these landmarks (5, 2); without a ``box``, a rough one about them."""
    if box is None:
        low, high = landmarks.min(0), landmarks.max(0)
        box = np.concatenate([low - 0.6 * (high - low), 2.2 * (high - low)])
    middle = box[:2] + box[2:] / 2
    low, high = (middle + DRAWN_REACH * box[2:]).round().astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, image.shape[::-1])
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    return cutout(part, [*(box[:2] - low), *box[2:]], landmarks - low)


class UsualBox:
    """Where the teacher's box lies about five landmarks: the mean over faces, each turned upright by its landmarks."""

    def __init__(self, known: list[Cutout]):
        shapes = np.stack([(c.landmarks - c.box[:2] - c.box[2:] / 2) / np.sqrt(c.box[2] * c.box[3]) for c in known])
        self._template = shapes.mean(0)
        self._sides = np.stack([c.box[2:] / np.sqrt(c.box[2] * c.box[3]) for c in known]).mean(0)

    def __call__(self, landmarks: np.ndarray) -> np.ndarray:
        """float (4,): x, y, width, height of the box of a face with these landmarks (5, 2)."""
        matrix = similarity(self._template, landmarks)
        scale = np.hypot(matrix[0, 0], matrix[1, 0])
        return np.concatenate([matrix[:, 2] - scale * self._sides / 2, scale * self._sides])
