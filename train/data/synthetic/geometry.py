"""Where the parts of a face lie, in face units, for its Action Units and pose. Knows nothing of light and pixels."""

import math
from dataclasses import dataclass

import numpy as np

from train.data.synthetic.face import Face, Pose

HEAD = (2.7, 4.2, 2.4)
"""Half axes of the ellipsoid that stands for the head."""
HEAD_Y = 0.4
SIDES = (-1, 1)


def _depth(points: np.ndarray) -> np.ndarray:
    """z of the smooth head at (N, 2) points seen from the front."""
    x, y = points[:, 0], points[:, 1]
    return HEAD[2] * np.sqrt(np.maximum(0.05, 1 - (x / HEAD[0]) ** 2 - ((y - HEAD_Y) / HEAD[1]) ** 2))


ALL_SHOWS = 0.35
"""Yaw in radians up to which no part of a face lies beyond the head's horizon."""
EYE_DEPTH = float(_depth(np.array([[1.0, 0.0]]))[0])


def turned(points, pose: Pose, lift: float | np.ndarray = 0.0) -> np.ndarray:
    """Frontal points (N, 2), ``lift`` above the smooth head, as seen when the head bows, then turns about its eyes' middle.

    What turns beyond the head's horizon stays on it.
    """
    x, y = np.asarray(points, np.float64).reshape(-1, 2).T
    row = np.maximum(0.05, 1 - np.square((y - HEAD_Y) / HEAD[1]))
    depth = np.sqrt(np.maximum(0.05, row - np.square(x / HEAD[0])))
    z = HEAD[2] * depth + (lift - EYE_DEPTH)
    cosine, sine, up, bow = math.cos(pose.yaw), math.sin(pose.yaw), math.cos(pose.pitch), math.sin(pose.pitch)
    seen = np.empty((len(x), 2))
    bowed = z * up - y * bow
    seen[:, 0] = x * cosine + bowed * sine
    seen[:, 1] = y * up + z * bow
    if abs(pose.yaw) > ALL_SHOWS:
        horizon = math.copysign(reach(pose), sine) * np.sqrt(row) + (bowed - HEAD[2] * depth) * sine
        seen[:, 0] = np.where(cosine * depth * HEAD[0] ** 2 > sine * HEAD[2] * x, seen[:, 0], horizon)
    return seen


def facing(points: np.ndarray, pose: Pose) -> np.ndarray:
    """How much of its width a part of the smooth head at frontal points (N, 2) shows: 1 in front, 0 beyond the horizon."""
    slope = HEAD[2] ** 2 * points[:, 0] / HEAD[0] ** 2 / _depth(points)
    return np.clip(math.cos(pose.yaw) - math.sin(pose.yaw) * slope, 0, 1)


def reach(pose: Pose) -> float:
    """Half the width at which the ellipsoid shows."""
    return math.hypot(HEAD[0] * math.cos(pose.yaw), HEAD[2] * math.sin(pose.yaw))


