"""The project's own face finder: a small network on the bundle's engine, five landmarks, no OpenCV.

Frame → gray square (``shrink``) → network → cells above the threshold, non-maximum suppression (``edgefer.finder``).
"""

from pathlib import Path

import numpy as np

from edgefer import detectors, engines
from edgefer.align import check_frame
from edgefer.detectors.shrink import to_square
from edgefer.engines import contract
from edgefer.errors import InputRejected
from edgefer.faces import Face
from edgefer.finder import decode
from edgefer.finder_spec import OUTPUTS, FinderSpec


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
        found = decode(self.outputs(square), self.spec)
        faces = zip(found.scores, found.boxes, found.landmarks, strict=True)
        return detectors.largest_first([self._face(*face, np.array(scale, np.float32)) for face in faces])

    def outputs(self, square: np.ndarray) -> dict[str, np.ndarray]:
        """What the network says of a gray square, uint8 (S, S): output → float32 (1, cells, width)."""
        return dict(zip(self._names, self.engine.run(square[None, :, :, None]), strict=True))

    def _face(self, score: float, edges: np.ndarray, landmarks: np.ndarray, scale: np.ndarray) -> Face:
        corner, far = edges[:2] * scale, edges[2:] * scale
        box = tuple(map(float, (*corner, *(far - corner))))
        return Face(box, float(score), self.name, landmarks * scale)


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
