"""Classifier: a bundle's network on one engine. Face → crop → probabilities."""

import numpy as np

from edgefer import engines
from edgefer.align import align_crop, resize
from edgefer.bundle import Bundle
from edgefer.errors import InputRejected
from edgefer.faces import Face


class Classifier:
    """Loads the artifact for ``engine`` and ``precision``.

    Raises:
        UsageError: no such engine or artifact.
        EnvironmentInvalid: the engine is not installed.
        InputRejected: the model file is damaged, or does not fit the bundle's ModelSpec.
    """

    def __init__(self, bundle: Bundle, engine: str, precision: str, threads: int = 1):
        engines.row_of(engine)
        model = bundle.model_path(engine, precision)
        self.spec, self.labels = bundle.spec, bundle.spec.labels
        self.engine = engines.load(engine, model, threads)
        found = (self.engine.input_shape, self.engine.classes)
        if found != (self.spec.crop_shape, len(self.labels)):
            raise InputRejected(
                f"{model}: crop {found[0]} and {found[1]} classes, but the bundle's model.json says "
                f"{self.spec.crop_shape} and {len(self.labels)}; export the bundle again"
            )

    def crop(self, frame: np.ndarray, face: Face) -> np.ndarray:
        """The face's crop, uint8 (S, S, C), out of a frame uint8 (H, W) or (H, W, 3 RGB).

        Raises:
            InputRejected: not a frame, a face without extent, or a detector whose framing the model does not know.
        """
        if face.detector == "none":
            return resize(frame, self.spec.input_size, self.spec.channels)
        return align_crop(frame, face, self.spec)

    def classify(self, crop: np.ndarray) -> np.ndarray:
        """Probabilities float32 (classes,) of a crop uint8 (S, S, C), in the order of ``labels``.

        Raises:
            InputRejected: the crop has another shape or dtype.
        """
        return self.engine.infer(crop[None] if isinstance(crop, np.ndarray) else crop)[0]
