"""From a camera's frame to the gray square a face finder sees: whole-number arithmetic, the same bits on every machine.

The rule, for a frame of W×H pixels, channels R, G, B (gray: R = G = B), and an input of side S:

1. Blocks. f = max(1, max(W, H) div S). The frame is cut into blocks of f×f pixels from its upper left corner; rows and
   columns that do not fill a block are left out. Each block becomes one pixel: with A = Σ over the block of
   77 R + 150 G + 29 B, its grey level is (A + 128 f²) div (256 f²). This gives w×h = (W div f)×(H div f) pixels.
2. Lines. Where max(w, h) = m is then still longer than S (never twice as long), both sides shrink to S/m of it: the new
   sides are max(1, (n S + m div 2) div m) for n = w and n = h. First the rows, then the columns of that result: new pixel i of
   a side that shrinks from n to k lies at p = (2 i + 1) n 128 div k − 128 in 256ths of a pixel; with a = p div 256 and
   t = p mod 256 it is (old[a] (256 − t) + old[min(a + 1, n − 1)] t + 128) div 256.
3. The result lies in the upper left corner of an S×S square; the rest of it has grey level ``FILL``.

A frame that fits is not enlarged. div is division without the rest. Nothing depends on the rounding of floats: float32 and
float64 serve only to hold whole numbers that they hold exactly (below 2^24 and 2^53).
"""

import numpy as np

FILL = 128
"""Grey level of the square outside the frame; normalised it is 0, as a convolution's own padding."""
LUMA = (77, 150, 29)
"""256ths of R, G, B in a grey level: ITU-R BT.601."""


def to_square(frame: np.ndarray, size: int) -> tuple[np.ndarray, tuple[float, float]]:
    """Shrink a frame into a square.

    Args:
        frame: uint8 (H, W), (H, W, 1) or (H, W, 3) RGB, with pixels.
        size: S, the square's side.

    Returns:
        The square, uint8 (size, size), and how many of the frame's pixels one of its pixels spans in x and in y. A point
        of the square times that is the point in the frame, both with pixel centres at half-integers.
    """
    height, width = frame.shape[:2]
    f = max(1, max(height, width) // size)
    gray = _blocks(frame, f)
    scale = [float(f), float(f)]
    h, w = gray.shape
    longer = max(h, w)
    if longer > size:
        new_h, new_w = (max(1, (n * size + longer // 2) // longer) for n in (h, w))
        gray = _lines(_lines(gray, new_h).T, new_w).T
        scale = [f * w / new_w, f * h / new_h]
    square = np.full((size, size), FILL, np.uint8)
    square[: gray.shape[0], : gray.shape[1]] = gray
    return square, (scale[0], scale[1])


def _blocks(frame: np.ndarray, f: int) -> np.ndarray:
    """Grey level of every f×f block, uint8."""
    rows, columns = frame.shape[0] // f or 1, frame.shape[1] // f or 1
    tall, wide = min(f, frame.shape[0]), min(f, frame.shape[1])
    part = frame[: rows * tall, : columns * wide]
    channels = 3 if frame.ndim == 3 and frame.shape[2] == 3 else 1
    part = np.ascontiguousarray(part).reshape(rows, tall, -1)
    total = part[:, 0].astype(np.uint16 if tall <= 257 else np.uint32)
    for row in range(1, tall):
        total += part[:, row]
    weights = np.tile(LUMA if channels == 3 else [sum(LUMA)], wide)
    exact = np.float32 if tall * wide * 255 * 256 < 2**24 else np.float64
    sums = (total.reshape(rows * columns, -1).astype(exact) @ weights.astype(exact)).reshape(rows, columns)
    area = 256 * tall * wide
    return ((sums.astype(np.int64) + area // 2) // area).astype(np.uint8)


def _lines(image: np.ndarray, new: int) -> np.ndarray:
    """Shrink the first axis of a uint8 image to ``new`` rows by linear interpolation, at most by half."""
    old = image.shape[0]
    if new == old:
        return image
    place = (2 * np.arange(new) + 1) * old * 128 // new - 128
    first, part = place // 256, (place % 256).astype(np.uint32)[:, None]
    second = np.minimum(first + 1, old - 1)
    return ((image[first] * (256 - part) + image[second] * part + 128) // 256).astype(np.uint8)
