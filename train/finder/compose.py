"""Composed frames: faces pasted into scenes at every size, turned, cut, covered, dark, blurred and noisy.

A frame is what a camera's picture becomes before the network sees it (``edgefer.detectors.shrink``): gray, shrunk until its
longer side fits the input, the rest of the square grey. Everything random comes from the generator that is given.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from edgefer.detectors.shrink import FILL
from train.finder.cutouts import Cutout

SHAPES = ((1.0, 0.75), (1.0, 0.5625), (1.0, 0.668), (0.75, 1.0), (0.668, 1.0), (0.5625, 1.0), (1.0, 1.0), (0.8, 0.8))
"""Width and height of a frame as fractions of the input's side: 4:3, 16:9, 3:2, upright ones, square ones."""
COUNTS = (0.06, 0.34, 0.25, 0.15, 0.12, 0.08)
"""Probability of no, one, two … faces asked for in a composed frame; those that find no room are left out."""
LEAST_HEIGHT, LEAST_PART = 9.5, 0.11
"""Of a face's box: pixels, and fraction of the frame's height."""
TURN = 13.0
"""Standard deviation of a face's roll in degrees; clipped at 30."""
FLIPPED = [1, 0, 2, 4, 3]
"""Order of the landmarks in a mirror."""


@dataclass
class Composed:
    """A frame in the making."""

    image: np.ndarray
    """float32 (h, w) grey levels."""
    boxes: list[np.ndarray] = field(default_factory=list)
    landmarks: list[np.ndarray] = field(default_factory=list)


def compose(rng: np.random.Generator, faces: list[Cutout], scenes: list[np.ndarray], size: int):
    """One training frame.

    Args:
        rng: of everything random.
        faces: to choose from.
        scenes: uint8 (H, W) gray pictures without faces.
        size: side of the network's input, pixels.

    Returns:
        image uint8 (size, size); boxes float32 (n, 4) x, y, width, height, and landmarks float32 (n, 5, 2), in its pixels.
        A box may reach over the frame; its middle does not.
    """
    kind = rng.random()
    if kind < 0.15:
        made = _photograph(rng, faces[rng.integers(len(faces))], size)
    else:
        made = _scene(rng, scenes, size)
        if kind > 0.22:
            _populate(rng, made, faces, scenes)
    picture = _taken(rng, made.image)
    full = np.full((size, size), FILL, np.uint8)
    full[: picture.shape[0], : picture.shape[1]] = picture
    n = len(made.boxes)
    return (
        full,
        np.array(made.boxes, np.float32).reshape(n, 4),
        np.array(made.landmarks, np.float32).reshape(n, 5, 2),
    )


def _photograph(rng: np.random.Generator, face: Cutout, size: int) -> Composed:
    """A photograph as it is, mirrored or not, turned a little, filling a frame of its own shape."""
    height, width = face.levels[0].shape
    scale = size * rng.choice([0.8, 1.0, rng.uniform(0.3, 1)]) / max(height, width)
    shape = max(8, round(height * scale)), max(8, round(width * scale))
    matrix = _matrix(rng, np.array([width, height]) / 2, scale, rng.normal(0, 4), np.array(shape[::-1]) / 2)
    made = Composed(_warped(face, matrix, scale, (0, 0, shape[1], shape[0]), cv2.BORDER_REPLICATE))
    _add(made, face, matrix)
    return made


def _scene(rng: np.random.Generator, scenes: list[np.ndarray], size: int) -> Composed:
    """A part of a scene, now and then nearly plain, in one of the frames' shapes."""
    wide, high = SHAPES[rng.integers(len(SHAPES))]
    width, height = round(size * wide), round(size * high)
    image = _piece(rng, scenes, width, height)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(2, 12))
    if rng.random() < 0.15:
        image = image * rng.uniform(0, 0.4) + rng.uniform(0, 200)
    return Composed(image)


def _piece(rng: np.random.Generator, scenes: list[np.ndarray], width: int, height: int) -> np.ndarray:
    """A random part of a random scene, float32 (height, width), in the shape asked for; mirrored half the time."""
    scene = scenes[rng.integers(len(scenes))]
    h, w = scene.shape
    most = min(w / width, h / height)
    part = most * rng.uniform(0.25, 1) ** 0.5
    pw, ph = max(2, int(width * part)), max(2, int(height * part))
    x, y = rng.integers(w - pw + 1), rng.integers(h - ph + 1)
    mode = cv2.INTER_AREA if part > 1 else cv2.INTER_LINEAR
    piece = cv2.resize(scene[y : y + ph, x : x + pw], (width, height), interpolation=mode)
    return (piece[:, ::-1] if rng.random() < 0.5 else piece).astype(np.float32)


