"""The project's own face finder: a small network on the bundle's engine, five landmarks, no OpenCV.

Frame → gray square (``shrink``) → network → cells above the threshold, non-maximum suppression (``edgefer.finder``).

A small face has few pixels left in the square, and its score is low. So, where the frame was shrunk, places whose score lies
from ``FinderSpec.doubt`` to the threshold are looked at again: the part of the frame about each becomes a square of its own,
and is a face if the network, seeing it larger, gives it ``FinderSpec.confirm``. That costs one more run of the network a place,
``MOST_LOOKS`` a frame at most; a frame whose faces are plain costs none.
"""

import math
from pathlib import Path

import numpy as np

from edgefer import detectors, engines
from edgefer.align import check_frame
from edgefer.detectors.shrink import to_square
from edgefer.engines import contract
from edgefer.errors import InputRejected
from edgefer.faces import Face, overlap
from edgefer.finder import Found, decode
from edgefer.finder_spec import OUTPUTS, FinderSpec

LOOK_SIDE, LEAST_LOOK = 5.0, 1.5
"""Side of the part of a frame that a second look sees, in longer sides of the doubtful box: wanted, and least."""
MOST_PART = 2 / 3
"""The most that side may be of the frame's longer one, so that one of 1.5 input sizes or more is seen half as large again."""
SLACK = 1 / 64
"""Pixels added before the part's edges are rounded down, so that a float's last digit does not decide: the page in the browser
cuts the same part."""
MOST_LOOKS = 3
"""Second looks a frame, the best scores first."""
LOOK_OVERLAP = 0.3
"""Least intersection over union of the doubtful box and the face that the second look finds there."""


class Own:
    """See ``edgefer.detectors.Detector``."""

    name = "own"

    def __init__(self, engine: engines.Engine, spec: FinderSpec):
        self.engine, self.spec = engine, spec
        widths = {width: name for name, width in OUTPUTS.items()}
        self._names = [widths[shape[2]] for shape in engine.output_shapes]  # their order is the file format's

    def detect(self, frame: np.ndarray) -> list[Face]:
        check_frame(frame)
        square, scale = to_square(frame, self.spec.input_size)
        looks = self.spec.doubt is not None and max(frame.shape[:2]) > self.spec.input_size
        found = decode(self.outputs(square), self.spec, doubt=self.spec.doubt if looks else None)
        sure = int((found.scores >= np.float32(self.spec.threshold)).sum())
        places = self._faces(found, scale)
        faces = places[:sure]
        for place in places[sure : sure + MOST_LOOKS]:
            face = self._looked_at(frame, place)
            if face and all(overlap(face.box, other.box) <= self.spec.overlap for other in faces):
                faces.append(face)
        return detectors.largest_first(faces)

    def _looked_at(self, frame: np.ndarray, place: Face) -> Face | None:
        """The best face at a doubtful place, seen larger; None: it is none."""
        part = _part(place, frame.shape)
        if part is None:
            return None
        left, top, right, bottom = part
        square, scale = to_square(frame[top:bottom, left:right], self.spec.input_size)
        found = self._faces(decode(self.outputs(square), self.spec, self.spec.confirm), scale, (left, top))
        return next((face for face in found if overlap(face.box, place.box) >= LOOK_OVERLAP), None)

    def outputs(self, square: np.ndarray) -> dict[str, np.ndarray]:
        """What the network says of a gray square, uint8 (S, S): output → float32 (1, cells, width)."""
        return dict(zip(self._names, self.engine.run(square[None, :, :, None]), strict=True))

    def _faces(self, found: Found, scale: tuple[float, float], corner: tuple[int, int] = (0, 0)) -> list[Face]:
        """In the frame's pixels, best first; ``corner``: where the part of it that the square shows begins."""
        scale, corner = np.array(scale, np.float32), np.array(corner, np.float32)
        faces = []
        for score, edges, landmarks in zip(*found, strict=True):
            low, high = edges[:2] * scale, edges[2:] * scale
            box = tuple(map(float, (*(low + corner), *(high - low))))
            faces.append(Face(box, float(score), self.name, landmarks * scale + corner))
        return faces


def _part(place: Face, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom in whole pixels of what a second look sees: about the place, moved into the frame.

    None: the place is too large to be seen any larger, or is no box.
    """
    x, y, width, height = place.box
    longer = max(width, height)
    side = min(LOOK_SIDE * longer, MOST_PART * max(shape[:2]))
    if not (math.isfinite(x + y + width + height) and longer > 0 and side >= LEAST_LOOK * longer):
        return None
    edges = []
    for middle, end in ((x + width / 2, shape[1]), (y + height / 2, shape[0])):
        length = min(math.floor(side + SLACK) + 1, end)
        start = min(max(math.floor(middle - length / 2 + SLACK), 0), end - length)
        edges.append((start, start + length))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def load(model: Path, spec: FinderSpec, engine: str, threads: int = 1) -> Own:
    """The finder of a model file.

    Raises:
        UsageError: no such engine.
        EnvironmentInvalid: the engine is not installed.
        InputRejected: the file is damaged, or is not the network that ``spec`` describes.
    """
    running = engines.load(engine, model, threads, contract.check_finder)
    if running.input_shape != spec.input_shape or {s[1] for s in running.output_shapes} != {spec.cells}:
        raise InputRejected(
            f"{model}: input {running.input_shape} and {running.output_shapes[0][1]} cells, but its spec says "
            f"{spec.input_shape} and {spec.cells}; export the bundle again"
        )
    return Own(running, spec)
