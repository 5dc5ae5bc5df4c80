"""Data sets. Each loader returns the same thing: a ``FaceSet``."""

from dataclasses import dataclass

import numpy as np

from edgefer.align import resize
from edgefer.errors import UsageError, unknown
from edgefer.spec import FERPLUS_LABELS


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
    classes: tuple[str, ...] = FERPLUS_LABELS
    """What the columns of ``distributions`` and the numbers in ``labels`` stand for."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows) -> "FaceSet":
        """The faces picked by a boolean mask or an index array."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        names = tuple(self.names[i] for i in rows)
        return FaceSet(self.images[rows], self.distributions[rows], self.labels[rows], names, self.source, self.classes)

    def __add__(self, other: "FaceSet") -> "FaceSet":
        """Both sets' faces.

        Raises:
            UsageError: the sets know other classes, or their images differ in size or channels.
        """
        if self.classes != other.classes:
            raise UsageError(
                f"{self.source} ({', '.join(self.classes)}) and {other.source} ({', '.join(other.classes)}) cannot be "
                "joined: their classes differ"
            )
        if self.images.shape[1:] != other.images.shape[1:]:
            raise UsageError(
                f"{self.source} (images {self.images.shape[1:]}) and {other.source} ({other.images.shape[1:]}) cannot be "
                "joined: load both with the same side and channels"
            )
        images, distributions, labels = (
            np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("images", "distributions", "labels")
        )
        source = f"{self.source} + {other.source}"
        return FaceSet(images, distributions, labels, self.names + other.names, source, self.classes)

    @property
    def evaluated(self) -> "FaceSet":
        """Only the faces with a label."""
        return self[self.labels >= 0]


def without(faces: FaceSet, label: str) -> FaceSet:
    """The faces as they are judged when class ``label`` does not exist.

    Rows labelled so are dropped, the others' distributions renormalised over the classes that are left (all zeros where
    nothing is left).

    Raises:
        UsageError: there is no such class.
    """
    if label not in faces.classes:
        raise unknown("class", label, faces.classes, faces.source)
    index = faces.classes.index(label)
    kept = faces[faces.labels != index]
    shares = np.delete(kept.distributions, index, axis=1)
    total = shares.sum(1, keepdims=True)
    shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    classes = tuple(name for name in faces.classes if name != label)
    source = f"{faces.source} without {label}"
    return FaceSet(kept.images, shares, kept.labels - (kept.labels > index), kept.names, source, classes)


def crops_of(faces: FaceSet, size: int, channels: int) -> np.ndarray:
    """The faces as a network is given them: uint8 (N, size, size, channels), through the device's own resampling."""
    return np.stack([resize(image, size, channels) for image in faces.images])
