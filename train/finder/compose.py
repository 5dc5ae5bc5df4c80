"""Composed frames: faces pasted into scenes at every size, turned, cut, covered, dark, blurred and noisy.

A frame is what a camera's picture becomes before the network sees it (``edgefer.detectors.shrink``): gray, shrunk until its
longer side fits the input, the rest of the square grey. Everything random comes from the generator that is given.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from edgefer.detectors.shrink import FILL
from train.finder import people
from train.finder.cutouts import Cutout

SHAPES = (
    *((1.0, 0.75), (1.0, 0.5625), (1.0, 0.668), (0.75, 1.0), (0.668, 1.0), (0.5625, 1.0)),
    *((1.0, 1.0), (0.8, 0.8), (1.0, 0.35), (0.35, 1.0), (0.6, 0.45)),
)
"""Width and height of a frame as fractions of the input's side: 4:3, 16:9, 3:2, upright ones, square ones, and some that
leave most of it empty, for the network must be quiet there too."""
COUNTS = (0.08, 0.34, 0.25, 0.15, 0.1, 0.08)
"""Probability of no, one, two … faces asked for in a composed frame; those that find no room are left out."""
LEAST_HEIGHT, SMALL, SMALL_FRAMES = 11.0, 40.0, 0.55
"""Heights of the smallest face and of the largest one in a frame of small faces, in pixels; how many frames are such."""
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
    if kind < 0.2:
        made = _photograph(rng, faces[rng.integers(len(faces))], size)
    else:
        made = _scene(rng, scenes, size)
        if kind > 0.26:
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
    image = people.piece(rng, scenes, width, height)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(2, 12))
    if rng.random() < 0.15:
        image = image * rng.uniform(0, 0.4) + rng.uniform(0, 200)
    return Composed(image)


def _populate(rng: np.random.Generator, made: Composed, faces: list[Cutout], scenes: list[np.ndarray]) -> None:
    """Parts of scenes, figures without a face, then people: all that is behind faces before any face."""
    image = made.image
    for _ in range(rng.choice(3, p=[0.55, 0.3, 0.15])):
        people.distractor(rng, image, scenes)
    for _ in range(rng.choice(3, p=[0.6, 0.25, 0.15])):
        people.figure(rng, image, scenes)
    placed = _placed(rng, made, faces)
    boxes = [_moved_box(face.box, matrix) for face, matrix, _ in placed]
    for box in boxes:
        if rng.random() < 0.6:
            people.body(rng, image, box, scenes)
        if rng.random() < 0.4:
            people.hair(rng, image, box, scenes)
    for face, matrix, scale in placed:
        _paste(rng, made, face, matrix, scale)
    for box in boxes:
        if rng.random() < 0.18:
            people.hat(rng, image, box, scenes)
        if rng.random() < 0.22:
            people.cover(rng, image, box, scenes)


def _placed(rng: np.random.Generator, made: Composed, faces: list[Cutout]) -> list[tuple[Cutout, np.ndarray, float]]:
    """Faces that find room, with their matrices and scales; more than half of the frames are of small faces only."""
    height, width = made.image.shape
    wanted, small = rng.choice(len(COUNTS), p=COUNTS), rng.random() < SMALL_FRAMES
    wanted += rng.integers(0, 3) if small else 0
    most = SMALL if small else max(2 * LEAST_HEIGHT, 1.15 * height / max(1, wanted) ** 0.7)
    placed = []
    for _ in range(wanted):
        face = faces[rng.integers(len(faces))]
        tall = float(np.exp(rng.uniform(np.log(LEAST_HEIGHT), np.log(most))))
        scale = tall / face.box[3]
        angle = float(np.clip(rng.normal(0, TURN), -30, 30))
        reach = 0.5 * tall * rng.choice([1.0, 0.5], p=[0.8, 0.2])  # the rest of a face may lie outside
        place = np.array([_between(rng, 0.8 * reach, width), _between(rng, reach, height)])
        narrow = rng.uniform(0.6, 1) if rng.random() < 0.2 else 1.0
        matrix = _matrix(rng, face.box[:2] + face.box[2:] / 2, scale, angle, place, narrow)
        if all(_is_free(_moved_box(face.box, matrix), _moved_box(f.box, m)) for f, m, _ in placed):
            placed.append((face, matrix, scale))
    return placed


def _between(rng: np.random.Generator, margin: float, side: int) -> float:
    return rng.uniform(margin, side - margin) if side > 2 * margin else rng.uniform(0.4, 0.6) * side


def _matrix(rng: np.random.Generator, middle, scale: float, degrees: float, place, narrow: float = 1.0) -> np.ndarray:
    """2×3: turns, scales, half the time mirrors a picture about ``middle``, which comes to lie at ``place``; ``narrow``: its
    width becomes that part, as of a head that looks aside."""
    cosine, sine = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    linear = linear @ np.diag([narrow * rng.choice([-1.0, 1.0]), 1.0])
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


def _is_free(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether a face in ``box`` would cover the other by no more than a fifth of the smaller."""
    common = np.minimum(box[:2] + box[2:], other[:2] + other[2:]) - np.maximum(box[:2], other[:2])
    return not ((common > 0).all() and common.prod() > 0.2 * min(box[2:].prod(), other[2:].prod()))


def _warped(face: Cutout, matrix: np.ndarray, scale: float, region, border: int) -> np.ndarray:
    """The face's picture moved by ``matrix``, float32, only in ``region`` (x0, y0, x1, y1)."""
    image, factor = face.level(scale)
    x0, y0, x1, y1 = region
    whole = np.column_stack([matrix[:, :2] * factor, matrix[:, 2] - [x0, y0]])
    whole[:, 2] += whole[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres at whole numbers
    moved = cv2.warpAffine(image, whole, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=border)
    return moved.astype(np.float32)


def _paste(rng: np.random.Generator, made: Composed, face: Cutout, matrix: np.ndarray, scale: float) -> None:
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
    if rng.random() < 0.12:
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
