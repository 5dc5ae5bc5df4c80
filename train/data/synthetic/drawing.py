"""The head: flat colours, shaded, then what light hardly shades – eyes, mouth, hair, glasses, hand."""

import cv2
import numpy as np

from train.data.synthetic.canvas import Canvas, rgba, tinted
from train.data.synthetic.face import Face, Pose
from train.data.synthetic.geometry import (
    ARC,
    SIDES,
    Mouth,
    brow_outline,
    chin_drop,
    eye_shape,
    face_outline,
    mirrored,
    mouth_shape,
    smooth,
    turned,
)
from train.data.synthetic.shading import shade

TOOTH = 0.36
"""Height of the upper teeth in face units."""


def draw_head(face: Face, rng: np.random.Generator, scale: float) -> Canvas:
    """The head with hair, glasses and hand on a transparent canvas, upright."""
    canvas = Canvas(scale)
    _draw_back_hair(canvas, face, rng)
    _draw_skin(canvas, face)
    light = shade(canvas, face, rng)
    for side in SIDES:
        _draw_eye(canvas, face, side, light)
        canvas.fill(turned(brow_outline(face, side), face.pose, 0.1), tinted(face.person.hair, 0.75 * light))
    _draw_mouth(canvas, face, light)
    _draw_front_hair(canvas, face, rng)
    if face.person.glasses:
        _draw_glasses(canvas, face)
    if face.scene.hand:
        _draw_hand(canvas, face, rng, light)
    return canvas


def _draw_skin(canvas: Canvas, face: Face) -> None:
    """Flat colours of everything that the relief shades: neck, ears, face, beard, nostrils."""
    person, outline = face.person, face_outline(face)
    middle = outline[:, 0].mean()
    neck = np.array([(-1.35, 1.8), (1.35, 1.8), (1.45, 4.9), (-1.45, 4.9)]) + [0.6 * middle, 0]
    canvas.fill(neck, tinted(person.skin, 0.62))
    for side in SIDES:
        ear = np.array([(2.0, -0.5), (2.4, -0.6), (2.5, 0.0), (2.3, 0.9), (1.95, 1.0)])
        ear *= [side * person.width / 2.12, 1]
        canvas.fill(smooth(ear + [1.5 * middle, 0]), tinted(person.skin, 0.82))
    canvas.fill(outline, person.skin)
    if person.beard:
        _draw_beard(canvas, face)
    nostrils = [(side * 0.2, person.nose_length + 0.14 - 0.05 * face.actions.nose_wrinkle) for side in SIDES]
    for nostril in turned(nostrils, face.pose, 0.5):
        canvas.dot(nostril, 0.085, tinted(person.skin, 0.35, 0.28, 0.28))


def _draw_beard(canvas: Canvas, face: Face) -> None:
    person, mouth, chin = face.person, mouth_shape(face), face.person.chin + chin_drop(face)
    strength = min(1.0, 0.25 + 0.75 * person.beard)
    colour = [s + (h - s) * 0.8 * strength for s, h in zip(person.skin, person.hair, strict=True)]
    half = [
        (0.0, chin + 0.02),
        (0.9, chin - 0.25),
        (1.5, 2.4),
        (1.75, 1.3),
        (1.45, 1.75),
        (1.05, 1.75),
        (0.4, 1.55),
        (0.0, 1.58),
    ]
    beard = Canvas(canvas.scale)
    beard.fill(smooth(turned(mirrored(half) * [person.width / 2.12, 1], face.pose, 0.1)), colour)
    beard.pixels = cv2.blur(beard.pixels, (2 * int(0.15 * canvas.scale) + 1,) * 2)
    canvas.blend(beard)
    around = np.concatenate([mouth.top - [0, 0.06], mouth.bottom[::-1] + [0, 0.1]])
    canvas.fill(turned(around, face.pose, 0.15), person.skin)


