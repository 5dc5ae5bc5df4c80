"""Forms of raw frames, named as FFmpeg names them → uint8 RGB or grey. Plain numpy: the same numbers on every machine.

Y′CbCr is BT.601's, as cameras give it, in its limited range (16…235) except ``yuvj420p``, which is full. Chroma is repeated,
not interpolated.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Format(NamedTuple):
    """How a raw frame lies in memory."""

    bytes_per_pixel: float
    even: tuple[int, int]
    """What width and height must be multiples of."""
    picture: Callable[[np.ndarray, int, int], np.ndarray]
    """(bytes (N,), width, height) → uint8 (H, W, 3) RGB or (H, W)."""


def _packed(order: tuple[int, ...], channels: int) -> Callable:
    return lambda data, w, h: np.ascontiguousarray(data.reshape(h, w, channels)[..., order])


def _gray(data: np.ndarray, w: int, h: int) -> np.ndarray:
    return data.reshape(h, w)


def _gray16(data: np.ndarray, w: int, h: int) -> np.ndarray:
    return np.ascontiguousarray(data.reshape(h, w, 2)[..., 1])  # little endian: the second byte is the greater


def _yuyv(data: np.ndarray, w: int, h: int) -> np.ndarray:
    pairs = data.reshape(h, w // 2, 4)
    luma = pairs[..., ::2].reshape(h, w)
    blue, red = (pairs[..., i].repeat(2, axis=1) for i in (1, 3))
    return to_rgb(luma, blue, red)


def _nv12(data: np.ndarray, w: int, h: int) -> np.ndarray:
    luma, chroma = data[: w * h].reshape(h, w), data[w * h :].reshape(h // 2, w // 2, 2)
    return to_rgb(luma, _doubled(chroma[..., 0]), _doubled(chroma[..., 1]))


def _yuv420(full: bool) -> Callable:
    def picture(data: np.ndarray, w: int, h: int) -> np.ndarray:
        quarter = w * h // 4
        blue, red = (data[w * h + i * quarter :][:quarter].reshape(h // 2, w // 2) for i in (0, 1))
        return to_rgb(data[: w * h].reshape(h, w), _doubled(blue), _doubled(red), full)

    return picture


def _yuv444(data: np.ndarray, w: int, h: int) -> np.ndarray:
    return to_rgb(*data.reshape(3, h, w))


def _doubled(plane: np.ndarray) -> np.ndarray:
    return plane.repeat(2, axis=0).repeat(2, axis=1)


def to_rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray, full: bool = False) -> np.ndarray:
    """Y′, Cb, Cr uint8 (H, W) → RGB uint8 (H, W, 3); BT.601 in whole numbers of 1/256."""
    y, b, r = luma.astype(np.int32), blue.astype(np.int32) - 128, red.astype(np.int32) - 128
    if full:
        y, cr, cg_b, cg_r, cb = 256 * y, 359 * r, 88 * b, 183 * r, 454 * b
    else:
        y, cr, cg_b, cg_r, cb = 298 * np.maximum(y - 16, 0), 409 * r, 100 * b, 208 * r, 516 * b
    planes = (y + cr, y - cg_b - cg_r, y + cb)
    return np.stack([np.clip((plane + 128) >> 8, 0, 255).astype(np.uint8) for plane in planes], axis=-1)


FORMATS = {
    "rgb24": Format(3, (1, 1), _packed((0, 1, 2), 3)),
    "bgr24": Format(3, (1, 1), _packed((2, 1, 0), 3)),
    "rgba": Format(4, (1, 1), _packed((0, 1, 2), 4)),
    "bgra": Format(4, (1, 1), _packed((2, 1, 0), 4)),
    "gray": Format(1, (1, 1), _gray),
    "gray16le": Format(2, (1, 1), _gray16),
    "yuyv422": Format(2, (2, 1), _yuyv),
    "nv12": Format(1.5, (2, 2), _nv12),
    "yuv420p": Format(1.5, (2, 2), _yuv420(full=False)),
    "yuvj420p": Format(1.5, (2, 2), _yuv420(full=True)),
    "yuv444p": Format(3, (1, 1), _yuv444),
}
"""Name → form; what ``--pixels`` takes."""
