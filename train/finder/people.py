"""What surrounds and covers faces in composed frames: bodies, hair, hats, hands, and figures without a face.

All of it is drawn into float32 (h, w) grey levels, in place, around a face's box (x, y, width, height); what it is made of is
a part of a scene, stripes, or one grey. So a body, a hat or an edge alone does not tell a face.
"""

import cv2
import numpy as np

Scenes = list[np.ndarray]


def piece(rng: np.random.Generator, scenes: Scenes, width: int, height: int) -> np.ndarray:
    """A random part of a random scene, float32 (height, width), in the shape asked for; mirrored half the time."""
    scene = scenes[rng.integers(len(scenes))]
    h, w = scene.shape
    most = min(w / width, h / height)
    part = most * rng.uniform(0.25, 1) ** 0.5
    pw, ph = max(2, int(width * part)), max(2, int(height * part))
    x, y = rng.integers(w - pw + 1), rng.integers(h - ph + 1)
    mode = cv2.INTER_AREA if part > 1 else cv2.INTER_LINEAR
    found = cv2.resize(scene[y : y + ph, x : x + pw], (width, height), interpolation=mode)
    return (found[:, ::-1] if rng.random() < 0.5 else found).astype(np.float32)


def blend(image: np.ndarray, over: np.ndarray, mask: np.ndarray, x0: int, y0: int) -> None:
    """Lay ``over`` on ``image`` at (x0, y0), in place; what lies outside is left out."""
    height, width = image.shape
    left, top = max(0, -x0), max(0, -y0)
    right, bottom = min(over.shape[1], width - x0), min(over.shape[0], height - y0)
    if right > left and bottom > top:
        part = image[y0 + top : y0 + bottom, x0 + left : x0 + right]
        part += mask[top:bottom, left:right] * (over[top:bottom, left:right] - part)


