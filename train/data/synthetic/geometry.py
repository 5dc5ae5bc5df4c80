"""Where the parts of a face lie, in face units, for its Action Units and pose. Knows nothing of light and pixels."""

from dataclasses import dataclass

import numpy as np

from train.data.synthetic.face import Face, Pose

HEAD = np.array([2.7, 4.2, 2.4])
"""Half axes of the ellipsoid that stands for the head."""
HEAD_Y = 0.4
SIDES = (-1, 1)


def _depth(points: np.ndarray) -> np.ndarray:
    """z of the smooth head at (N, 2) points seen from the front."""
    x, y = points[:, 0], points[:, 1]
    return HEAD[2] * np.sqrt(np.maximum(0.05, 1 - (x / HEAD[0]) ** 2 - ((y - HEAD_Y) / HEAD[1]) ** 2))


EYE_DEPTH = float(_depth(np.array([[1.0, 0.0]]))[0])


def turned(points, pose: Pose, lift: float | np.ndarray = 0.0) -> np.ndarray:
    """Frontal points (N, 2), ``lift`` above the smooth head, as seen when the head turns about the point between its eyes."""
    points = np.asarray(points, np.float64).reshape(-1, 2)
    z = _depth(points) + lift - EYE_DEPTH
    x = points[:, 0] * np.cos(pose.yaw) + z * np.sin(pose.yaw)
    y = points[:, 1] * np.cos(pose.pitch) + z * np.sin(pose.pitch)
    return np.column_stack([x, y])


def landmarks(face: Face) -> np.ndarray:
    """Five landmarks (5, 2) in face units, in the order of ``Alignment.landmarks``."""
    corners = [mouth_corner(face, side) for side in SIDES]
    flat = turned([(-1, 0), (1, 0), *corners], face.pose, 0.1)
    nose = turned([(0, face.person.nose_length)], face.pose, 0.75)
    return np.concatenate([flat[:2], nose, flat[2:]])


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


ARC = np.linspace(-1, 1, 15)
BOW = 0.06 * np.exp(-((ARC / 0.16) ** 2)) - 0.02 * np.exp(-(((np.abs(ARC) - 0.25) / 0.15) ** 2))
"""Cupid's bow: the dent and two peaks of the upper lip."""


@dataclass(frozen=True)
class Eye:
    """Outline of one eye in face units; ``upper`` and ``lower`` run from the inner to the outer corner."""

    centre: np.ndarray
    upper: np.ndarray
    lower: np.ndarray

    @property
    def outline(self) -> np.ndarray:
        return np.concatenate([self.upper, self.lower[::-1]])


def eye_shape(face: Face, side: int) -> Eye:
    a, person = face.actions, face.person
    open_ = (1 + 0.75 * a.lid_raise - 0.4 * a.lid_tighten - 0.25 * a.cheek_raise) * max(0.0, 1 - 1.1 * a.eyes_close)
    upper = person.eye_open * max(open_, 0.04)
    lower = 0.65 * person.eye_open * max(0.05, 1 + 0.25 * a.lid_raise - 0.5 * a.lid_tighten - 0.6 * a.cheek_raise)
    lower *= 1 - 0.4 * min(a.eyes_close, 1)
    x = side * (1 + person.eye_width * ARC)
    tilt = -person.slant * ARC
    shape = np.maximum(0, 1 - np.abs(ARC) ** 2.3)
    droop = 0.12 * a.eyes_close
    return Eye(
        np.array([side, 0.0]),
        np.column_stack([x, tilt - upper * shape + droop * shape]),
        np.column_stack([x, tilt + lower * shape]),
    )


def brow_outline(face: Face, side: int) -> np.ndarray:
    """Closed outline of one eyebrow, thick at its inner end."""
    a, person = face.actions, face.person
    base = -person.brow_height
    inner = (
        0.42 - 0.2 * a.brow_lower,
        base + 0.05 - 0.4 * a.inner_brow_raise + 0.44 * a.brow_lower + 0.1 * a.nose_wrinkle,
    )
    peak = (1.15, base - 0.1 - 0.08 * a.inner_brow_raise - 0.34 * a.outer_brow_raise + 0.26 * a.brow_lower)
    outer = (1.68, base + 0.1 - 0.3 * a.outer_brow_raise + 0.08 * a.inner_brow_raise + 0.04 * a.brow_lower)
    if face.pose.side == side:  # the sceptical brow that goes with a one-sided mouth
        peak = (peak[0], peak[1] - 0.18 * a.dimple)
    t = np.linspace(0, 1, 9)[:, None]
    control = 2 * np.array(peak) - (np.array(inner) + np.array(outer)) / 2
    middle = (1 - t) ** 2 * inner + 2 * t * (1 - t) * control + t**2 * outer
    half = person.brow_weight * (1 - 0.75 * t) * [[0, 1]]
    half[0] *= 0.6
    return np.concatenate([middle - half, (middle + half)[::-1]]) * [side, 1]