def _populate(rng: np.random.Generator, made: Composed, faces: list[Cutout], scenes: list[np.ndarray]) -> None:
    height, width = made.image.shape
    for _ in range(rng.choice(3, p=[0.55, 0.3, 0.15])):
        _paste_distractor(rng, made.image, scenes)
    wanted = rng.choice(len(COUNTS), p=COUNTS)
    least = max(LEAST_HEIGHT, LEAST_PART * height)
    most = max(least * 1.3, 1.15 * height / max(1, wanted) ** 0.7)
    for _ in range(wanted):
        face = faces[rng.integers(len(faces))]
        tall = float(np.exp(rng.uniform(np.log(least), np.log(most))))
        scale = tall / face.box[3]
        angle = float(np.clip(rng.normal(0, TURN), -30, 30))
        reach = 0.5 * tall * rng.choice([1.0, 0.5], p=[0.8, 0.2])  # the rest of a face may lie outside
        place = np.array([_between(rng, 0.8 * reach, width), _between(rng, reach, height)])
        matrix = _matrix(rng, face.box[:2] + face.box[2:] / 2, scale, angle, place)
        if _is_free(made, face, matrix):
            _paste(rng, made, face, matrix, scale)
            if rng.random() < 0.22:
                _cover(rng, made.image, made.boxes[-1], scenes)


def _between(rng: np.random.Generator, margin: float, side: int) -> float:
    return rng.uniform(margin, side - margin) if side > 2 * margin else rng.uniform(0.4, 0.6) * side


def _matrix(rng: np.random.Generator, middle, scale: float, degrees: float, place) -> np.ndarray:
    """2×3: turns, scales, half the time mirrors a picture about ``middle``, which comes to lie at ``place``."""
    cosine, sine = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    if rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    return np.column_stack([linear, place - linear @ middle])


