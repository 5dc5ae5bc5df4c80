"""Photographs learned from must not be those judged on: pairs that look alike when small are taken for the same picture."""

import cv2
import numpy as np

from train.data import finder, layout
from train.data.finder import Picture

SIDE, ALIKE = 16, 0.93
"""Pictures shrunk to SIDE×SIDE grey levels are alike from this correlation on, mirrored or not. Opened by eye, most pairs from
0.947 on were one person in one sitting, pairs about 0.93 no longer."""


def kept_apart(data: str | None) -> list[np.ndarray]:
    """Gray pictures uint8 (H, W) of the parts for tuning and testing and, where it is found, of faces-in-the-wild."""
    kept = [picture.image for picture in finder.load("photos", ("tune", "test"), data, gray=True)]
    wild = layout.find(lambda p: (p / "labels.csv").is_file() and (p / "images").is_dir(), data)
    files = sorted(p for p in (wild / "images").iterdir() if layout.is_picture(p)) if wild else []
    return kept + [cv2.cvtColor(layout.read_rgb(file), cv2.COLOR_RGB2GRAY) for file in files]


def without(photos: list[Picture], others: list[np.ndarray]) -> list[Picture]:
    """The gray photographs that are like none of the others."""
    if not (photos and others):
        return photos
    small = np.stack([_small(photo.image) for photo in photos])
    kept = np.stack([_small(image) for image in others])
    alike = np.maximum(_correlations(small, kept), _correlations(small[:, :, ::-1], kept)).max(1) >= ALIKE
    return [photo for photo, is_alike in zip(photos, alike, strict=True) if not is_alike]


def _small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of pictures (n, S, S) with pictures (m, S, S): (n, m)."""
    a, b = (x.reshape(len(x), -1) - x.mean((1, 2))[:, None] for x in (a, b))
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6) for x in (a, b))
    return a @ b.T
