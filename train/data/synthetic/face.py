"""What a face is – Action Units, identity, pose, scene – and how one is drawn at random. Knows nothing of pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from edgefer.spec import FERPLUS_LABELS


@dataclass(frozen=True)
class Actions:
    """FACS Action Units, 0 (rest) to about 1 (strongest)."""

    inner_brow_raise: float = 0.0
    outer_brow_raise: float = 0.0
    brow_lower: float = 0.0
    lid_raise: float = 0.0
    cheek_raise: float = 0.0
    lid_tighten: float = 0.0
    nose_wrinkle: float = 0.0
    upper_lip_raise: float = 0.0
    corner_pull: float = 0.0
    dimple: float = 0.0
    """On one side only, ``Pose.side``: contempt's."""
    corner_depress: float = 0.0
    chin_raise: float = 0.0
    pucker: float = 0.0
    lip_stretch: float = 0.0
    lip_press: float = 0.0
    lips_part: float = 0.0
    jaw_drop: float = 0.0
    eyes_close: float = 0.0


FACS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 24, 25, 26, 43)
"""FACS number of each field of ``Actions``, in order."""


def actions_of(units: dict[int, float]) -> Actions:
    """Actions from {FACS number: strength}; what is not named is at rest."""
    return Actions(*(units.get(number, 0.0) for number in FACS))


PROTOTYPES: dict[str, tuple[dict[int, float], ...]] = {
    "neutral": ({}, {25: 0.1}, {24: 0.25}),
    "happiness": (
        {6: 0.7, 10: 0.3, 12: 1.0, 25: 1.0},
        {6: 0.9, 10: 0.5, 12: 1.1, 25: 1.1, 26: 0.05},
        {6: 1.0, 10: 0.4, 12: 1.0, 25: 1.0, 26: 0.35},
        {6: 0.6, 12: 1.0},
    ),
    "surprise": (
        {1: 1.0, 2: 1.0, 5: 0.9, 18: 0.6, 25: 0.5, 26: 0.85},
        {1: 1.0, 2: 1.0, 5: 1.0, 18: 0.8, 25: 0.6, 26: 0.5},
    ),
    "sadness": (
        {1: 1.2, 4: 0.15, 15: 1.0, 17: 0.3, 43: 0.45},
        {1: 1.2, 4: 0.15, 15: 0.8, 43: 0.7},
        {1: 1.2, 4: 0.3, 6: 0.5, 7: 0.5, 10: 0.3, 15: 0.9, 20: 0.3, 25: 0.7, 26: 0.25, 43: 0.7},
    ),
    "anger": (
        {4: 1.2, 5: 0.2, 7: 0.6, 9: 0.6, 15: 0.6, 24: 0.7},
        {4: 1.2, 7: 0.5, 9: 0.6, 10: 0.7, 20: 0.4, 25: 1.0, 26: 0.5},
        {4: 1.2, 7: 0.6, 9: 0.8, 10: 0.7, 15: 0.4, 20: 0.3, 25: 0.9, 26: 0.15},
    ),
    "disgust": (
        {4: 0.7, 6: 0.7, 7: 1.0, 9: 1.3, 10: 1.2, 15: 0.6, 25: 0.3},
        {4: 0.6, 6: 0.6, 7: 0.9, 9: 1.3, 10: 0.9, 15: 1.0, 17: 0.6},
    ),
    "fear": (
        {1: 1.2, 2: 0.4, 4: 0.4, 5: 1.2, 15: 0.3, 20: 0.8, 25: 0.9, 26: 0.35},
        {1: 1.2, 2: 0.5, 4: 0.4, 5: 1.2, 15: 0.3, 20: 0.6, 25: 0.8, 26: 0.55},
    ),
    "contempt": (
        {7: 0.3, 14: 1.0, 43: 0.2},
        {2: 0.2, 7: 0.2, 14: 1.0, 24: 0.4},
    ),
}
"""FER+ label → its prototypes at full strength, {FACS number: strength}, equally likely. After the combinations of Action Units
in Ekman and Friesen's FACS investigator's guide."""


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
    nose_length: float
    nose_width: float
    mouth_width: float  # half
    mouth_y: float
    lips: float  # fullness
    age: float
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    style: str  # one of STYLES
    hairline: float  # y where the forehead ends
    beard: float  # 0 none, below 0.5 stubble
    makeup: float
    glasses: str  # "", "clear" or "dark"


