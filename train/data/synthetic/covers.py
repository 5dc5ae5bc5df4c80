"""What covers a part of the face: glasses, a hand, a surgical mask. ``Scene.cover`` alone decides their shape."""

import numpy as np

from train.data.synthetic.canvas import Canvas, tinted
from train.data.synthetic.face import Face
from train.data.synthetic.geometry import SIDES, chin_drop, rotated, turned

DARK = 0.2
"""Share of sunglasses among glasses."""
MASKS = ((232, 238, 242), (150, 190, 215), (225, 225, 222), (40, 42, 46))
FRAME = (30, 28, 28)
SHORTER = (0.35, 0.05, 0.0, 0.6)
"""By how much less than the longest each finger reaches."""
MASK_LIFT = 0.3
"""Height of a mask above the smooth head: it bridges the sides of the nose."""


def draw_over(canvas: Canvas, face: Face, light: float) -> None:
    """What lies over the finished face; ``light`` is the brightness of its middle."""
    if face.scene.occlusion == "glasses":
        _draw_glasses(canvas, face)
    elif face.scene.occlusion == "hand":
        _draw_hand(canvas, face, light)
    elif face.scene.occlusion == "mask":
        _draw_pleats(canvas, face, light)


def _draw_glasses(canvas: Canvas, face: Face) -> None:
    kind, size, square, weight = face.scene.cover
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    shape = np.column_stack([np.cos(angle), np.sin(angle)])
    shape = np.sign(shape) * np.abs(shape) ** (1 - 0.5 * square) * [0.68 + 0.14 * size, 0.46 + 0.16 * size]
    width = 0.05 + 0.07 * weight
    for side in SIDES:
        rim = turned(shape + [side, 0.1], face.pose, 0.35)
        if kind < DARK:
            canvas.fill(rim, (25, 25, 28))
        canvas.line(rim, FRAME, width, closed=True)
        temple = rotated([(side * 1.74, 0.0, 1.9), (side * 2.2, -0.1, 0.2)], face.pose)
        if side * face.pose.yaw < 0.2:
            canvas.line(temple, FRAME, 0.08)
    canvas.line(turned([(-0.27, 0.0), (0.0, -0.08), (0.27, 0.0)], face.pose, 0.4), FRAME, width)


def _draw_hand(canvas: Canvas, face: Face, light: float) -> None:
    """Four fingers on a cheek, over the mouth, or against the forehead."""
    place, across, reach, spread = face.scene.cover
    side, skin = face.pose.side, tinted(face.person.skin, light)
    tip = np.array([side * (0.1 + 1.3 * across), 1.0 + 1.1 * reach])
    if place < 0.25:
        tip = np.array([side * (0.4 + 0.9 * across), -1.5 + 0.5 * reach])
    root = np.array([side * (2.9 + across), 2.6]) if place < 0.25 else np.array([side * (1.0 + 1.4 * spread), 4.4])
    along = (tip - root) / np.linalg.norm(tip - root)
    over = np.array([-along[1], along[0]])
    for k in range(4):
        shift = over * (0.38 + 0.12 * spread) * (k - 1.5)
        finger = np.array([root + 0.85 * shift, (root + tip) / 2 + shift, tip + 1.15 * shift - along * SHORTER[k]])
        canvas.line(finger, tinted(skin, 0.6), 0.48)
        canvas.line(finger, tinted(skin, 0.97), 0.38)


def draw_mask(canvas: Canvas, face: Face) -> None:
    """The mask's flat colour and its straps, before light falls on them."""
    upper, lower = _mask_edges(face)
    colour = MASKS[int(face.scene.cover[0] * len(MASKS))]
    p = face.person
    for side in SIDES:
        if side * face.pose.yaw < 0.3:
            strap = rotated([(side * p.width * 0.9, 0.9, 1.0), (side * p.width, 0.2, -0.2)], face.pose)
            canvas.line(strap, colour, 0.08)
    canvas.fill(np.concatenate([upper, lower[::-1]]), colour)


def mask_outline(face: Face) -> np.ndarray:
    """Closed outline (N, 2) of the mask as seen."""
    upper, lower = _mask_edges(face)
    return np.concatenate([upper, lower[::-1]])


def _mask_edges(face: Face) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower edge from the image's left to its right."""
    p, high = face.person, 0.25 * face.scene.cover[1]
    chin = p.chin + chin_drop(face)
    side = p.width * 0.88
    upper = [(side, 0.95), (1.3, 0.7), (0.5, 0.5 - high), (0.0, 0.36 - high)]
    lower = [(side * 0.98, 1.6), (1.45, 2.4), (0.85, chin - 0.1), (0.0, chin + 0.08)]
    lifts = np.array([-0.1, 0.15, 0.45, 0.55]), np.array([-0.1, 0.1, 0.2, 0.1])
    return tuple(_edge(half, lift, face) for half, lift in zip((upper, lower), lifts, strict=True))


def _edge(half, lift: np.ndarray, face: Face) -> np.ndarray:
    right = np.array(half)
    points, lifts = np.concatenate([right * [-1, 1], right[-2::-1]]), np.concatenate([lift, lift[-2::-1]])
    return turned(points, face.pose, lifts)


def _draw_pleats(canvas: Canvas, face: Face, light: float) -> None:
    """Level folds across the middle, which no mouth looks like, and the hem."""
    upper, lower = _mask_edges(face)
    colour = tinted(MASKS[int(face.scene.cover[0] * len(MASKS))], 0.6 * light)
    for y in (1.15, 1.55, 1.95):
        canvas.line(turned([(x, y) for x in np.linspace(-0.9, 0.9, 7)], face.pose, MASK_LIFT), colour, 0.05)
    canvas.line(np.concatenate([upper, lower[::-1]]), colour, 0.05, closed=True)