def _draw_eye(canvas: Canvas, face: Face, side: int, light: float) -> None:
    eye, person, pose = eye_shape(face, side), face.person, face.pose
    skin = tinted(person.skin, light)
    outline = turned(eye.outline, pose)
    white = canvas.patch(outline)
    ball = (225 * min(1.0, light + 0.1),) * 3
    white.pixels[:] = rgba(ball)
    centre = turned([eye.centre + np.array(pose.gaze) * [0.45, 0.2]], pose)[0]
    iris = 0.25
    white.dot(centre, iris, tinted(person.iris, 0.55))
    white.dot(centre, 0.8 * iris, tinted(person.iris, 0.9 * light))
    white.dot(centre, 0.45 * iris, (12, 10, 10))
    white.dot(centre + [0.08 * np.sign(face.scene.light[0]), -0.09], 0.055, (245, 245, 245))
    white.keep_inside(outline)
    canvas.blend(white)
    dark = tinted(skin, *(0.35 - 0.15 * person.makeup,) * 3)
    canvas.line(turned(eye.upper, pose), dark, 0.06 + 0.05 * person.makeup)
    canvas.line(turned(eye.lower, pose), tinted(skin, 0.62, 0.55, 0.52), 0.03)


def _draw_mouth(canvas: Canvas, face: Face, light: float) -> None:
    mouth, a, pose = mouth_shape(face), face.actions, face.pose
    lip = tinted(
        face.person.skin, *(f * light for f in (0.8 - 0.1 * face.person.makeup, 0.6 - 0.2 * face.person.makeup, 0.58))
    )
    canvas.fill(turned(np.concatenate([mouth.top, mouth.upper[::-1]]), pose, 0.15), tinted(lip, 0.86))
    canvas.fill(turned(np.concatenate([mouth.lower, mouth.bottom[::-1]]), pose, 0.15), tinted(lip, 1.08))
    inside = turned(np.concatenate([mouth.upper, mouth.lower[::-1]]), pose, 0.1)
    opening = float((mouth.lower - mouth.upper)[:, 1].max())
    canvas.fill(inside, (38 * light, 14 * light, 14 * light))
    if opening > 0.12 and a.pucker < 0.5:
        _draw_teeth(canvas, mouth, pose, light, opening)
    if opening > 0.5:
        tongue = np.column_stack([0.55 * mouth.lower[:, 0], mouth.lower[:, 1] - 0.3 * opening * (1 - ARC**2)])
        canvas.fill(
            turned(np.concatenate([tongue, (mouth.lower * [0.55, 1])[::-1]]), pose),
            (120 * light, 55 * light, 55 * light),
        )
    canvas.line(turned(mouth.upper, pose, 0.15), tinted(lip, 0.35), 0.045)


def _draw_teeth(canvas: Canvas, mouth: Mouth, pose: Pose, light: float, opening: float) -> None:
    """The upper row, at most ``TOOTH`` high, and below it the lower row where the mouth is not open wide."""
    narrow = np.array([0.9, 1.0])
    gap = (mouth.lower - mouth.upper)[:, 1:]
    ivory = tinted((242, 238, 228), min(1.0, 0.08 + light))
    upper = mouth.upper + np.minimum(gap, TOOTH * (1 - ARC**4)[:, None]) * [[0, 1]]
    if opening < 0.6:
        lower = mouth.lower - np.maximum(0.9 * gap - TOOTH, 0) * [[0, 1]]
        canvas.fill(turned(np.concatenate([lower, mouth.lower[::-1]]) * narrow, pose, 0.1), tinted(ivory, 0.85))
    canvas.fill(turned(np.concatenate([mouth.upper, upper[::-1]]) * narrow, pose, 0.1), ivory)