def rotated(points, pose: Pose) -> np.ndarray:
    """Points (N, 3) as seen, (N, 2), when the head bows, then turns; the point between the eyes stays where it is."""
    cosine, sine, up, bow = math.cos(pose.yaw), math.sin(pose.yaw), math.cos(pose.pitch), math.sin(pose.pitch)
    matrix = np.array([[cosine, 0.0], [-bow * sine, up], [up * sine, bow]])
    return (np.asarray(points, np.float64).reshape(-1, 3) - [0, 0, EYE_DEPTH]) @ matrix


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
    open_ = (1 + 0.95 * a.lid_raise - 0.45 * a.lid_tighten - 0.25 * a.cheek_raise) * max(0.0, 1 - 1.1 * a.eyes_close)
    upper = person.eye_open * max(open_, 0.04)
    lower = 0.65 * person.eye_open * max(0.05, 1 + 0.4 * a.lid_raise - 0.5 * a.lid_tighten - 0.6 * a.cheek_raise)
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
        base + 0.05 + person.brow_tilt - 0.42 * a.inner_brow_raise + 0.46 * a.brow_lower + 0.12 * a.nose_wrinkle,
    )
    peak = (1.15, base - 0.1 - 0.1 * a.inner_brow_raise - 0.36 * a.outer_brow_raise + 0.27 * a.brow_lower)
    outer = (1.68, base + 0.1 - 0.3 * a.outer_brow_raise + 0.1 * a.inner_brow_raise + 0.04 * a.brow_lower)
    sceptical = -0.24 if face.pose.side == side else 0.1  # one brow up, one down, as goes with a one-sided mouth
    inner, peak = (inner[0], inner[1] + 0.3 * sceptical * a.dimple), (peak[0], peak[1] + sceptical * a.dimple)
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
    x = person.mouth_width + 0.34 * a.corner_pull + 0.26 * a.lip_stretch + 0.12 * one_sided
    x -= 0.34 * a.pucker + 0.14 * a.jaw_drop * (1 - min(1, a.lip_stretch + a.corner_pull))
    y = person.mouth_y + person.mouth_droop - 0.25 * a.corner_pull + 0.22 * a.corner_depress
    y += 0.08 * (a.dimple - one_sided) - 0.22 * one_sided
    return side * x + 0.1 * face.pose.side * a.dimple, y + 0.4 * a.jaw_drop + 0.1 * a.lip_stretch


def mouth_shape(face: Face) -> Mouth:
    a, person = face.actions, face.person
    (x0, y0), (x1, y1) = mouth_corner(face, -1), mouth_corner(face, 1)
    x, base = np.interp(ARC, [-1, 1], [x0, x1]), np.interp(ARC, [-1, 1], [y0, y1])
    thin = person.lips * (1 - 0.6 * a.lip_press) * (1 - 0.25 * a.corner_pull) * (1 - 0.2 * a.lip_stretch)
    inner = person.mouth_y - 0.18 * a.upper_lip_raise - 0.1 * a.nose_wrinkle - 0.12 * a.chin_raise
    inner -= 0.06 * a.corner_depress + 0.06 * a.corner_pull * a.lips_part
    gap = 0.02 + (0.26 + 0.12 * a.corner_pull) * a.lips_part + 1.0 * a.jaw_drop
    middle = (y0 + y1) / 2
    raised = a.upper_lip_raise * (1 - min(1, a.corner_pull))  # squarely, but in a smile
    round_ = 1 - np.abs(ARC) ** (2 + 3 * a.lip_stretch + a.jaw_drop + 3 * raised)
    square = 1 - np.abs(ARC) ** (3 + 4 * a.lip_stretch + 2 * raised)  # a stretched mouth is a box, not a smile

    def curve(at: float, shape: np.ndarray) -> np.ndarray:
        return np.column_stack([x, base + (at - middle) * shape])

    top = curve(inner - 0.2 * thin - 0.05 * a.pucker, square)
    top[:, 1] += BOW * thin
    return Mouth(
        top,
        curve(inner, round_),
        curve(inner + gap, square),
        curve(inner + gap + 0.27 * thin + 0.05 * a.pucker + 0.05 * a.chin_raise, square),
    )


def chin_drop(face: Face) -> float:
    """How far the chin moves down."""
    return 0.7 * face.actions.jaw_drop - 0.06 * face.actions.chin_raise


def head_strips(face: Face) -> list[np.ndarray]:
    """Closed outlines (N, 2), turned, whose union is the face with its profile: between ribs that run from top to chin."""
    middle, cheek, edge, ear = _profile_rib(face), _cheek_rib(face), _edge_rib(face), _ear_rib(face)
    skin = np.concatenate([middle, cheek, cheek * [-1, 1, 1]])
    profile, *cheeks = np.split(turned(skin[:, :2], face.pose, skin[:, 2]), [len(middle), len(middle) + len(cheek)])
    flanks = np.concatenate([edge, ear, edge * [-1, 1, 1], ear * [-1, 1, 1]])
    ends = np.cumsum([len(edge), len(ear), len(edge)])
    right, right_ear, left, left_ear = np.split(rotated(flanks, face.pose), ends)
    strips = [(profile, cheeks[0]), (profile, cheeks[1]), (cheeks[0], right), (cheeks[1], left)]
    strips += [(right, right_ear), (left, left_ear)]
    return [np.concatenate([rib, other[::-1]]) for rib, other in strips]


