"""What a face is: expression, identity, pose, scene and the label distribution they stand for. Knows nothing of pixels."""

from dataclasses import dataclass

import numpy as np

from edgefer.spec import FERPLUS_LABELS
from train.data.synthetic.actions import Actions

STYLES = ("bald", "short", "fringe", "long", "hat")
OCCLUSIONS = ("none", "glasses", "hand", "mask")


@dataclass(frozen=True)
class Person:
    """Identity. Lengths in face units, shares from 0 to 1, colours RGB 0…255."""

    width: float  # half of the face at the cheekbones
    chin: float  # y of the chin
    jaw: float  # half width at the jaw's angle, as a share of width
    eye_width: float  # half of one eye
    eye_open: float  # height of the upper lid above the eye's centre
    slant: float  # how much higher the eye's outer corner is
    brow_height: float
    brow_weight: float
    brow_tilt: float  # how much lower the brow's inner end is at rest
    nose_length: float
    nose_width: float
    mouth_width: float  # half
    mouth_y: float
    mouth_droop: float  # how much lower the mouth's corners are at rest
    lips: float  # fullness
    age: float
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    style: str  # one of STYLES
    hairline: float  # y where the forehead ends
    beard: float  # 0 none, below 0.5 stubble
    makeup: float


@dataclass(frozen=True)
class Pose:
    """Rotation of the head in radians: yaw to the image's right, pitch downwards, roll clockwise; ``side`` is ±1."""

    yaw: float
    pitch: float
    roll: float
    gaze: tuple[float, float]
    side: int  # of what happens on one side only


@dataclass(frozen=True)
class Scene:
    """Light, camera, what covers the face and what surrounds the head."""

    light: tuple[float, float, float]  # unit vector from the face to the light
    ambient: float
    shine: float
    mean: float  # grey level the picture is exposed to
    deviation: float  # standard deviation of its grey levels
    falloff: tuple[float, float]  # how much brighter the right and the lower edge are than the middle, as a share
    sharpness: float  # pixels the picture has along the side of a crop, as a share of 48
    noise: float  # grey levels
    quality: int  # JPEG's, 1 to 100
    clutter: int  # shapes on the backdrop
    occlusion: str  # one of OCCLUSIONS
    cover: tuple[float, float, float, float]  # what decides the shape of that which covers the face, each 0…1
    cloth: tuple[float, float, float]
    shift: tuple[float, float]  # of the crop against the template, share of its side
    zoom: float


@dataclass(frozen=True)
class Face:
    """Everything that decides a picture, apart from texture."""

    label: int
    other: int  # the smaller part of a blend; the label itself where there is none
    share: float  # of the label in the blend, above one half; 1 where there is none
    strength: float
    actions: Actions
    person: Person
    pose: Pose
    scene: Scene

    @property
    def distribution(self) -> np.ndarray:
        """float32 (8,): what the expression has, its blend's parts by their shares; of the rest, see ``_rest``."""
        shown = 0.5 + 0.5 * min(self.strength, 1.0)
        parts = _rest(self.label) * (1 - shown)
        parts[self.label] += shown * self.share
        parts[self.other] += shown * (1 - self.share)
        return parts.astype(np.float32)


def _rest(label: int) -> np.ndarray:
    """The rest of a weak expression is neutral; the rest of neutral is spread over the others."""
    rest = np.zeros(len(FERPLUS_LABELS))
    rest[0] = 1.0
    return rest if label else (1 - rest) / (len(FERPLUS_LABELS) - 1)
