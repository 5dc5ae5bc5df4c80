"""How a face-finding network's outputs are read, and how what it found is compared. It knows no engine."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from edgefer.finder_spec import FinderSpec


class Found(NamedTuple):
    """Faces, and places in doubt where they were asked for, in pixels of the graph's input, best score first."""

    scores: np.ndarray
    """float32 (n,)."""
    boxes: np.ndarray
    """float32 (n, 4): left, top, right, bottom edge."""
    landmarks: np.ndarray
    """float32 (n, 5, 2)."""


def decode(
    outputs: dict[str, np.ndarray], spec: FinderSpec, threshold: float | None = None, doubt: float | None = None
) -> Found:
    """Read a graph's outputs: cells above the threshold, then non-maximum suppression that blends what it suppresses.

    Args:
        outputs: ``OUTPUTS`` → float32 (1, cells, width). Scores are probabilities; boxes are distances from the cell's
            centre to the left, top, right and bottom edge, landmarks offsets x, y from it, both in the level's units.
        spec: of the network.
        threshold: instead of the spec's.
        doubt: a score at most the threshold. Places from it to the threshold that overlap no better one are returned too,
            after the faces, whose boxes they do not change.
    """
    scores = outputs["scores"].reshape(-1)
    threshold = np.float32(spec.threshold if threshold is None else threshold)
    rows = np.flatnonzero(scores >= (threshold if doubt is None else np.float32(doubt)))
    if not len(rows):
        return Found(np.empty(0, np.float32), np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32))
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    centres, units = _grid(spec.input_size, spec.strides, spec.units)
    centre, unit = centres[rows], units[rows, None]
    away = outputs["boxes"][0, rows] * unit
    boxes = np.concatenate([centre - away[:, :2], centre + away[:, 2:]], 1)
    points = (outputs["landmarks"][0, rows] * unit).reshape(-1, 5, 2) + centre[:, None]
    return _suppressed(scores[rows], boxes, points, spec.overlap, threshold)


@lru_cache(maxsize=8)
def _grid(size: int, strides: tuple[int, ...], units: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Of every cell: centre float32 (cells, 2) in pixels, unit float32 (cells,)."""
    centres, spans = [], []
    for stride, unit in zip(strides, units, strict=True):
        along = (np.arange(size // stride, dtype=np.float32) + np.float32(0.5)) * stride
        x, y = np.meshgrid(along, along)
        centres.append(np.stack([x, y], -1).reshape(-1, 2))
        spans.append(np.full(len(along) ** 2, unit, np.float32))
    return np.concatenate(centres), np.concatenate(spans)


def _suppressed(scores: np.ndarray, boxes: np.ndarray, points: np.ndarray, overlap: float, threshold: float) -> Found:
    """The best of each heap of overlapping boxes, with the heap's box and landmarks weighted by score (BlazeFace, 4).

    In the heap of one that reaches the threshold only those that do have a weight.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    left = np.arange(len(scores))
    kept = []
    while len(left):
        best = left[0]
        common = (np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(boxes[best, :2], boxes[left, :2])).clip(0)
        common = common.prod(1)
        alike = common > overlap * (areas[best] + areas[left] - common)
        alike[0] = True  # even where its box has no area
        heap = left[alike]
        if scores[best] >= threshold:
            heap = heap[scores[heap] >= threshold]
        weights = scores[heap] / scores[heap].sum()
        kept.append((scores[best], weights @ boxes[heap], np.tensordot(weights, points[heap], 1)))
        left = left[~alike]
    found = [np.array(part, np.float32) for part in zip(*kept, strict=True)]
    return Found(*found)


def pairs(edges: np.ndarray, wanted: np.ndarray, least: float = 0.5) -> np.ndarray:
    """Which wanted face each found one is: the one it overlaps most, in the order found, each at most once.

    Args:
        edges: (n, 4) left, top, right, bottom of the faces found, best first.
        wanted: (m, 4) of those that are there.
        least: intersection over union from which a face counts as found.

    Returns:
        int (n,): row of ``wanted``, or −1 for a face that is none of them.
    """
    overlaps = intersections(edges, wanted)
    rows = np.full(len(edges), -1)
    for i in range(len(edges)):
        if len(wanted) and overlaps[i].max() >= least:
            rows[i] = overlaps[i].argmax()
            overlaps[:, rows[i]] = -1
    return rows


def intersections(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of all boxes a (n, 4) with all b (m, 4), given by their edges: (n, m)."""
    a, b = np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4)
    common = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).clip(0).prod(-1) for box in (a, b))
    return common / np.maximum(area_a + area_b - common, 1e-9)


def landmarks_off(found: np.ndarray, wanted: np.ndarray) -> float:
    """Mean distance of five landmarks (5, 2) from where they should be, as a fraction of the distance of the eyes there."""
    eyes = max(float(np.linalg.norm(wanted[0] - wanted[1])), 1e-6)
    return float(np.linalg.norm(found - wanted, axis=1).mean()) / eyes