def _draw_back_hair(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    person = face.person
    if person.style in ("bald", "hat"):
        return
    low = {"long": 4.9, "fringe": rng.uniform(1.5, 4.0)}.get(person.style, 0.2)
    wide = person.width * (rng.uniform(1.15, 1.45) if low > 1 else 1.06)
    half = [
        (0.0, -3.7),
        (1.3, -3.5),
        (2.2, -2.6),
        (wide * 1.02, -1.0),
        (wide, 1.0 if low > 1 else 0.0),
        (wide * 0.95, low),
        (0.0, low),
    ]
    points = mirrored(half)
    points[:, 0] += -1.6 * np.sin(face.pose.yaw)
    hair = Canvas(canvas.scale)
    hair.fill(smooth(points), tinted(person.hair, 0.75))
    _strands(hair, rng)
    canvas.blend(hair)


def _draw_front_hair(canvas: Canvas, face: Face, rng: np.random.Generator) -> None:
    """What lies over the forehead and the temples: hair down to the hairline, a fringe, or a hat."""
    person = face.person
    if person.style == "bald":
        return
    line = {"fringe": -1.15, "hat": min(person.hairline + 0.4, -1.15)}.get(person.style, person.hairline)
    part = rng.uniform(-0.8, 0.8)
    temple = {"short": 0.1, "hat": -0.9}.get(person.style, 1.3)
    edge = person.width * (1.1 if person.style == "hat" else 1.04)
    lower = [
        (-edge, temple),
        (-edge * 0.9, -0.7),
        (-1.3, line + 0.25),
        (part, line - (0.25 if person.style != "hat" else 0)),
    ]
    lower += [(1.3, line + 0.25), (edge * 0.9, -0.7), (edge, temple)]
    upper = [
        (edge * 1.06, -1.0),
        (edge * 0.92, -2.6),
        (1.1, -3.5),
        (-1.1, -3.5),
        (-edge * 0.92, -2.6),
        (-edge * 1.06, -1.0),
    ]
    points = np.array(lower + upper)
    points[:, 0] += -1.0 * np.sin(face.pose.yaw)
    points[:, 1] += -0.8 * np.sin(face.pose.pitch)
    hair = Canvas(canvas.scale)
    hair.fill(smooth(points), face.scene.cloth if person.style == "hat" else person.hair)
    if person.style != "hat":
        _strands(hair, rng)
    canvas.blend(hair)


def _strands(hair: Canvas, rng: np.random.Generator) -> None:
    """Streaks, longer than wide, that darken hair."""
    height, width = hair.pixels.shape[:2]
    streaks = rng.uniform(rng.uniform(90, 200), 255, (6, 64)).astype(np.uint8)
    streaks = cv2.resize(streaks, (width, height), interpolation=cv2.INTER_CUBIC)
    hair.pixels = cv2.multiply(
        hair.pixels, cv2.merge([streaks, streaks, streaks, np.full_like(streaks, 255)]), scale=1 / 255
    )


def _draw_glasses(canvas: Canvas, face: Face) -> None:
    dark = face.person.glasses == "dark"
    for side in SIDES:
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        rim = np.column_stack([side + 0.74 * np.cos(angle), 0.08 + 0.55 * np.sin(angle)])
        rim = turned(rim, face.pose, 0.35)
        if dark:
            canvas.fill(rim, (25, 25, 28))
        canvas.line(rim, (30, 28, 28), 0.07, closed=True)
        canvas.line(turned([(side * 1.74, 0.0), (side * 2.2, -0.1)], face.pose, 0.2), (30, 28, 28), 0.08)
    canvas.line(turned([(-0.27, 0.0), (0.0, -0.08), (0.27, 0.0)], face.pose, 0.4), (30, 28, 28), 0.07)


def _draw_hand(canvas: Canvas, face: Face, rng: np.random.Generator, light: float) -> None:
    """Fingers on a cheek or over the mouth."""
    side, skin = face.pose.side, tinted(face.person.skin, light)
    root = np.array([side * rng.uniform(1.0, 2.4), 4.4])
    tip = np.array([side * rng.uniform(0.2, 1.8), rng.uniform(1.2, 2.4)])
    for k in range(4):
        across = np.array([0.42 * (k - 1.5), 0.1 * abs(k - 1.5)])
        finger = np.array([root + across, (root + tip) / 2 + across * 1.05, tip + across])
        canvas.line(finger, tinted(skin, 0.6), 0.48)
        canvas.line(finger, tinted(skin, 0.95), 0.38)