def _profile_rib(face: Face) -> np.ndarray:
    """The middle line: x, y and lift above the smooth head, (N, 3)."""
    p, chin = face.person, face.person.chin + chin_drop(face)
    rows = [(-3.1, -0.2), (-2.0, 0.0), (-0.5, 0.12), (0.0, 0.06), (0.5, 0.4), (p.nose_length - 0.15, 0.78)]
    rows += [(p.nose_length + 0.12, 0.6), (p.nose_length + 0.24, 0.2), (p.mouth_y - 0.1, 0.28), (p.mouth_y + 0.5, 0.1)]
    rows += [(chin - 0.25, 0.3), (chin, -0.2)]
    return np.array([(0.0, y, lift) for y, lift in rows])


def _cheek_rib(face: Face) -> np.ndarray:
    """What bounds a face that turns aside, half way to the ear: x, y and lift above the smooth head, (N, 3)."""
    chin = face.person.chin + chin_drop(face)
    rows = [(1.0, -2.6, -0.2), (1.5, -2.0, 0.0), (1.6, -0.9, 0.0), (1.65, -0.45, 0.08), (1.5, 0.05, -0.1)]
    return np.array(rows + [(1.6, 0.7, 0.1), (1.4, 1.5, 0.0), (1.1, 2.2, 0.0), (0.7, chin - 0.3, 0.0)])


def _edge_rib(face: Face) -> np.ndarray:
    """What bounds the right half of a face seen from the front, from the top of the forehead to the chin: x, y, z, (N, 3)."""
    p, chin = face.person, face.person.chin + chin_drop(face)
    low = 0.4 * (chin - 3.3)
    half = [(0.0, -3.1, 1.5), (1.1, -2.85, 1.3), (1.8, -2.1, 1.0), (p.width, -0.9, 0.8), (p.width * 1.01, 0.3, 0.7)]
    half += [(p.width * 0.97, 1.2, 0.7), (p.width * p.jaw, 2.3 + low, 0.8), (p.width * p.jaw * 0.62, chin - 0.32, 1.5)]
    half += [(0.4, chin - 0.02, 1.9), (0.0, chin, 1.95)]
    return rounded(np.array(half))


def _ear_rib(face: Face) -> np.ndarray:
    """Where the side of the head ends, before the ear and down to the jaw's angle: x, y, z, (N, 3)."""
    p, chin = face.person, face.person.chin + chin_drop(face)
    rows = [(1.7, -2.4, 0.0), (p.width, -0.9, -0.3), (p.width, 1.0, -0.3), (p.width * 0.95, 1.7, -0.2)]
    return np.array([*rows, (p.width * p.jaw, 2.2 + 0.4 * (chin - 3.3), 0.3)])


def mirrored(half) -> np.ndarray:
    """Closed outline from its right half (N, 2), whose first and last points lie on the middle line."""
    right = np.array(half)
    return np.concatenate([right, right[-2:0:-1] * [-1, 1]])


def rounded(points: np.ndarray) -> np.ndarray:
    """Two rounds of Chaikin's corner cutting of an open line whose ends stay."""
    for _ in range(2):
        first, second = points[:-1], points[1:]
        cut = np.stack([0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second], 1).reshape(-1, points.shape[1])
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def smooth(points: np.ndarray) -> np.ndarray:
    """Two rounds of Chaikin's corner cutting of a closed polygon."""
    for _ in range(2):
        following = np.concatenate([points[1:], points[:1]])
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1).reshape(-1, 2)
    return points


SHOULDERS = smooth(np.array([(-1.4, 3.3), (1.4, 3.3), (4.6, 4.6), (6.0, 14.0), (-6.0, 14.0), (-4.6, 4.6)]))