def distractor(rng: np.random.Generator, image: np.ndarray, scenes: Scenes) -> None:
    """A part of a scene in an ellipse or rectangle, edges as those of the faces, so that edges do not tell a face."""
    height, width = image.shape
    w, h = (int(np.exp(rng.uniform(np.log(10), np.log(0.7 * height)))) + 4 for _ in range(2))
    w = int(np.clip(w, h // 2, 2 * h))
    x0, y0 = int(rng.integers(-w // 2, width - w // 2)), int(rng.integers(-h // 2, height - h // 2))
    part = piece(rng, scenes, w, h)
    u, v = np.linspace(-1, 1, w, dtype=np.float32)[None], np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    distance = np.sqrt(u**2 + v**2) if rng.random() < 0.55 else np.maximum(abs(u) + 0 * v, abs(v) + 0 * u)
    mask = np.clip((1 - distance) / rng.uniform(0.02, 0.3), 0, 1)
    blend(image, part * rng.uniform(0.7, 1.25) + rng.uniform(-25, 25), mask, x0, y0)


def figure(rng: np.random.Generator, image: np.ndarray, scenes: Scenes) -> None:
    """A person without a face: from behind, without a head, or with something plain for one."""
    height, width = image.shape
    h = float(np.exp(rng.uniform(np.log(10), np.log(max(12, 0.6 * height)))))
    box = np.array([rng.uniform(-0.3 * h, width - 0.4 * h), rng.uniform(-0.5 * h, height - h), 0.75 * h, h])
    body(rng, image, box, scenes)
    head = rng.random()
    if head < 0.5:
        hair(rng, image, box, scenes)
        _fill(rng, image, _oval(rng, box, (0, 0), (0.55, 0.62), 0.08), scenes, dark=0.7)
    elif head < 0.8:
        _fill(rng, image, _oval(rng, box, (0, 0), (0.5, 0.55), 0.03), scenes, plain=0.7)
    if rng.random() < 0.3:
        hat(rng, image, box, scenes)


def body(rng: np.random.Generator, image: np.ndarray, box: np.ndarray, scenes: Scenes) -> None:
    """A neck, shoulders and a trunk below a head, clothed, with or without arms and hands."""
    wide, low, lean = rng.uniform(0.8, 1.6), rng.uniform(1.6, 5), rng.normal(0, 0.15)
    if rng.random() < 0.6:
        _fill(rng, image, _at(box, [[-0.3, 0.2], [0.3, 0.2], [0.34, 0.9], [-0.34, 0.9]]), scenes, plain=0.9)
    right = [[0.25, 0.55], [0.75 * wide, 0.72], [wide, 1.0], [wide * rng.uniform(0.8, 1.25), low]]
    left = [[-x, y] for x, y in reversed(right)]
    trunk = np.array(right + left)
    trunk[:, 0] += lean * (trunk[:, 1] - 0.55)
    _fill(rng, image, _at(box, trunk), scenes)
    for side in (-1, 1):
        if rng.random() < 0.4:
            _arm(rng, image, box, side * wide, scenes)


def _arm(rng: np.random.Generator, image: np.ndarray, box: np.ndarray, shoulder: float, scenes: Scenes) -> None:
    start = np.array([0.9 * shoulder, 1.0])
    elbow = start + [rng.normal(0.3 * np.sign(shoulder), 0.4), rng.uniform(0.5, 1.4)]
    wrist = elbow + rng.uniform(0.5, 1.3) * _direction(rng)
    for one, two in ((start, elbow), (elbow, wrist)):
        across = 0.22 * np.array([-(two - one)[1], (two - one)[0]]) / max(0.1, float(np.linalg.norm(two - one)))
        _fill(rng, image, _at(box, [one + across, two + across, two - across, one - across]), scenes, plain=0.5)
    _fill(rng, image, _oval(rng, box, wrist, (0.2, 0.28), 0.15), scenes, plain=0.9)


def hair(rng: np.random.Generator, image: np.ndarray, box: np.ndarray, scenes: Scenes) -> None:
    """Behind a face: about the head, short or down to the shoulders."""
    long = rng.choice([0.0, rng.uniform(0, 0.8)])
    axes = rng.uniform(0.52, 0.85), rng.uniform(0.6, 0.85) + long / 2
    _fill(rng, image, _oval(rng, box, (rng.normal(0, 0.05), -0.12 + long / 2), axes, 0.08), scenes, dark=0.7)


def hat(rng: np.random.Generator, image: np.ndarray, box: np.ndarray, scenes: Scenes) -> None:
    """Over the forehead, down to the brows at most: a crown and, mostly, a brim, with its shadow."""
    edge, tilt = rng.uniform(-0.42, -0.26), rng.normal(0, 0.06)
    wide, top = rng.uniform(0.48, 0.62), edge - rng.uniform(0.25, 0.7)
    crown = [[-wide, edge + tilt], [-0.85 * wide, top], [0, top - 0.1], [0.85 * wide, top], [wide, edge - tilt]]
    _fill(rng, image, _at(box, crown), scenes)
    if rng.random() < 0.7:
        axes = rng.uniform(0.55, 1.15), rng.uniform(0.05, 0.14)
        if rng.random() < 0.5:
            _shade(image, _oval(rng, box, (0, edge + 0.16), (0.5, 0.2), 0), rng.uniform(0.45, 0.85))
        _fill(rng, image, _oval(rng, box, (rng.normal(0, 0.15), edge), axes, 0.02), scenes)


def cover(rng: np.random.Generator, image: np.ndarray, box: np.ndarray, scenes: Scenes) -> None:
    """Something before the face: over its mouth, its side, its eyes, or anywhere; a hand, or hair down one side."""
    place = rng.integers(6)
    if place < 4:
        _rectangle(rng, image, box, scenes, place)
    elif place == 4:
        at = rng.uniform([-0.5, 0.1], [0.5, 0.6])
        _fill(rng, image, _oval(rng, box, at, rng.uniform(0.14, 0.26, 2), 0.15), scenes, plain=0.9)
    else:
        at, axes = (rng.choice([-1, 1]) * rng.uniform(0.42, 0.6), rng.uniform(-0.2, 0.1)), (0.24, rng.uniform(0.5, 0.8))
        _fill(rng, image, _oval(rng, box, at, axes, 0.1), scenes, dark=0.7)


def _rectangle(rng: np.random.Generator, image: np.ndarray, box: np.ndarray, scenes: Scenes, place: int) -> None:
    """Over the mouth (0), a side (1), the eyes (2) or anywhere (3)."""
    x, y, w, h = box
    side = (1.1 * w, 0.42 * h) if place == 0 else (0.35 * w, 1.1 * h) if place == 1 else (0.95 * w, 0.16 * h)
    at = [(x - 0.05 * w, y + 0.62 * h), (x + rng.choice([-0.1, 0.75]) * w, y), (x + 0.03 * w, y + 0.34 * h)]
    if place == 3:
        side = rng.uniform(0.2, 0.5, 2) * (w, h)
        at.append((x + rng.uniform(-0.1, 0.8) * w, y + rng.uniform(-0.1, 0.8) * h))
    cw, ch = max(2, int(side[0])), max(2, int(side[1]))
    over = np.full((ch, cw), rng.uniform(0, 255), np.float32) if rng.random() < 0.6 else piece(rng, scenes, cw, ch)
    mask = np.full((ch, cw), rng.choice([1.0, 0.85]), np.float32)
    blend(image, over, mask, int(at[place][0]), int(at[place][1]))


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _at(box: np.ndarray, points) -> np.ndarray:
    """Points given from the box's middle, in its widths and heights → pixels, (n, 2)."""
    return box[:2] + box[2:] / 2 + np.asarray(points, float) * box[2:]


def _oval(rng: np.random.Generator, box: np.ndarray, middle, axes, rough: float) -> np.ndarray:
    """Outline (24, 2) of an ellipse, given as ``_at``'s points are, its radius uneven by about ``rough``."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    uneven = 1 + rough * sum(rng.normal() * np.cos(k * angle + rng.uniform(0, 6)) / k for k in (2, 3, 5))
    return _at(
        box, np.asarray(middle) + np.asarray(axes) * np.stack([np.cos(angle), np.sin(angle)], 1) * uneven[:, None]
    )


def _mask(image: np.ndarray, outline: np.ndarray) -> tuple[np.ndarray, int, int] | None:
    """Inside of an outline as far as it lies in the picture: float32 0…1, and its left and upper edge; None: outside."""
    x0, y0 = np.maximum(np.floor(outline.min(0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(outline.max(0)) + 1, image.shape[::-1]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return None
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(mask, [np.round(16 * (outline - [x0, y0])).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255, x0, y0


def _fill(rng, image: np.ndarray, outline: np.ndarray, scenes: Scenes, plain: float = 0.3, dark: float = 0.3) -> None:
    """Fill an outline with one grey (probability ``plain``), stripes or part of a scene; ``dark``: how often it is dark."""
    found = _mask(image, outline)
    if found is None:
        return
    mask, x0, y0 = found
    h, w = mask.shape
    grey, kind = rng.uniform(0, 90) if rng.random() < dark else rng.uniform(20, 255), rng.random()
    if kind < plain:
        over = np.full((h, w), grey, np.float32)
    elif kind < plain + 0.25 * (1 - plain):
        over = grey + _stripes(rng, w, h)
    else:
        part = piece(rng, scenes, w, h)
        over = grey + rng.uniform(0.3, 1.1) * (part - part.mean())
    shade = 1 + rng.uniform(-0.35, 0.35) * np.linspace(-1, 1, w, dtype=np.float32)[None]
    blend(image, np.clip(over * shade, 0, 255), mask, x0, y0)


def _stripes(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    direction, length = _direction(rng), rng.uniform(2.5, 14)
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    wave = np.sin((direction[0] * x + direction[1] * y) * np.float32(2 * np.pi / length))
    return np.float32(rng.uniform(10, 70)) * wave.astype(np.float32)


def _shade(image: np.ndarray, outline: np.ndarray, factor: float) -> None:
    found = _mask(image, outline)
    if found is not None:
        mask, x0, y0 = found
        image[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]] *= 1 - (1 - factor) * mask
