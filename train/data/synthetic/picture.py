"""Pictures of a face: placed in a crop or a frame, on a backdrop, taken by a camera."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from edgefer.align import similarity
from edgefer.files import read_json
from train.data.synthetic.canvas import FRACTION_BITS
from train.data.synthetic.drawing import draw_head
from train.data.synthetic.face import Face, Scene
from train.data.synthetic.geometry import SHOULDERS, landmarks, moved

FRAMING = Path(__file__).parents[1] / "ferplus-framing.json"
CANVAS = 0.28
"""Canvas pixels in a face unit for each pixel of a crop's side: 1.5 times as fine as the crop."""
ZOOM, DROP = 1.09, 0.027
"""Correction of the framing, as a factor and a share of the crop's side: the template is YuNet's, and on these faces YuNet
sees nose and mouth 0.04 to 0.08 eye distances higher than they are drawn. With it, its median landmarks are the template's."""

HEAD_SHARE = 0.6
"""Face units by which the middle of a head seen from the side lies behind that of its landmarks: a crop holds both."""


def crop(face: Face, rng: np.random.Generator, size: int) -> np.ndarray:
    """The picture of ``face``, uint8 (size, size), framed by ``ferplus-framing.json``; ``rng`` draws texture and noise."""
    over = 2 * size
    matrix = crop_matrix(face, over)
    picture = composed(face, rng, matrix, (over, over), CANVAS * size)
    return _photographed(face.scene, rng, cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), size)


def frame(face: Face, rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture of ``face`` somewhere in a frame, uint8 (height, width, 3), and its landmarks, float32 (5, 2)."""
    scale = min(width, height) * rng.uniform(0.05, 0.11)
    reach = np.array([2.6, 3.6]) * scale
    room = np.maximum(np.array([width, height]) - 2 * reach, 0)
    place = reach + rng.uniform(0, 1, 2) * room
    cosine, sine = scale * np.cos(face.pose.roll), scale * np.sin(face.pose.roll)
    matrix = np.array([[cosine, -sine, place[0]], [sine, cosine, place[1]]])
    picture = composed(face, rng, matrix, (height, width), scale, clutter=40)
    picture = picture.astype(np.float32) + rng.normal(0, face.scene.noise, (height, width, 1)).astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8), moved(landmarks(face), matrix).astype(np.float32)


def crop_matrix(face: Face, size: int) -> np.ndarray:
    """2×3, face units → pixels of a crop of ``size``: on the FER+ template, then as far off it as FER+'s crops are.

    The scale is that of the face seen from the front: FER+'s crops do not come closer to a face that turns aside.
    """
    template = np.array(read_framing()) * size
    frontal = replace(face, pose=replace(face.pose, yaw=0.0, pitch=0.0))
    linear = similarity(landmarks(frontal), template)[:, :2]
    zoom = ZOOM * face.scene.zoom
    cosine, sine = zoom * np.cos(face.pose.roll), zoom * np.sin(face.pose.roll)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ linear
    shown = landmarks(face).mean(0) - [HEAD_SHARE * np.sin(face.pose.yaw), 0]
    offset = template.mean(0) - linear @ shown + (np.array(face.scene.shift) + [0, DROP]) * size
    return np.column_stack([linear, offset])


@cache
def read_framing() -> list[list[float]]:
    """FER+'s median landmarks, five (x, y) as fractions of the crop's side."""
    return read_json(FRAMING)["landmarks"]


def composed(
    face: Face, rng: np.random.Generator, matrix: np.ndarray, shape, scale: float, clutter: int | None = None
) -> np.ndarray:
    """Head on backdrop, uint8 (H, W, 3) RGB; ``matrix`` maps face units to its pixels, ``scale`` is canvas pixels a unit."""
    picture = _backdrop(face, rng, matrix, shape, face.scene.clutter if clutter is None else clutter)
    head = draw_head(face, rng, scale)
    to_units = head.matrix()
    whole = np.column_stack([matrix[:, :2] @ to_units[:, :2], matrix[:, :2] @ to_units[:, 2] + matrix[:, 2]])
    whole[:, 2] += whole[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres at whole numbers
    layer = cv2.warpAffine(head.pixels, whole, shape[::-1], flags=cv2.INTER_LINEAR)
    rest = cv2.merge([255 - layer[..., 3]] * 3)
    return cv2.add(layer[..., :3].copy(), cv2.multiply(picture, rest, scale=1 / 255))


def _backdrop(face: Face, rng: np.random.Generator, matrix: np.ndarray, shape, clutter: int) -> np.ndarray:
    """A gradient, blurred shapes, and the shoulders, uint8 (H, W, 3); made at half the size, as it is blurred anyway."""
    height, width = shape
    corners = rng.uniform(0, 255, (2, 2, 1)) * 0.6 + rng.uniform(0, 255, (1, 1, 3)) * 0.4
    picture = cv2.resize(corners.astype(np.uint8), (width // 2, height // 2), interpolation=cv2.INTER_LINEAR)
    for _ in range(clutter):
        _draw_shape(picture, rng)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.3 + rng.uniform(0.002, 0.015) * height)
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    beside = [2.0 * np.sin(face.pose.yaw), 0]
    points = np.round(moved(SHOULDERS - beside, matrix) * 2**FRACTION_BITS).astype(np.int32)
    cv2.fillPoly(picture, [points], face.scene.cloth, cv2.LINE_AA, FRACTION_BITS)
    return picture


def _draw_shape(picture: np.ndarray, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    colour = tuple(rng.uniform(0, 255, 3).tolist())
    centre = rng.uniform(0, 1, 2) * (width, height)
    if rng.random() < 0.3:
        end = rng.uniform(0, 1, 2) * (width, height)
        width = int(rng.integers(1, 2 + height // 40))
        cv2.line(picture, centre.astype(int).tolist(), end.astype(int).tolist(), colour, width)
        return
    corners = centre + rng.uniform(-0.2, 0.2, (4, 2)) * height
    cv2.fillPoly(picture, [corners.astype(np.int32)], colour)


def _photographed(scene: Scene, rng: np.random.Generator, picture: np.ndarray, size: int) -> np.ndarray:
    """The camera: few pixels, uneven light, exposure, noise, JPEG; uint8 (size, size)."""
    small = max(24, round(48 * scene.sharpness))
    image = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA).astype(np.float32)
    image *= _falloff(scene, small)
    gain = np.clip(scene.deviation / max(image.std(), 1.0), 0.5, 2.2)
    image = (image - image.mean()) * gain + scene.mean
    image += rng.normal(0, scene.noise, image.shape).astype(np.float32)
    coded = cv2.imencode(
        ".jpg", np.clip(image + 0.5, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, scene.quality]
    )
    image = cv2.imdecode(coded[1], cv2.IMREAD_GRAYSCALE)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)


def _falloff(scene: Scene, side: int) -> np.ndarray:
    """Factors float32 (side, side): brightness changes evenly over the picture."""
    along = np.linspace(-1, 1, side, dtype=np.float32)
    return np.clip(1 + scene.falloff[0] * along[None] + scene.falloff[1] * along[:, None], 0.4, 1.6).astype(np.float32)
