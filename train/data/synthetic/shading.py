"""Light on the head: Lambert's law on a relief of bumps, folds and hollows that follows Action Units and pose."""

from collections.abc import Iterator

import cv2
import numpy as np

from train.data.synthetic.canvas import FIELD, FRACTION_BITS, Canvas
from train.data.synthetic.face import Face
from train.data.synthetic.geometry import EYE_DEPTH, HEAD, HEAD_Y, SIDES, chin_drop, facing, mouth_corner, reach, turned


def _bumps(face: Face) -> np.ndarray:
    """Relief on the ellipsoid, rows (x, y, width, height of the Gaussian, amplitude, lift of its centre) in face units."""
    a, p, jaw = face.actions, face.person, chin_drop(face)
    chin = p.chin - 0.3 + jaw
    rows = [
        (0.0, 0.35, 0.2, 0.5, 0.35, 0.2),
        (0.0, p.nose_length - 0.08, 0.26, 0.24, 0.5, 0.6),
        (0.0, p.mouth_y - 0.05, 0.8, 0.5, 0.2, 0.1),
        (0.0, p.mouth_y + 0.58 + jaw, 0.42, 0.1, -0.1, 0.1),
        (0.0, chin, 0.42, 0.28, 0.2 + 0.08 * a.chin_raise, 0.1),
    ]
    for side in SIDES:
        rows += [
            (side * p.nose_width * 0.75, p.nose_length + 0.04, 0.15, 0.15, 0.22, 0.4),
            (side * 0.9, -p.brow_height + 0.1, 0.55, 0.2, 0.2 + 0.08 * a.brow_lower, 0.1),
            (side * 0.95, 0.02, 0.42, 0.28, -0.32, 0.0),
            (side * 0.5, 0.1, 0.2, 0.25, -0.18, 0.0),
            (side * 1.0, 0.02, 0.32, 0.22, 0.14, 0.0),
            (side * 1.3, 0.95 - 0.1 * a.cheek_raise, 0.45, 0.35, 0.16 + 0.16 * a.cheek_raise, 0.1),
            (side * 1.45, 2.0, 0.3, 0.5, -0.08, 0.0),
        ]
    return np.array(rows)


def _hollows(face: Face) -> np.ndarray:
    """Where light hardly reaches, rows as in ``_bumps``; the amplitude is the share of light lost."""
    a, p = face.actions, face.person
    rows = [(0.0, -1.3, 0.8, 0.3, min(0.2 * a.brow_lower + 0.06 * a.inner_brow_raise, 0.3), 0.0)]
    rows += [(0.0, -0.35, 0.3, 0.35, 0.1 * a.brow_lower, 0.1)]
    for side in SIDES:
        rows += [
            (side * 0.95, -0.12, 0.5, 0.22, 0.3, 0.0),
            (side * 0.52, 0.02, 0.16, 0.2, 0.22, 0.0),
            (side * 1.0, 0.32, 0.4, 0.12, 0.1 + 0.15 * p.age, 0.0),
            (side * p.width, 1.2, 0.35, 1.5, 0.25, -1.0),
        ]
    return np.array(rows + ([] if face.scene.occlusion == "mask" else list(_lower_hollows(face))))


def _lower_hollows(face: Face) -> Iterator[tuple[float, ...]]:
    """Under the nose and the lip, beside a mouth that is drawn up or aside, and in the furrow that a raised lip pushes up."""
    a, p, jaw = face.actions, face.person, chin_drop(face)
    yield 0.0, p.nose_length + 0.26, 0.3, 0.09, 0.2, 0.3
    yield 0.0, p.mouth_y + 0.55 + jaw, 0.4, 0.1, 0.18 + 0.15 * a.chin_raise, 0.1
    yield 0.0, p.mouth_y - 0.35, 0.08, 0.2, 0.08, 0.2
    furrow = min(
        0.07 * a.nose_wrinkle + 0.05 * a.upper_lip_raise + 0.06 * a.lip_stretch + 0.06 * a.corner_depress, 0.18
    )
    for side in SIDES:
        x, y = mouth_corner(face, side)
        drawn = a.corner_pull + (0.4 * a.dimple if side == face.pose.side else 0.0)
        yield x + side * 0.22, y - 0.12, 0.26, 0.34, 0.26 * min(drawn, 1.2), 0.0
        yield side * 0.82, (p.nose_length + y) / 2 - 0.1, 0.24, 0.5, furrow, 0.0


