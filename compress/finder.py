"""The squares that set a quantised finder's ranges, and those on which every format is compared with fp32."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from edgefer.errors import EnvironmentInvalid
from edgefer.finder_spec import FinderSpec
from train.data import finder, synthetic
from train.finder import cutouts
from train.finder.compose import compose

CALIBRATION, PARITY = 200, 300
"""How many squares."""
CALIBRATION_SEED, PARITY_SEED = 11, 12
PHOTOS = 600
"""Photographs of the training part that calibration frames are composed from."""
DRAWN, FRAME = 100, (320, 240)
"""Synthetic frames that faces and backgrounds are cut from, where there are no photographs."""


@dataclass(frozen=True)
class FinderFrames:
    """Squares of one source; neither kind is used to report how well faces are found."""

    calibration: np.ndarray
    """uint8 (CALIBRATION, S, S)."""
    parity: np.ndarray
    """uint8 (PARITY, S, S)."""
    source: str

    @property
    def sha256(self) -> str:
        """Identity of the calibration squares."""
        return hashlib.sha256(self.calibration.tobytes()).hexdigest()


def use_photos(data: str | None) -> bool:
    """Whether photographs serve: where ``data``, or ``EDGEFER_DATA``, holds them."""
    return data != "synthetic" and finder.find(data) is not None


def collect(spec: FinderSpec, data: str | None = None) -> FinderFrames:
    """Frames composed from photographs where they are found – calibration from the training part, parity from the tuning part –
    otherwise frames composed from synthetic faces."""
    size = spec.input_size
    if not use_photos(data):
        calibration, parity = (_drawn(n, s, size) for n, s in ((CALIBRATION, CALIBRATION_SEED), (PARITY, PARITY_SEED)))
        source = f"frames composed from synthetic faces, seeds {CALIBRATION_SEED} and {PARITY_SEED}"
        return FinderFrames(calibration, parity, source)
    calibration = _composed("train", CALIBRATION, CALIBRATION_SEED, size, data, PHOTOS)
    parity = _composed("tune", PARITY, PARITY_SEED, size, data)
    return FinderFrames(calibration, parity, "frames composed from photographs, of the training and of the tuning part")


def _composed(part: str, n: int, seed: int, size: int, data: str | None, photos: int | None = None) -> np.ndarray:
    faces = cutouts.of_photos(finder.load("photos", (part,), data, gray=True)[:photos])
    scenes = [scene.image for scene in finder.load("scenes", (part,), data, gray=True)]
    if not (faces and scenes):
        raise EnvironmentInvalid(
            f"{finder.TITLE} have no photographs or scenes of the part '{part}'; unpack them again"
        )
    return _frames(n, seed, faces, scenes, size)


def _drawn(n: int, seed: int, size: int) -> np.ndarray:
    """Synthetic faces in parts of synthetic frames: that those hold faces too does not matter to ranges or to parity."""
    pictures, landmarks = synthetic.frames(DRAWN, seed, *FRAME)
    scenes = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    faces = [cutouts.around(scene, points) for scene, points in zip(scenes, landmarks, strict=True)]
    return _frames(n, seed, faces, scenes, size)


def _frames(n: int, seed: int, faces: list[cutouts.Cutout], scenes: list[np.ndarray], size: int) -> np.ndarray:
    return np.stack([compose(np.random.default_rng((seed, i)), faces, scenes, size)[0] for i in range(n)])
