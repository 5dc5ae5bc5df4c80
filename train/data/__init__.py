"""Data sets. Each loader returns the same thing: a ``FaceSet``."""

from dataclasses import dataclass

import numpy as np

from edgefer.align import resize


@dataclass(frozen=True)
class FaceSet:
    """Face crops in memory with what is known about their expression."""

    images: np.ndarray
    """uint8 (N, H, W) gray, or (N, H, W, 3) RGB."""
    distributions: np.ndarray
    """float32 (N, classes): label distribution, rows sum to 1; all zeros where nothing is known."""
    labels: np.ndarray
    """int64 (N,): class index, −1 for a face that is learned from but not evaluated."""
    names: tuple[str, ...]
    """Name of each face within its data set."""
    source: str
    """Data set and split, for reports."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows) -> "FaceSet":
        """The faces picked by a boolean mask or an index array."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        names = tuple(self.names[i] for i in rows)
        return FaceSet(self.images[rows], self.distributions[rows], self.labels[rows], names, self.source)

    def __add__(self, other: "FaceSet") -> "FaceSet":
        """Both sets' faces; their images must have the same size."""
        images, distributions, labels = (
            np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("images", "distributions", "labels")
        )
        return FaceSet(images, distributions, labels, self.names + other.names, f"{self.source} + {other.source}")

    @property
    def evaluated(self) -> "FaceSet":
        """Only the faces with a label."""
        return self[self.labels >= 0]


def crops_of(faces: FaceSet, size: int, channels: int) -> np.ndarray:
    """The faces as a network is given them: uint8 (N, size, size, channels), through the device's own resampling."""
    return np.stack([resize(image, size, channels) for image in faces.images])
