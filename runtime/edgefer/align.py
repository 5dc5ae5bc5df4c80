"""Align-and-crop: from a frame and a face to the crop a network was trained on. The only such function in the project.

Calibration, benchmarks and devices all use it, so there is nothing for them to disagree about. Plain numpy, float32
sums: the same crop on x86 and ARM to within a grey level (OpenCV's linear resize is not).
"""

import numpy as np

from edgefer.errors import InputRejected
from edgefer.spec import ModelSpec

GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601 weights of R, G, B, as cameras and OpenCV use


def check_frame(frame: np.ndarray) -> None:
    """Refuse what is not an image.

    Raises:
        InputRejected: not uint8, not (H, W) or (H, W, 3), or without pixels.
    """
    if not isinstance(frame, np.ndarray):
        raise InputRejected(f"a frame must be a numpy array, not {type(frame).__name__}")
    if frame.dtype != np.uint8:
        raise InputRejected(f"a frame must hold uint8 grey levels, not {frame.dtype}; scale it to 0…255 first")
    if frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[2] not in (1, 3)):
        raise InputRejected(f"a frame must have shape (H, W) or (H, W, 3), not {frame.shape}")
    if frame.size == 0:
        raise InputRejected(f"a frame of {frame.shape[0]}×{frame.shape[1]} has no pixels")


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """(H, W), (H, W, 1) or (H, W, 3 RGB) → float32 (H, W, channels), grey levels 0…255."""
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[2] == channels:
        return image.astype(np.float32)
    if channels == 1:
        return (image.astype(np.float32) @ GRAY)[..., None]
    return np.repeat(image.astype(np.float32), channels, axis=2)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares rotation, scale and shift that moves points ``source`` (N, 2) onto ``target`` (N, 2): a 2×3 matrix.

    Source: Umeyama 1991, without reflection; in two dimensions it has this closed form.

    Raises:
        InputRejected: the points coincide, so that no scale exists.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape:
        raise InputRejected(f"a face's landmarks must have shape {target.shape}, not {source.shape}")
    s_mean, t_mean = source.mean(0), target.mean(0)
    s, t = source - s_mean, target - t_mean
    spread = (s**2).sum()
    if not np.isfinite(spread) or spread < 1e-6:
        raise InputRejected("a face's landmarks coincide, so it cannot be aligned")
    a = (s * t).sum() / spread
    b = (s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum() / spread
    if a * a + b * b < 1e-12:  # as when they come in a mirrored order
        raise InputRejected("a face's landmarks do not lie as those of a face, so it cannot be aligned")
    rotation = np.array([[a, -b], [b, a]])
    return np.column_stack([rotation, t_mean - rotation @ s_mean])


def box_to_box(source, target) -> np.ndarray:
    """2×3 matrix that moves box ``source`` (x, y, w, h) onto ``target``: centres and mean sides meet, no stretching."""
    (sx, sy, sw, sh), (tx, ty, tw, th) = source, target
    if not (np.isfinite([sx, sy, sw, sh]).all() and sw > 0 and sh > 0):
        raise InputRejected(f"a face box of {sw}×{sh} pixels has no area")
    scale = float(np.sqrt((tw * th) / (sw * sh)))
    return np.array(
        [[scale, 0.0, tx + tw / 2 - scale * (sx + sw / 2)], [0.0, scale, ty + th / 2 - scale * (sy + sh / 2)]]
    )


def warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Sample a ``size``×``size`` crop; outside the image its edge is repeated.

    Args:
        image: float32 (H, W, C).
        matrix: 2×3, from image coordinates to crop coordinates; pixel centres lie at half-integers in both.
        size: of the crop, in pixels.

    Returns:
        uint8 (size, size, C). Where the image is larger than the crop by a factor f ≥ 2, pixels are averaged f×f first,
        so that nothing aliases; then bilinear interpolation.
    """
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    shrink = min(_shrinking(inverse), max(image.shape[:2]))
    if shrink >= 2:
        corners = inverse @ np.array([[0, size, 0, size], [0, 0, size, size], [1, 1, 1, 1]])
        image, inverse = _shrunk(image, inverse, corners, shrink)
    centres = np.arange(size) + 0.5
    x = inverse[0, 0] * centres[None, :] + inverse[0, 1] * centres[:, None] + inverse[0, 2] - 0.5
    y = inverse[1, 0] * centres[None, :] + inverse[1, 1] * centres[:, None] + inverse[1, 2] - 0.5
    return np.clip(_bilinear(image, x, y) + 0.5, 0, 255).astype(np.uint8)


def _shrinking(inverse: np.ndarray) -> int:
    """By how much a crop's pixels are larger than the image's, a whole number; 3.9999… is 4 on every machine."""
    return max(1, int(np.sqrt(abs(np.linalg.det(inverse[:, :2]))) + 1e-3))


def _block(low: float, side: int, f: int) -> int:
    """First pixel of the f-pixel block that ``low`` lies in. Blocks are counted from the frame's corner, so that a last
    digit that differs between machines does not shift them."""
    return int(np.clip(np.floor(low / f), 0, (side - 1) // f)) * f


def _shrunk(image: np.ndarray, inverse: np.ndarray, corners: np.ndarray, f: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of ``image`` around ``corners``, averaged over f×f pixels, and ``inverse`` in its coordinates."""
    height, width = image.shape[:2]
    x0, y0 = (_block(low - 2 * f, side, f) for low, side in zip(corners.min(1), (width, height), strict=True))
    x1, y1 = (
        int(np.clip(np.ceil(high) + 2 * f, 1, n)) for high, n in zip(corners.max(1), (width, height), strict=True)
    )
    part = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    part = np.pad(part, ((0, -part.shape[0] % f), (0, -part.shape[1] % f), (0, 0)), mode="edge")
    return _averaged(part, f), (inverse - np.array([[0, 0, x0], [0, 0, y0]])) / f


def _averaged(image: np.ndarray, f: int) -> np.ndarray:
    """Mean of every f×f block of float32 (H, W, C), both sides multiples of f. Whole rows, then columns: ten times as fast as
    numpy's mean over both."""
    rows, columns = image.shape[0] // f, image.shape[1] // f
    lines = np.ascontiguousarray(image).reshape(rows, f, -1)
    total = lines[:, 0].copy()
    for i in range(1, f):
        total += lines[:, i]
    total = total.reshape(rows, columns, f, -1)
    mean = total[:, :, 0].copy()
    for i in range(1, f):
        mean += total[:, :, i]
    return mean / np.float32(f * f)


def _bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    x0, y0 = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    u, v = (x - x0).astype(np.float32)[..., None], (y - y0).astype(np.float32)[..., None]
    above = image[y0, x0] * (1 - u) + image[y0, x1] * u
    below = image[y1, x0] * (1 - u) + image[y1, x1] * u
    return above * (1 - v) + below * v


def resize(image: np.ndarray, size: int, channels: int) -> np.ndarray:
    """A picture that already is a face crop → uint8 (size, size, channels), sampled as ``align_crop`` does."""
    check_frame(image)
    height, width = image.shape[:2]
    matrix = np.array([[size / width, 0, 0], [0, size / height, 0]])
    return warp(to_channels(image, channels), matrix, size)


def align_crop(frame: np.ndarray, face, spec: ModelSpec) -> np.ndarray:
    """Cut a face out of a frame the way the network's training crops were cut.

    Args:
        frame: uint8 (H, W), or (H, W, 3) in RGB order.
        face: has ``landmarks``, five (x, y) in frame pixels in the order of ``Alignment.landmarks``, or None; ``box``
            (x, y, w, h); and ``detector``, the name its box is known by in ``Alignment.boxes``. Landmarks win over
            the box.
        spec: of the network.

    Returns:
        uint8 (input_size, input_size, channels).

    Raises:
        InputRejected: not a frame, or a face without extent.
    """
    check_frame(frame)
    size, alignment = spec.input_size, spec.alignment
    if face.landmarks is not None:
        matrix = similarity(face.landmarks, np.array(alignment.landmarks) * size)
    elif face.detector in alignment.boxes:
        matrix = box_to_box(face.box, np.array(alignment.boxes[face.detector]) * size)
    else:
        raise InputRejected(
            f"the model has no framing for boxes of detector '{face.detector}' "
            f"(it has {', '.join(sorted(alignment.boxes)) or 'none'}); use a detector that gives landmarks"
        )
    return _crop(frame, matrix, size, spec.channels)


def _crop(frame: np.ndarray, matrix: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Convert only the part of the frame that the crop can touch: most of a frame is not face."""
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    corners = inverse @ np.array([[0, size, 0, size], [0, 0, size, size], [1, 1, 1, 1]])
    f = _shrinking(inverse)
    height, width = frame.shape[:2]
    x0, y0 = (_block(low - 3 * f, side, f) for low, side in zip(corners.min(1), (width, height), strict=True))
    x1, y1 = np.clip(np.ceil(corners.max(1)) + 3 * f, 1, (width, height)).astype(int)
    part = frame[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    moved = np.column_stack([matrix[:, :2], matrix @ np.array([x0, y0, 1.0])])
    return warp(to_channels(part, channels), moved, size)
