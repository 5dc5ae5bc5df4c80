"""The crops that set a quantised model's ranges, and those on which a way of quantising is chosen."""

import hashlib
from dataclasses import dataclass

import numpy as np

from edgefer.spec import ModelSpec
from train.data import FaceSet, crops_of, ferplus, synthetic
from train.evaluate import for_labels, use_ferplus

CALIBRATION_CROPS = 300
CALIBRATION_SEED, TUNING_SEED = 0, 1
TUNING_SYNTHETIC = 1000


@dataclass(frozen=True)
class Calibration:
    """Calibration and tuning crops from one source; neither is ever used for a verdict."""

    crops: np.ndarray
    """uint8 (CALIBRATION_CROPS, S, S, C): the same for every format."""
    tuning: np.ndarray
    """uint8 (N, S, S, C)."""
    tuning_labels: np.ndarray | None
    """int64 (N,), or None for synthetic faces."""
    source: str
    """Where both come from, for reports."""

    @property
    def sha256(self) -> str:
        """Identity of the calibration crops."""
        return hashlib.sha256(self.crops.tobytes()).hexdigest()


def collect(spec: ModelSpec, data: str | None = None) -> Calibration:
    """FER+ where a copy is found – calibration from its training rows, tuning on their hold-out – otherwise synthetic faces."""
    if use_ferplus(data):
        train = for_labels(ferplus.load("train", data).evaluated, spec.labels)
        held_out = ferplus.holdout(train.names)
        learned, tuning = train[~held_out], train[held_out]
        rows = np.random.default_rng(CALIBRATION_SEED).choice(len(learned), CALIBRATION_CROPS, replace=False)
        source = f"{CALIBRATION_CROPS} random faces of FER+ train, tuned on its {ferplus.HOLDOUT_PERCENT} % hold-out"
        return _calibration(spec, learned[rows], tuning, tuning.labels, source)
    calibration = synthetic.faces(CALIBRATION_CROPS, CALIBRATION_SEED, ferplus.SIDE, synthetic.FERPLUS_SHARES)
    tuning = synthetic.faces(TUNING_SYNTHETIC, TUNING_SEED, ferplus.SIDE)
    source = f"{CALIBRATION_CROPS} synthetic faces (seed {CALIBRATION_SEED}), tuned on {TUNING_SYNTHETIC} (seed {TUNING_SEED})"
    return _calibration(spec, calibration, tuning, None, source)


def _calibration(
    spec: ModelSpec, faces: FaceSet, tuning: FaceSet, labels: np.ndarray | None, source: str
) -> Calibration:
    crops, tuning_crops = (crops_of(f, spec.input_size, spec.channels) for f in (faces, tuning))
    return Calibration(crops, tuning_crops, labels, source)
