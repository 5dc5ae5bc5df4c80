"""Hair and hats, behind the head and over the forehead. Knows nothing of expression."""

import cv2
import numpy as np

from train.data.synthetic.canvas import Canvas, tinted
from train.data.synthetic.face import Face
from train.data.synthetic.geometry import mirrored, rotated, smooth

BACK = -0.5
"""z of the skull's axis; seen from the side the skull is longer than the face is wide."""
LENGTH = 1.3


def _skull(face: Face, half: float) -> tuple[float, float]:
    """x of the skull's middle as seen, and by what factor hair that is ``half`` wide from the front shows wider."""
    middle = rotated([(0.0, 0.0, BACK)], face.pose)[0, 0]
    seen = np.hypot(half * np.cos(face.pose.yaw), LENGTH * face.person.width * np.sin(face.pose.yaw))
    return float(middle), float(seen / half)


def draw_back_hair(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """What shows behind the face: hair, or the bare skull."""
    person = face.person
    bare = person.style in ("bald", "hat")
    low = {"long": 4.9, "fringe": rng.uniform(1.5, 4.0)}.get(person.style, 0.2 + 1.6 * abs(np.sin(face.pose.yaw)))
    wide = person.width * (rng.uniform(1.1, 1.4) if low > 1.45 and not bare else 1.03 if bare else 1.06)
    middle, wider = _skull(face, wide)
    half = [(0.0, -3.3 if bare else -3.7), (1.3, -3.1 if bare else -3.5), (2.1, -2.4), (wide * 1.02, -1.0)]
    half += [(wide, 1.0 if low > 1 else 0.0), (wide * 0.95, low), (0.0, low)]
    hair = Canvas(canvas.scale)
    colour = tinted(person.skin, 0.75) if bare else tinted(person.hair, 0.75)
    hair.fill(smooth(mirrored(half) * [wider, 1] + [middle, 0]), colour)
    if not bare:
        _strands(hair, rng)
    canvas.blend(hair)


def draw_front_hair(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """What lies over the forehead and the temples: hair down to the hairline, a fringe, or a hat."""
    person, hat = face.person, face.person.style == "hat"
    if person.style == "bald":
        return
    line = {"fringe": -1.15, "hat": min(person.hairline + 0.4, -1.15)}.get(person.style, person.hairline)
    part = rng.uniform(-0.8, 0.8)
    hair = Canvas(canvas.scale)
    hair.fill(
        smooth(np.concatenate([_hairline(face, line, part), _crown(face)])), face.scene.cloth if hat else person.hair
    )
    if not hat:
        _strands(hair, rng)
    canvas.blend(hair)


def _hairline(face: Face, line: float, part: float) -> np.ndarray:
    """From the image's left to its right."""
    hat = face.person.style == "hat"
    temple = {"short": 0.1, "hat": -0.9}.get(face.person.style, 1.3)
    edge = face.person.width * (1.1 if hat else 1.04)
    side = [(edge, temple, 0.3), (edge * 0.9, -0.7, 1.0), (1.3, line + 0.25, 1.9)]
    points = np.array([(-x, y, z) for x, y, z in side] + [(part, line - (0 if hat else 0.25), 2.2)] + side[::-1])
    return _visible(rotated(points, face.pose), face.pose.yaw)


def _visible(seen: np.ndarray, yaw: float) -> np.ndarray:
    """The line with the points that hide behind the profile moved onto the last one that shows."""
    if yaw < 0:
        return _visible(seen[::-1] * [-1, 1], -yaw)[::-1] * [-1, 1]
    furthest = np.maximum.accumulate(seen[:, 0])
    shows = np.where(seen[:, 0] >= furthest, np.arange(len(seen)), 0)
    return seen[np.maximum.accumulate(shows)]


def _crown(face: Face) -> np.ndarray:
    """The upper edge of hair, from the image's right to its left."""
    edge = face.person.width * (1.1 if face.person.style == "hat" else 1.04)
    middle, wider = _skull(face, edge)
    half = [(edge * 1.06, -1.0), (edge * 0.92, -2.6), (1.1, -3.5)]
    points = np.array(half + [(-x, y) for x, y in half[::-1]]) * [wider, 1] + [middle, 0]
    return points - [0, 0.8 * np.sin(face.pose.pitch)]


def _strands(hair: Canvas, rng: np.random.Generator) -> None:
    """Streaks, longer than wide, that darken hair."""
    height, width = hair.pixels.shape[:2]
    streaks = rng.uniform(rng.uniform(90, 200), 255, (6, 64)).astype(np.uint8)
    streaks = cv2.resize(streaks, (width, height), interpolation=cv2.INTER_CUBIC)
    opaque = np.full_like(streaks, 255)
    hair.pixels = cv2.multiply(hair.pixels, cv2.merge([streaks, streaks, streaks, opaque]), scale=1 / 255)