def _moved_box(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The upright box about the ellipse in ``box`` after it was moved: what a detector would give for a turned face."""
    middle = matrix[:, :2] @ (box[:2] + box[2:] / 2) + matrix[:, 2]
    half = np.sqrt((matrix[:, :2] ** 2) @ (box[2:] / 2) ** 2)
    return np.concatenate([middle - half, 2 * half])


def _add(made: Composed, face: Cutout, matrix: np.ndarray) -> None:
    points = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
    mirrored = np.linalg.det(matrix[:, :2]) < 0
    made.boxes.append(_moved_box(face.box, matrix))
    made.landmarks.append(points[FLIPPED] if mirrored else points)


def _is_free(made: Composed, face: Cutout, matrix: np.ndarray) -> bool:
    """Whether a face would cover no other by more than a fifth of the smaller."""
    box = _moved_box(face.box, matrix)
    for other in made.boxes:
        common = np.minimum(box[:2] + box[2:], other[:2] + other[2:]) - np.maximum(box[:2], other[:2])
        if (common > 0).all() and common.prod() > 0.2 * min(box[2:].prod(), other[2:].prod()):
            return False
    return True


def _warped(face: Cutout, matrix: np.ndarray, scale: float, region, border: int) -> np.ndarray:
    """The face's picture moved by ``matrix``, float32, only in ``region`` (x0, y0, x1, y1)."""
    image, factor = face.level(scale)
    x0, y0, x1, y1 = region
    whole = np.column_stack([matrix[:, :2] * factor, matrix[:, 2] - [x0, y0]])
    whole[:, 2] += whole[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres at whole numbers
    moved = cv2.warpAffine(image, whole, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=border)
    return moved.astype(np.float32)


def _paste(rng: np.random.Generator, made: Composed, face: Cutout, matrix: np.ndarray, scale: float) -> None:
    box = _moved_box(face.box, matrix)
    if rng.random() < 0.45:
        _draw_body(rng, made.image, box)
    height, width = face.levels[0].shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ matrix[:, :2].T + matrix[:, 2]
    region = _region(corners, made.image.shape)
    if region is None:
        return
    moved = _warped(face, matrix, scale, region, cv2.BORDER_REPLICATE)
    mask = _mask(rng, face, matrix, region)
    gain, bias = rng.uniform(0.7, 1.25), rng.uniform(-25, 25)
    part = made.image[region[1] : region[3], region[0] : region[2]]
    part += mask * (moved * gain + bias - part)
    _add(made, face, matrix)


def _region(corners: np.ndarray, shape) -> tuple[int, int, int, int] | None:
    x0, y0 = np.maximum(np.floor(corners.min(0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(corners.max(0)), shape[::-1]).astype(int)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _mask(rng: np.random.Generator, face: Cutout, matrix: np.ndarray, region) -> np.ndarray:
    """How much of the pasted picture shows, float32 0…1: an ellipse about the face or the whole picture; soft or hard edges."""
    x0, y0, x1, y1 = region
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2].astype(np.float32)
    x, y = np.arange(x0, x1, dtype=np.float32)[None] + 0.5, np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5
    u = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
    v = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
    height, width = face.levels[0].shape
    edge = np.minimum(np.minimum(u, width - u), np.minimum(v, height - v))
    soft = rng.choice([0.02, 0.06, 0.12]) * height
    mask = np.clip(edge / soft, 0, 1)
    if rng.random() < 0.55:
        middle, half = face.box[:2] + face.box[2:] / 2, face.box[2:] / 2 * rng.uniform(1.05, 1.5)
        distance = np.sqrt(((u - middle[0]) / half[0]) ** 2 + ((v - middle[1]) / half[1]) ** 2)
        mask = mask * np.clip((1.1 - distance) / rng.uniform(0.05, 0.3) + 0.5, 0, 1)
    return mask


def _draw_body(rng: np.random.Generator, image: np.ndarray, box: np.ndarray) -> None:
    """Something like shoulders under a head, and hair or a hat about it, of one grey each."""
    x, y = box[:2] + box[2:] / 2
    w, h = box[2:]
    if rng.random() < 0.4:
        axes = max(1, int(w * rng.uniform(0.55, 0.9))), max(1, int(h * rng.uniform(0.55, 0.9)))
        cv2.ellipse(image, (int(x), int(y - 0.15 * h)), axes, 0, 0, 360, float(rng.uniform(0, 255)), -1)
    axes = max(1, int(w * rng.uniform(0.9, 1.8))), max(1, int(h * rng.uniform(0.8, 1.6)))
    middle = int(x + rng.normal(0, 0.1) * w), int(y + 0.45 * h + axes[1])
    cv2.ellipse(image, middle, axes, 0, 0, 360, float(rng.uniform(0, 255)), -1)


def _paste_distractor(rng: np.random.Generator, image: np.ndarray, scenes: list[np.ndarray]) -> None:
    """A part of a scene in an ellipse or rectangle, edges as those of the faces, so that edges do not tell a face."""
    height, width = image.shape
    w, h = (int(np.exp(rng.uniform(np.log(10), np.log(0.7 * height)))) + 4 for _ in range(2))
    w = int(np.clip(w, h // 2, 2 * h))
    x0, y0 = int(rng.integers(-w // 2, width - w // 2)), int(rng.integers(-h // 2, height - h // 2))
    piece = _piece(rng, scenes, w, h)
    u, v = np.linspace(-1, 1, w, dtype=np.float32)[None], np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    distance = np.sqrt(u**2 + v**2) if rng.random() < 0.55 else np.maximum(abs(u) + 0 * v, abs(v) + 0 * u)
    mask = np.clip((1 - distance) / rng.uniform(0.02, 0.3), 0, 1)
    _blend(image, piece * rng.uniform(0.7, 1.25) + rng.uniform(-25, 25), mask, x0, y0)


def _blend(image: np.ndarray, piece: np.ndarray, mask: np.ndarray, x0: int, y0: int) -> None:
    """Lay ``piece`` over ``image`` at (x0, y0), in place; what lies outside is left out."""
    height, width = image.shape
    left, top = max(0, -x0), max(0, -y0)
    right, bottom = min(piece.shape[1], width - x0), min(piece.shape[0], height - y0)
    if right > left and bottom > top:
        part = image[y0 + top : y0 + bottom, x0 + left : x0 + right]
        part += mask[top:bottom, left:right] * (piece[top:bottom, left:right] - part)


def _cover(rng: np.random.Generator, image: np.ndarray, box: np.ndarray, scenes: list[np.ndarray]) -> None:
    """Something before the face: over its mouth, its side, its eyes, or anywhere."""
    x, y, w, h = box
    place = rng.integers(4)
    side = (1.1 * w, 0.42 * h) if place == 0 else (0.35 * w, 1.1 * h) if place == 1 else (0.95 * w, 0.16 * h)
    at = [(x - 0.05 * w, y + 0.62 * h), (x + rng.choice([-0.1, 0.75]) * w, y), (x + 0.03 * w, y + 0.34 * h)]
    if place == 3:
        side = rng.uniform(0.2, 0.5, 2) * (w, h)
        at.append((x + rng.uniform(-0.1, 0.8) * w, y + rng.uniform(-0.1, 0.8) * h))
    cw, ch = max(2, int(side[0])), max(2, int(side[1]))
    piece = np.full((ch, cw), rng.uniform(0, 255), np.float32) if rng.random() < 0.6 else _piece(rng, scenes, cw, ch)
    mask = np.full((ch, cw), rng.choice([1.0, 0.85]), np.float32)
    _blend(image, piece, mask, int(at[place][0]), int(at[place][1]))


def _taken(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The camera: light, exposure, blur, noise, JPEG; uint8 of the same shape."""
    height, width = image.shape
    if rng.random() < 0.3:
        slope = np.linspace(-1, 1, width, dtype=np.float32)[None] * rng.uniform(-0.5, 0.5)
        image = image * (1 + slope + np.linspace(-1, 1, height, dtype=np.float32)[:, None] * rng.uniform(-0.3, 0.3))
    if rng.random() < 0.5:
        image = 255 * np.clip(image / 255, 0, 1) ** np.exp(rng.normal(0, 0.35))
    if rng.random() < 0.5:
        image = (image - 128) * rng.uniform(0.5, 1.3) + 128 + rng.uniform(-30, 30)
    if rng.random() < 0.18:
        image = image * rng.uniform(0.15, 0.6)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.35:
        image = image + rng.standard_normal(image.shape, np.float32) * rng.uniform(1, 12)
    image = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
        image = cv2.imdecode(coded[1], cv2.IMREAD_GRAYSCALE)
    return image
