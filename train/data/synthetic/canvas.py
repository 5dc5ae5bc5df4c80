"""A small drawing surface in face units. Knows nothing of faces."""

import cv2
import numpy as np

FIELD = np.array([[-4.3, -4.1], [4.3, 4.9]])
"""Corners of the part of the plane that a canvas holds, in face units."""
FRACTION_BITS = 4


class Canvas:
    """A picture in face units: uint8 (H, W, 4), colours already multiplied by their alpha, antialiased."""

    def __init__(self, scale: float, field: np.ndarray = FIELD):
        width, height = np.ceil((field[1] - field[0]) * scale - 1e-6).astype(int)
        self.scale, self.origin = scale, field[0]
        self.pixels = np.zeros((height, width, 4), np.uint8)

    def patch(self, points: np.ndarray) -> "Canvas":
        """An empty canvas on the same pixel grid, just large enough for ``points``."""
        low, high = ((f(0) - self.origin) * self.scale for f in (points.min, points.max))
        size = np.array(self.pixels.shape[1::-1])
        corners = np.array([np.clip(np.floor(low) - 1, 0, size - 1), np.clip(np.ceil(high) + 1, 1, size)])
        return Canvas(self.scale, self.origin + corners / self.scale)

    def fill(self, points: np.ndarray, colour) -> None:
        cv2.fillPoly(self.pixels, [self.fixed(points)], rgba(colour), cv2.LINE_AA, FRACTION_BITS)

    def line(self, points: np.ndarray, colour, width: float, closed: bool = False) -> None:
        thickness = max(1, round(width * self.scale))
        cv2.polylines(self.pixels, [self.fixed(points)], closed, rgba(colour), thickness, cv2.LINE_AA, FRACTION_BITS)

    def dot(self, centre: np.ndarray, radius: float, colour) -> None:
        unit = self.scale * 2**FRACTION_BITS
        x, y = (
            round((c - low) * unit) - 2 ** (FRACTION_BITS - 1)
            for c, low in zip(centre.tolist(), self.origin.tolist(), strict=True)
        )
        cv2.circle(self.pixels, (x, y), round(radius * self.scale * 16), rgba(colour), -1, cv2.LINE_AA, FRACTION_BITS)

    def blend(self, other: "Canvas") -> None:
        """Lay another canvas, of the same size or a patch of this one, over this one."""
        column, row = np.round((other.origin - self.origin) * self.scale).astype(int)
        height, width = other.pixels.shape[:2]
        under = self.pixels[row : row + height, column : column + width]
        rest = cv2.merge([255 - other.pixels[..., 3]] * 4)
        under[:] = cv2.add(other.pixels, cv2.multiply(under, rest, scale=1 / 255))

    def keep_inside(self, points: np.ndarray) -> None:
        """Make everything outside a polygon transparent."""
        mask = np.zeros(self.pixels.shape[:2], np.uint8)
        cv2.fillPoly(mask, [self.fixed(points)], 255, cv2.LINE_AA, FRACTION_BITS)
        self.pixels = cv2.multiply(self.pixels, cv2.merge([mask] * 4), scale=1 / 255)

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Face units of the pixel centres: x (W,) and y (H,)."""
        height, width = self.pixels.shape[:2]
        at = [
            (np.arange(n, dtype=np.float32) + 0.5) / self.scale + low
            for n, low in zip((width, height), self.origin, strict=True)
        ]
        return at[0], at[1]

    def matrix(self) -> np.ndarray:
        """2×3, pixels of this canvas (centres at half-integers) → face units."""
        return np.array([[1 / self.scale, 0, self.origin[0]], [0, 1 / self.scale, self.origin[1]]])

    def fixed(self, points: np.ndarray) -> np.ndarray:
        unit = self.scale * 2**FRACTION_BITS
        return np.rint(points * unit - (self.origin * unit + 2 ** (FRACTION_BITS - 1))).astype(np.int32)


def rgba(colour) -> tuple[float, float, float, float]:
    return (*(min(255.0, float(c)) for c in colour), 255.0)


def tinted(colour, *factors: float) -> tuple[float, float, float]:
    """A colour times a factor, or times one factor for each channel."""
    factors = factors * 3 if len(factors) == 1 else factors
    return tuple(c * f for c, f in zip(colour, factors, strict=True))