STYLES = ("bald", "short", "short", "fringe", "long", "long", "hat")


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
    """Light, camera and what surrounds the head."""

    light: tuple[float, float, float]  # unit vector from the face to the light
    ambient: float
    shine: float
    mean: float  # grey level the picture is exposed to
    deviation: float  # standard deviation of its grey levels
    sharpness: float  # pixels the picture has along the side of a crop, as a share of 48
    noise: float  # grey levels
    clutter: int  # shapes on the backdrop
    hand: bool
    cloth: tuple[float, float, float]
    shift: tuple[float, float]  # of the crop against the template, share of its side
    zoom: float


@dataclass(frozen=True)
class Face:
    """Everything that decides a picture, apart from texture."""

    label: int
    strength: float
    actions: Actions
    person: Person
    pose: Pose
    scene: Scene

    @property
    def distribution(self) -> np.ndarray:
        """float32 (8,): the rest of a weak expression is neutral; the rest of neutral is spread."""
        share = 0.5 + 0.5 * min(self.strength, 1.0)
        rest = np.zeros(len(FERPLUS_LABELS), np.float32)
        rest[0] = 1.0
        if self.label == 0:
            rest = np.full(len(FERPLUS_LABELS), 1 / (len(FERPLUS_LABELS) - 1), np.float32)
            rest[0] = 0.0
        rest *= 1 - share
        rest[self.label] += share
        return rest


def sample(label: int, rng: np.random.Generator) -> Face:
    """A random face that shows ``label``."""
    strength = rng.uniform(0.75, 1.15)
    prototypes = PROTOTYPES[FERPLUS_LABELS[label]]
    prototype = actions_of(prototypes[rng.integers(len(prototypes))])
    return Face(label, strength, _actions(prototype, strength, rng), _person(rng), _pose(rng), _scene(rng))


