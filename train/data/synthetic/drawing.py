"""The head: flat colours, shaded, then what light hardly shades – eyes, brows, mouth. Hair and covers are drawn elsewhere."""

import cv2
import numpy as np

from train.data.synthetic.canvas import Canvas, rgba, tinted
from train.data.synthetic.covers import draw_mask, draw_over
from train.data.synthetic.face import Face
from train.data.synthetic.geometry import (
    ALL_SHOWS,
    ARC,
    SIDES,
    Mouth,
    brow_outline,
    chin_drop,
    eye_shape,
    facing,
    head_strips,
    mirrored,
    mouth_shape,
    rotated,
    smooth,
    turned,
)
from train.data.synthetic.hair import draw_back_hair, draw_front_hair
from train.data.synthetic.shading import shade

TOOTH = 0.36
"""Height of the upper teeth in face units."""


def draw_head(face: Face, rng: np.random.Generator, scale: float) -> Canvas:
    """The head with hair and what covers it on a transparent canvas, upright."""
    canvas = Canvas(scale)
    draw_back_hair(canvas, face, rng)
    _draw_skin(canvas, face)
    if face.scene.occlusion == "mask":
        draw_mask(canvas, face)
    light = shade(canvas, face, rng)
    for side in SIDES:
        _draw_eye(canvas, face, side, light)
        canvas.fill(turned(brow_outline(face, side), face.pose, 0.1), tinted(face.person.hair, 0.75 * light))
    if face.scene.occlusion != "mask":
        _draw_mouth(canvas, face, light)
    draw_front_hair(canvas, face, rng)
    draw_over(canvas, face, light)
    return canvas


def _draw_skin(canvas: Canvas, face: Face) -> None:
    """Flat colours of everything that the relief shades: neck, ears, face, beard, nostrils."""
    person, pose = face.person, face.pose
    neck = np.array([(-1.5, 1.6), (1.5, 1.6), (1.6, 4.9), (-1.6, 4.9)]) - [2.0 * np.sin(pose.yaw), 0]
    canvas.fill(neck, tinted(person.skin, 0.7))
    for side in SIDES:
        ear = np.array([(2.0, -0.5, 0.2), (2.4, -0.6, -0.3), (2.5, 0.0, -0.5), (2.3, 0.9, -0.2), (1.95, 1.0, 0.2)])
        canvas.fill(smooth(rotated(ear * [side * person.width / 2.12, 1, 1], pose)), tinted(person.skin, 0.82))
    for strip in head_strips(face):
        canvas.fill(strip, person.skin)
    if person.beard:
        _draw_beard(canvas, face)
    nostrils = [(side * 0.2, person.nose_length + 0.14 - 0.05 * face.actions.nose_wrinkle) for side in SIDES]
    for nostril, seen in zip(turned(nostrils, pose, 0.5), SIDES, strict=True):
        if seen * pose.yaw < 0.5:
            canvas.dot(nostril, 0.085, tinted(person.skin, 0.45, 0.38, 0.38))


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
    white.pixels[:] = rgba((225 * min(1.0, light + 0.1),) * 3)
    centre = turned([eye.centre + np.array(pose.gaze) * [0.45, 0.2]], pose)[0]
    iris = 0.26
    white.dot(centre, iris, tinted(person.iris, 0.4))
    white.dot(centre, 0.8 * iris, tinted(person.iris, 0.8 * light))
    white.dot(centre, 0.5 * iris, (12, 10, 10))
    white.dot(centre + [0.08 * np.sign(face.scene.light[0]), -0.09], 0.045, (215, 215, 215))
    white.line(turned(eye.upper + [0, 0.05], pose), (80 * light,) * 3, 0.05)  # the lid's shadow
    white.keep_inside(outline)
    canvas.blend(white)
    if abs(pose.yaw) > ALL_SHOWS and facing(eye.centre[None], pose)[0] < 0.3:
        return  # so far aside its lids are narrower than a line
    dark = tinted(skin, *(0.35 - 0.15 * person.makeup,) * 3)
    canvas.line(turned(eye.upper, pose), dark, 0.06 + 0.05 * person.makeup)
    canvas.line(turned(eye.lower, pose), tinted(skin, 0.62, 0.55, 0.52), 0.03)


def _draw_mouth(canvas: Canvas, face: Face, light: float) -> None:
    mouth, pose = mouth_shape(face), face.pose
    lip = tinted(
        face.person.skin,
        *(f * light for f in (0.87 - 0.1 * face.person.makeup, 0.69 - 0.22 * face.person.makeup, 0.67)),
    )
    canvas.fill(turned(np.concatenate([mouth.top, mouth.upper[::-1]]), pose, 0.15), tinted(lip, 0.9))
    canvas.fill(turned(np.concatenate([mouth.lower, mouth.bottom[::-1]]), pose, 0.15), tinted(lip, 1.05))
    inside = turned(np.concatenate([mouth.upper, mouth.lower[::-1]]), pose, 0.1)
    opening = float((mouth.lower - mouth.upper)[:, 1].max())
    canvas.fill(inside, (38 * light, 14 * light, 14 * light))
    if opening > 0.5:
        tongue = np.column_stack([0.55 * mouth.lower[:, 0], mouth.lower[:, 1] - 0.3 * opening * (1 - ARC**2)])
        flesh = (105 * light, 50 * light, 50 * light)
        canvas.fill(turned(np.concatenate([tongue, (mouth.lower * [0.55, 1])[::-1]]), pose), flesh)
    if opening > 0.12:
        _draw_teeth(canvas, mouth, face, light, opening)
    canvas.line(turned(mouth.upper, pose, 0.15), tinted(lip, 0.45), 0.045)


def _draw_teeth(canvas: Canvas, mouth: Mouth, face: Face, light: float, opening: float) -> None:
    """Both rows, as far as the lips are drawn off them: a jaw that only drops leaves the mouth dark."""
    a, pose = face.actions, face.pose
    bared = min(1.0, a.upper_lip_raise + a.corner_pull + 1.2 * a.lip_stretch) * max(0.0, 1 - 2 * a.pucker)
    narrow = np.array([0.9, 1.0])
    gap = (mouth.lower - mouth.upper)[:, 1:]
    ivory = tinted((230, 224, 213), min(1.0, 0.05 + 0.95 * light))
    row = TOOTH * bared * (1 - ARC**4)[:, None]
    upper = mouth.upper + np.minimum(gap, row) * [[0, 1]]
    below = np.minimum(np.maximum(0.9 * gap - TOOTH, 0), 0.6 * TOOTH * min(1.0, a.lip_stretch + 0.5 * a.nose_wrinkle))
    if below.max() > 0.05:
        lower = mouth.lower - below * [[0, 1]]
        canvas.fill(turned(np.concatenate([lower, mouth.lower[::-1]]) * narrow, pose, 0.1), tinted(ivory, 0.75))
    if bared > 0.15:
        canvas.fill(turned(np.concatenate([mouth.upper, upper[::-1]]) * narrow, pose, 0.1), ivory)