def _gaussians(rows: np.ndarray, face: Face, axes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Sum of the rows' Gaussians over the canvas, float32 (H, W): a product of two thin matrices."""
    shown = facing(rows[:, :2], face.pose)
    centres, widths = turned(rows[:, :2], face.pose, rows[:, 5]), rows[:, 2:4] * np.column_stack([shown, shown**0])
    amplitudes = rows[:, 4:5] * np.minimum(1, 1.6 * shown)[:, None]  # what turns away fades, before it is a thin line
    across, down = (
        (axis[None] - c[:, None]) / np.maximum(s, 0.08)[:, None]
        for axis, c, s in zip(axes, centres.T, widths.T, strict=True)
    )
    return (amplitudes * np.exp(-0.5 * down**2)).astype(np.float32).T @ np.exp(-0.5 * across**2).astype(np.float32)


def _ellipsoid(face: Face, axes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Height of the smooth head over the canvas, float32 (H, W)."""
    x = (axes[0] + EYE_DEPTH * np.sin(face.pose.yaw)) / reach(face.pose)
    y = (axes[1] - HEAD_Y + EYE_DEPTH * np.sin(face.pose.pitch)) / HEAD[1]
    return (HEAD[2] * np.sqrt(np.maximum(0.03, (1 - x * x)[None] - (y * y)[:, None]))).astype(np.float32)


def _folds(canvas: Canvas, face: Face) -> np.ndarray:
    """Wrinkles and creases as the share of light they take, float32 (H, W)."""
    pixels = np.zeros(canvas.pixels.shape[:2], np.uint8)
    lines = [line for line in _fold_lines(face) if line[1] > 0.04 and not _masked(face, line[0])]
    seen = turned(np.concatenate([points for points, _, _ in lines]), face.pose, 0.1)
    parts = np.split(canvas.fixed(seen), np.cumsum([len(points) for points, _, _ in lines])[:-1])
    for part, (_, strength, width) in zip(parts, lines, strict=True):
        thickness = max(1, round(width * canvas.scale))
        cv2.polylines(pixels, [part], False, 255 * min(strength, 1.0), thickness, cv2.LINE_AA, FRACTION_BITS)
    return cv2.GaussianBlur(pixels, (0, 0), 0.07 * canvas.scale).astype(np.float32) / 255


def _masked(face: Face, points) -> bool:
    """Whether a fold lies under a mask."""
    return face.scene.occlusion == "mask" and min(y for _, y in points) > 0.5


def _fold_lines(face: Face) -> Iterator[tuple[list[tuple[float, float]], float, float]]:
    """(points, strength, width) of every fold."""
    a, p = face.actions, face.person
    raised, jaw = a.inner_brow_raise + 0.8 * a.outer_brow_raise, chin_drop(face)
    for y in (-1.15, -1.4, -1.65):
        yield [(-1.1, y + 0.06), (-0.5, y - 0.04), (0.5, y - 0.04), (1.1, y + 0.06)], 0.3 * p.age + 0.3 * raised, 0.06
    for y in (-0.05, 0.13, 0.31):
        yield [(-0.4, y + 0.12), (0.0, y), (0.4, y + 0.12)], 0.7 * a.nose_wrinkle, 0.06
    yield [(-0.3, p.chin - 0.3 + jaw), (0.0, p.chin - 0.4 + jaw), (0.3, p.chin - 0.3 + jaw)], 0.5 * a.chin_raise, 0.1
    for side in SIDES:
        x, y = mouth_corner(face, side)
        fold = (
            0.1
            + 0.3 * p.age
            + 0.4 * a.corner_pull
            + 0.3 * a.nose_wrinkle
            + 0.2 * a.upper_lip_raise
            + 0.15 * a.corner_depress
        )
        raise_ = 0.12 * a.nose_wrinkle
        nasolabial = [
            (0.52, p.nose_length - 0.12 - raise_),
            (0.9, p.nose_length + 0.3 - raise_),
            (side * x + 0.26, y - 0.12),
        ]
        yield [(side * u, v) for u, v in nasolabial], min(fold, 0.6), 0.09
        yield [(side * 0.16, -0.62), (side * 0.13, -0.15)], 0.7 * a.brow_lower + 0.2 * p.age, 0.07
        yield (
            [(side * 0.6, 0.38), (side * 1.0, 0.5), (side * 1.45, 0.36)],
            0.25 * p.age + 0.4 * a.cheek_raise + 0.3 * a.lid_tighten,
            0.07,
        )
        yield [(side * 0.55, -0.2), (side * 1.0, -0.36), (side * 1.5, -0.15)], 0.45, 0.05
        yield [(side * 0.42, p.nose_length - 0.15), (side * 0.5, p.nose_length + 0.12)], 0.5, 0.08
        marionette = 0.25 * p.age + 0.4 * a.corner_depress + (0.5 * a.dimple if side == face.pose.side else 0.0)
        yield [(x + side * 0.06, y - 0.1), (x + side * 0.12, y + 0.25)], marionette, 0.09
        for k in (-1, 0, 1):
            yield (
                [(side * 1.6, 0.02 + 0.05 * k), (side * 1.95, 0.02 + 0.17 * k)],
                0.6 * a.cheek_raise * (0.3 + p.age),
                0.04,
            )


MIDDLE = np.array([[-1.2, -0.5], [1.2, 2.2]])
"""Corners of the part of the face that tells how bright its eyes and mouth are."""


def shade(canvas: Canvas, face: Face, rng: np.random.Generator) -> float:
    """Light the canvas in place by Lambert's law on the head's relief; returns the mean brightness of the face's middle."""
    scene, axes = face.scene, canvas.axes()
    relief = _ellipsoid(face, axes) + _gaussians(_bumps(face), face, axes)
    dx = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=canvas.scale / 8)
    dy = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=canvas.scale / 8)
    lx, ly, lz = scene.light
    facing = (lz - lx * dx - ly * dy) / np.sqrt(1 + dx * dx + dy * dy)
    brightness = scene.ambient + (1 - scene.ambient) * np.maximum(facing, 0)
    brightness *= 1 - np.clip(_gaussians(_hollows(face), face, axes), 0, 0.6)
    brightness *= 1 - 0.75 * _folds(canvas, face)
    brightness *= _skin_texture(face, rng, brightness.shape)
    factors = cv2.merge([brightness] * 3 + [np.ones_like(brightness)])
    lit = cv2.multiply(canvas.pixels, factors, dtype=cv2.CV_8U)
    gloss = (_twelfth_power(np.maximum(facing, 0)) * np.float32(120 / 255 * scene.shine) * lit[..., 3]).astype(np.uint8)
    canvas.pixels = cv2.add(lit, cv2.merge([gloss, gloss, gloss, np.zeros_like(gloss)]))
    (left, top), (right, bottom) = ((MIDDLE - FIELD[0]) * canvas.scale).astype(int)
    return float(brightness[top:bottom, left:right].mean())


def _twelfth_power(x: np.ndarray) -> np.ndarray:
    fourth = np.square(np.square(x))
    return fourth * fourth * fourth


def _skin_texture(face: Face, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Blotches and pores, float32 (H, W) about 1; more with age."""
    depth = 0.012 + 0.03 * face.person.age
    coarse = cv2.resize(rng.normal(0, depth, (10, 10)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.normal(0, depth, (60, 60)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return 1 + coarse + fine
