"""A finder's checkpoint as a detector, in fp32 torch: what is judged before anything is exported."""

from pathlib import Path

import numpy as np

from edgefer.detectors.own import Own
from edgefer.finder_spec import OUTPUTS
from train.finder import checkpoint
from train.finder.graph import outputs


class TorchEngine:
    """What ``Own`` needs of an engine."""

    name = "torch"

    def __init__(self, network, spec):
        self._network, self._spec = network, spec
        self.input_shape, self.output_shapes = spec.input_shape, tuple(spec.output_shapes.values())

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        found = outputs(self._network, self._spec, image[..., 0])[0]
        return [found[name] for name in OUTPUTS]


def load(folder: Path) -> Own:
    """The detector of a checkpoint; raises as ``checkpoint.load``."""
    network, spec = checkpoint.load(folder)
    return Own(TorchEngine(network, spec), spec)
