"""Faces drawn at random, and made to fit conditions. Knows nothing of pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from edgefer.spec import FERPLUS_LABELS
from train.data.synthetic.actions import PROTOTYPES, Actions, actions_of, blended, partners
from train.data.synthetic.face import OCCLUSIONS, Face, Person, Pose, Scene

BLENDED = 0.3
"""Share of blends among the faces that are not neutral; 26 % of faces with balanced labels."""
OCCLUDED = (0.8, 0.13, 0.05, 0.02)
"""Share of each of ``OCCLUSIONS`` where nothing is asked for."""
SEEN_SIDE = np.radians(25)
"""Beyond this yaw, what happens on one side of the face happens on the one that is seen."""


@dataclass(frozen=True)
class Conditions:
    """What every face must fit; None leaves it to chance. Ranges are of absolute degrees."""

    yaw: tuple[float, float] | None = None
    pitch: tuple[float, float] | None = None
    occlusion: str | None = None


@dataclass(frozen=True)
class Request:
    """Which faces: their seed, the share of each label (None: each block of eight holds every label) and the conditions."""

    seed: int
    shares: tuple[float, ...] | None = None
    conditions: Conditions = Conditions()


def sampled(request: Request, rows: Sequence[int]) -> Iterator[tuple[Face, np.random.Generator]]:
    """Face and generator of each index."""
    for i in rows:
        rng = np.random.default_rng([request.seed, i, 0])
        face = sample(_label(request, i), rng)
        if request.conditions != Conditions():
            face = conditioned(face, request.conditions, np.random.default_rng([request.seed, i, 3]))
        yield face, rng


def _label(request: Request, i: int) -> int:
    classes = len(FERPLUS_LABELS)
    if request.shares is not None:
        return int(np.random.default_rng([request.seed, i, 2]).choice(classes, p=request.shares))
    return _order(request.seed, i // classes)[i % classes]


@lru_cache(maxsize=1)
def _order(seed: int, block: int) -> list[int]:
    return np.random.default_rng([seed, block, 1]).permutation(len(FERPLUS_LABELS)).tolist()


def conditioned(face: Face, conditions: Conditions, rng: np.random.Generator) -> Face:
    """The same face, turned and covered as asked for; the light, the person and the expression stay."""
    pose, scene = face.pose, face.scene
    for name in ("yaw", "pitch"):
        asked, sign, within = getattr(conditions, name), rng.choice([-1.0, 1.0]), rng.random()
        if asked is not None:
            degrees = asked[0] + (asked[1] - asked[0]) * within
            pose = replace(pose, **{name: float(sign * np.radians(degrees))})
    kind = str(rng.choice(OCCLUSIONS[1:]))
    if conditions.occlusion is not None:
        scene = replace(scene, occlusion=kind if conditions.occlusion == "any" else conditions.occlusion)
    return replace(face, pose=_one_sided(pose), scene=scene)


def _one_sided(pose: Pose) -> Pose:
    return replace(pose, side=-int(np.sign(pose.yaw))) if abs(pose.yaw) > SEEN_SIDE else pose


def sample(label: int, rng: np.random.Generator, other: int | None = None) -> Face:
    """A random face that shows ``label``; blended with ``other`` where given, else now and then with one of its partners."""
    strength = rng.uniform(0.75, 1.15)
    mates = [FERPLUS_LABELS.index(name) for name in partners(FERPLUS_LABELS[label])]
    chance, mate, share = rng.random(), rng.random(), rng.uniform(0.52, 0.8)
    if other is None and mates and chance < BLENDED:
        other = mates[int(mate * len(mates))]
    first, second = _prototype(label, rng), _prototype(label if other is None else other, rng)
    if other is None:
        other, share = label, 1.0
    shown = first if other == label else blended(first, second, share)
    actions = _actions(shown, strength, rng)
    person, pose = _person(rng), _pose(FERPLUS_LABELS[label], rng)
    return Face(label, other, share, strength, actions, person, _one_sided(pose), _scene(rng))


def _prototype(label: int, rng: np.random.Generator) -> Actions:
    prototypes = PROTOTYPES[FERPLUS_LABELS[label]]
    return actions_of(prototypes[rng.integers(len(prototypes))])


def _actions(shown: Actions, strength: float, rng: np.random.Generator) -> Actions:
    """What is shown at some strength, each unit a little off, over a face that is never quite at rest."""
    values = shown.values()
    values = values * strength * rng.uniform(0.8, 1.2, len(values)) + rng.uniform(0, 0.06, len(values))
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
MEN = ("bald", "bald", "short", "short", "short", "short", "short", "short", "short", "hat", "fringe", "long")
WOMEN = ("long", "long", "long", "long", "long", "fringe", "fringe", "fringe", "short", "short", "hat")
CHILDREN = 0.12


def _person(rng: np.random.Generator) -> Person:
    age = float(rng.beta(1.3, 2.0))
    male = rng.random() < 0.5
    tone = float(rng.beta(1.1, 1.7)) * (len(SKIN) - 1)
    skin = [float(np.interp(tone, range(len(SKIN)), SKIN[:, c]) * rng.uniform(0.95, 1.05)) for c in range(3)]
    hair = HAIR[rng.integers(2 if tone > 3 else len(HAIR))] if rng.random() > 0.5 * age else HAIR[6]
    shade = rng.uniform(0.8, 1.2)
    person = Person(
        width=rng.normal(2.12, 0.09),
        chin=rng.normal(3.3 if male else 3.15, 0.13),
        jaw=rng.uniform(0.74, 0.92) if male else rng.uniform(0.68, 0.84),
        eye_width=rng.normal(0.5, 0.03),
        eye_open=float(np.clip(rng.normal(0.2, 0.03), 0.13, 0.28)),
        slant=rng.normal(0.04, 0.03),
        brow_height=rng.normal(0.52 if male else 0.6, 0.07),
        brow_weight=rng.uniform(0.1, 0.2) if male else rng.uniform(0.06, 0.13),
        brow_tilt=rng.normal(0.02, 0.05),
        nose_length=rng.normal(1.16, 0.08),
        nose_width=rng.normal(0.43, 0.05),
        mouth_width=rng.normal(0.82, 0.06),
        mouth_y=rng.normal(1.98, 0.07),
        mouth_droop=rng.normal(0.03, 0.05),
        lips=rng.uniform(0.6, 1.2),
        age=age,
        skin=tuple(skin),
        hair=tuple(shade * c for c in hair),
        iris=IRIS[rng.integers(2 if tone > 2.5 else len(IRIS))],
        style=str(rng.choice(MEN if male else WOMEN)),
        hairline=rng.normal(-1.75, 0.18),
        beard=rng.uniform(0.1, 1.0) if male and rng.random() < 0.45 else 0.0,
        makeup=0.0 if male else float(rng.uniform(0, 1)),
    )
    return _as_child(person) if rng.random() < CHILDREN else person


def _as_child(person: Person) -> Person:
    """Larger eyes, a shorter nose and chin, a smooth and rounder face."""
    return replace(
        person,
        width=person.width * 1.06,
        chin=person.chin - 0.4,
        jaw=0.9,
        eye_width=person.eye_width * 1.1,
        eye_open=person.eye_open * 1.15,
        brow_weight=0.06,
        nose_length=person.nose_length * 0.88,
        mouth_width=person.mouth_width * 0.9,
        mouth_y=person.mouth_y - 0.12,
        age=0.0,
        beard=0.0,
        makeup=0.0,
    )


def _pose(label: str, rng: np.random.Generator) -> Pose:
    """Mostly frontal. As in FER+, the sad look down, and who shows contempt or fear looks aside."""
    yaw = float(np.clip(rng.normal(0, 0.26), -0.8, 0.8))
    pitch = float(np.clip(rng.normal(0.1 if label == "sadness" else 0.0, 0.13), -0.4, 0.4))
    roll = float(np.clip(rng.normal(0, 0.14), -0.5, 0.5))
    gaze = rng.normal(0, 0.4 if label in ("contempt", "fear") else 0.25), rng.normal(0, 0.15)
    down = 0.3 if label == "sadness" else 0.0
    return Pose(yaw, pitch, roll, (float(gaze[0]), float(gaze[1]) + down), 1 if rng.random() < 0.5 else -1)


def _scene(rng: np.random.Generator) -> Scene:
    light = np.array([rng.normal(0, 0.6), rng.normal(-0.45, 0.3), 1.0])
    cloth = CLOTH[rng.integers(len(CLOTH))]
    return Scene(
        light=tuple(float(c) for c in light / np.linalg.norm(light)),
        ambient=rng.uniform(0.15, 0.7),
        shine=rng.uniform(0, 0.3),
        mean=float(np.clip(rng.normal(128, 34), 45, 205)),
        deviation=float(np.clip(rng.normal(57, 14), 22, 90)),
        falloff=(rng.normal(0, 0.15), rng.normal(0, 0.12)),
        sharpness=rng.uniform(0.85, 1.4),
        noise=rng.gamma(1.5, 0.9),
        quality=int(rng.integers(45, 101)),
        clutter=int(rng.integers(0, 7)),
        occlusion=str(rng.choice(OCCLUSIONS, p=OCCLUDED)),
        cover=tuple(rng.random(4).tolist()),
        cloth=tuple(float(c * rng.uniform(0.7, 1.1)) for c in cloth),
        shift=(rng.normal(0, 0.035), rng.normal(0, 0.035)),
        zoom=float(np.exp(rng.normal(0, 0.08))),
    )