def sampled(n: int, seed: int, shares: Sequence[float] | None = None) -> Iterator[tuple[Face, np.random.Generator]]:
    """Face and generator of each index; without ``shares``, each block of eight holds every label, in an order of its own."""
    classes = len(FERPLUS_LABELS)
    for i in range(n):
        if shares is not None:
            label = np.random.default_rng([seed, i, 2]).choice(classes, p=shares)
        else:
            if i % classes == 0:
                order = np.random.default_rng([seed, i // classes, 1]).permutation(classes)
            label = order[i % classes]
        rng = np.random.default_rng([seed, i, 0])
        yield sample(int(label), rng), rng


def _actions(prototype: Actions, strength: float, rng: np.random.Generator) -> Actions:
    """The prototype at some strength, each unit a little off, over a face that is never quite at rest."""
    shown = np.array(astuple(prototype))
    values = shown * strength * rng.uniform(0.8, 1.2, len(shown)) + rng.uniform(0, 0.06, len(shown))
    return Actions(*np.clip(values, 0, 1.5).tolist())


SKIN = np.array(
    [[246, 214, 190], [232, 190, 160], [205, 155, 120], [165, 115, 82], [118, 78, 55], [78, 50, 36]], np.float32
)
HAIR = (
    (22, 18, 16),
    (38, 28, 22),
    (62, 42, 28),
    (96, 66, 40),
    (160, 120, 70),
    (205, 175, 120),
    (150, 150, 150),
    (120, 60, 35),
)
IRIS = ((60, 38, 22), (75, 50, 30), (95, 110, 80), (90, 120, 150))
CLOTH = ((235, 235, 235), (30, 30, 35), (60, 80, 130), (140, 40, 40), (110, 120, 100), (180, 170, 150))


def _person(rng: np.random.Generator) -> Person:
    age = float(rng.beta(1.3, 2.0))
    male = rng.random() < 0.5
    tone = float(rng.beta(1.1, 1.7)) * (len(SKIN) - 1)
    skin = [float(np.interp(tone, range(len(SKIN)), SKIN[:, c]) * rng.uniform(0.95, 1.05)) for c in range(3)]
    hair = HAIR[rng.integers(2 if tone > 3 else len(HAIR))] if rng.random() > 0.5 * age else HAIR[6]
    shade = rng.uniform(0.8, 1.2)
    return Person(
        width=rng.normal(2.12, 0.09),
        chin=rng.normal(3.3 if male else 3.15, 0.13),
        jaw=rng.uniform(0.72, 0.9) if male else rng.uniform(0.66, 0.82),
        eye_width=rng.normal(0.5, 0.03),
        eye_open=float(np.clip(rng.normal(0.2, 0.03), 0.13, 0.28)),
        slant=rng.normal(0.04, 0.03),
        brow_height=rng.normal(0.56 if male else 0.64, 0.05),
        brow_weight=rng.uniform(0.1, 0.2) if male else rng.uniform(0.06, 0.13),
        nose_length=rng.normal(1.16, 0.08),
        nose_width=rng.normal(0.43, 0.05),
        mouth_width=rng.normal(0.82, 0.06),
        mouth_y=rng.normal(1.98, 0.07),
        lips=rng.uniform(0.6, 1.2),
        age=age,
        skin=tuple(skin),
        hair=tuple(shade * c for c in hair),
        iris=IRIS[rng.integers(2 if tone > 2.5 else len(IRIS))],
        style=str(STYLES[rng.integers(len(STYLES))])
        if male or rng.random() < 0.3
        else str(rng.choice(["long", "fringe"])),
        hairline=rng.normal(-1.75, 0.18),
        beard=rng.uniform(0.1, 1.0) if male and rng.random() < 0.45 else 0.0,
        makeup=0.0 if male else float(rng.uniform(0, 1)),
        glasses=str(rng.choice(["", "clear", "dark"], p=[0.85, 0.13, 0.02])),
    )


def _pose(rng: np.random.Generator) -> Pose:
    yaw = float(np.clip(rng.normal(0, 0.22), -0.6, 0.6))
    pitch = float(np.clip(rng.normal(0, 0.12), -0.35, 0.35))
    gaze = rng.normal(0, 0.25, 2)
    return Pose(
        yaw, pitch, rng.normal(0, 0.13), (float(gaze[0]), float(gaze[1]) * 0.6), 1 if rng.random() < 0.5 else -1
    )


def _scene(rng: np.random.Generator) -> Scene:
    light = np.array([rng.normal(0, 0.55), rng.normal(-0.45, 0.3), 1.0])
    cloth = CLOTH[rng.integers(len(CLOTH))]
    return Scene(
        light=tuple(float(c) for c in light / np.linalg.norm(light)),
        ambient=rng.uniform(0.2, 0.75),
        shine=rng.uniform(0, 0.3),
        mean=float(np.clip(rng.normal(130, 34), 45, 205)),
        deviation=float(np.clip(rng.normal(57, 15), 22, 90)),
        sharpness=rng.uniform(0.8, 1.3),
        noise=rng.gamma(1.5, 1.2),
        clutter=int(rng.integers(0, 7)),
        hand=rng.random() < 0.06,
        cloth=tuple(float(c * rng.uniform(0.7, 1.1)) for c in cloth),
        shift=(rng.normal(0, 0.035), rng.normal(0, 0.035)),
        zoom=float(np.exp(rng.normal(0, 0.08))),
    )
