"""The null engine: the right shapes and no computation. With it a benchmark measures the loop around a network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgefer.engines import contract
from edgefer.spec import ModelSpec


class Null:
    """See ``edgefer.engines.Engine``. Every class is equally probable."""

    name = "null"

    def __init__(self, spec: ModelSpec):
        self.input_shape, self.classes = spec.crop_shape, len(spec.labels)
        self.output_shapes = ((1, self.classes),)
        self._probabilities = np.full((1, self.classes), 1 / self.classes, np.float32)

    def infer(self, crop: np.ndarray) -> np.ndarray:
        contract.check_crop(crop, self.input_shape)
        return self._probabilities.copy()

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        return [self.infer(image)]

    @property
    def details(self) -> dict:
        return {"engine": "null", "threads": 0, "precision": "none"}


def load(model: Path, threads: int, check: Callable = contract.check_graph) -> Null:
    """``model`` is a bundle's ``model.json``; see ``edgefer.engines.load`` for the rest."""
    return Null(ModelSpec.load(model))