@dataclass(frozen=True)
class Mouth:
    """Four curves (15, 2) from the image's left corner to its right: outer and inner edge of both lips."""

    top: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    bottom: np.ndarray


def mouth_corner(face: Face, side: int) -> tuple[float, float]:
    a, person = face.actions, face.person
    one_sided = a.dimple if side == face.pose.side else 0.0
    x = (
        person.mouth_width
        + 0.36 * a.corner_pull
        + 0.22 * a.lip_stretch
        + 0.14 * one_sided
        - 0.34 * a.pucker
        - 0.06 * a.jaw_drop
    )
    y = person.mouth_y - 0.26 * a.corner_pull + 0.26 * a.corner_depress - 0.24 * one_sided
    return side * x, y + 0.4 * a.jaw_drop + 0.12 * a.lip_stretch


def mouth_shape(face: Face) -> Mouth:
    a, person = face.actions, face.person
    (x0, y0), (x1, y1) = mouth_corner(face, -1), mouth_corner(face, 1)
    x, base = np.interp(ARC, [-1, 1], [x0, x1]), np.interp(ARC, [-1, 1], [y0, y1])
    thin = person.lips * (1 - 0.6 * a.lip_press) * (1 - 0.25 * a.corner_pull) * (1 - 0.2 * a.lip_stretch)
    inner = (
        person.mouth_y - 0.16 * a.upper_lip_raise - 0.1 * a.nose_wrinkle - 0.14 * a.chin_raise + 0.03 * a.corner_pull
    )
    inner -= 0.06 * a.corner_depress
    gap = 0.02 + (0.26 + 0.14 * a.corner_pull) * a.lips_part + 1.0 * a.jaw_drop
    middle = (y0 + y1) / 2
    round_ = 1 - np.abs(ARC) ** (2 + 3 * a.lip_stretch + a.jaw_drop)
    square = 1 - np.abs(ARC) ** (3 + 4 * a.lip_stretch)  # a stretched mouth is a box, not a smile

    def curve(at: float, shape: np.ndarray) -> np.ndarray:
        return np.column_stack([x, base + (at - middle) * shape])

    top = curve(inner - 0.2 * thin - 0.05 * a.pucker, square)
    top[:, 1] += BOW * thin
    return Mouth(
        top,
        curve(inner, round_),
        curve(inner + gap, square),
        curve(inner + gap + 0.27 * thin + 0.05 * a.pucker, square),
    )


def chin_drop(face: Face) -> float:
    """How far the chin moves down."""
    return 0.7 * face.actions.jaw_drop - 0.06 * face.actions.chin_raise


def face_outline(face: Face) -> np.ndarray:
    """Closed outline of the face (N, 2), turned: it lies further back than the features, so it moves the other way."""
    p, chin = face.person, face.person.chin + chin_drop(face)
    half = [(0.0, -3.1), (1.1, -2.85), (1.8, -2.1), (p.width, -0.9), (p.width * 1.01, 0.3), (p.width * 0.97, 1.2)]
    half += [
        (p.width * p.jaw, 2.3 + 0.4 * (chin - 3.3)),
        (p.width * p.jaw * 0.62, chin - 0.32),
        (0.4, chin - 0.02),
        (0.0, chin),
    ]
    points = mirrored(half)
    points[:, 0] += (0.9 - EYE_DEPTH) * np.sin(face.pose.yaw)
    points[:, 1] = points[:, 1] * np.cos(face.pose.pitch) + (1.2 - EYE_DEPTH) * np.sin(face.pose.pitch)
    return smooth(points)


def mirrored(half) -> np.ndarray:
    """Closed outline from its right half (N, 2), whose first and last points lie on the middle line."""
    right = np.array(half)
    return np.concatenate([right, right[-2:0:-1] * [-1, 1]])


def smooth(points: np.ndarray) -> np.ndarray:
    """Two rounds of Chaikin's corner cutting of a closed polygon."""
    for _ in range(2):
        following = np.concatenate([points[1:], points[:1]])
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1).reshape(-1, 2)
    return points


SHOULDERS = smooth(np.array([(-1.4, 3.3), (1.4, 3.3), (4.6, 4.6), (6.0, 14.0), (-6.0, 14.0), (-4.6, 4.6)]))
