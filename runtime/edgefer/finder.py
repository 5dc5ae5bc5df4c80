"""FinderSpec: everything needed to use a face-finding network, and how its outputs are read. It knows no engine."""

import math
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgefer.errors import InputRejected
from edgefer.files import read_json, write_json

SCHEMA = 1
OUTPUTS = {"scores": 1, "boxes": 4, "landmarks": 10}
"""Name of an output of the graph → how many numbers it gives for each cell."""


@dataclass(frozen=True)
class FinderSpec:
    """One trained face finder and how it is to be fed and read."""

    system: str
    """Name of the network."""
    input_size: int
    """Side of the square the graph sees, in pixels; see ``edgefer.detectors.shrink``."""
    strides: tuple[int, ...]
    """Pixels from cell to cell of each level, in the order of the outputs' rows."""
    units: tuple[float, ...]
    """Pixels that 1 stands for in the boxes and landmarks of each level."""
    threshold: float
    """Least score of a face."""
    overlap: float
    """Largest intersection over union of two faces."""
    options: dict = field(default_factory=dict)
    """Constructor options of the network, as JSON values."""
    mean: float = 128.0
    scale: float = 128.0
    """The graph computes (x − mean) / scale on uint8 x."""
    training: dict = field(default_factory=dict)
    """What the weights learned from."""
    licence: str = ""
    """Licence of the weights, with the limits their training data puts on them."""
    metrics: dict = field(default_factory=dict)
    """What was measured, by protocol."""
    schema: int = SCHEMA

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the graph's uint8 gray input."""
        return (1, self.input_size, self.input_size, 1)

    @property
    def cells(self) -> int:
        """Rows of every output."""
        return sum((self.input_size // stride) ** 2 for stride in self.strides)

    @property
    def output_shapes(self) -> dict[str, tuple[int, int, int]]:
        """Name of each float32 output → (1, cells, numbers a cell)."""
        return {name: (1, self.cells, width) for name, width in OUTPUTS.items()}

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict, source: str = "finder spec") -> "FinderSpec":
        """Build from plain data.

        Raises:
            InputRejected: another schema, fields that are missing, unknown or out of range; all problems at once.
        """
        if value.get("schema") != SCHEMA:
            raise InputRejected(
                f"{source}: schema {value.get('schema')!r} is not {SCHEMA}, the one this version reads; "
                "install the edgefer version that wrote it, or export the finder again"
            )
        known = {f.name for f in fields(cls)}
        required = {"system", "input_size", "strides", "units", "threshold", "overlap"}
        problems = [f"field '{name}' is missing" for name in sorted(required - value.keys())]
        problems += [f"field '{name}' is unknown" for name in sorted(value.keys() - known)]
        problems = problems or _range_problems(value)
        if problems:
            raise InputRejected(f"{source}: {'; '.join(problems)}; export the finder again")
        return cls(**{**value, "strides": tuple(value["strides"]), "units": tuple(map(float, value["units"]))})

    @classmethod
    def load(cls, path: Path) -> "FinderSpec":
        """Read a ``finder.json``."""
        return cls.from_json(read_json(path), str(path))

    def save(self, path: Path) -> None:
        """Write a ``finder.json``, whole or not at all."""
        write_json(path, self.to_json())


def _range_problems(value: dict) -> list[str]:
    problems = []
    size, strides, units = value["input_size"], value["strides"], value["units"]
    if not (_is_whole(size) and 16 <= size <= 1024):
        problems.append("field 'input_size' must be a whole number from 16 to 1024")
    elif not (isinstance(strides, list | tuple) and strides and all(_is_whole(s) and 1 <= s <= size for s in strides)):
        problems.append("field 'strides' must be whole numbers from 1 to 'input_size'")
    elif not (
        isinstance(units, list | tuple) and len(units) == len(strides) and all(_is_number(u) and u > 0 for u in units)
    ):
        problems.append("field 'units' must be as many positive numbers as 'strides'")
    for name in ("threshold", "overlap"):
        if not (_is_number(value[name]) and 0 <= value[name] <= 1):
            problems.append(f"field '{name}' must be a number from 0 to 1")
    if not (_is_number(value.get("mean", 128.0)) and _is_number(value.get("scale", 128.0)) and value.get("scale", 1)):
        problems.append("fields 'mean' and 'scale' must be numbers, 'scale' other than 0")
    return problems


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class FinderModel(NamedTuple):
    """A finder's model file and what is needed to run it."""

    model: Path
    spec: FinderSpec
    engine: str
    """Name in ``edgefer.engines.ENGINES``."""
    threads: int = 1


class Found(NamedTuple):
    """Faces in pixels of the graph's input, best score first."""

    scores: np.ndarray
    """float32 (n,)."""
    boxes: np.ndarray
    """float32 (n, 4): left, top, right, bottom edge."""
    landmarks: np.ndarray
    """float32 (n, 5, 2)."""


def decode(outputs: dict[str, np.ndarray], spec: FinderSpec, threshold: float | None = None) -> Found:
    """Read a graph's outputs: cells above the threshold, then non-maximum suppression that blends what it suppresses.

    Args:
        outputs: ``OUTPUTS`` → float32 (1, cells, width). Scores are probabilities; boxes are distances from the cell's
            centre to the left, top, right and bottom edge, landmarks offsets x, y from it, both in the level's units.
        spec: of the network.
        threshold: instead of the spec's.
    """
    scores = outputs["scores"].reshape(-1)
    rows = np.flatnonzero(scores >= (spec.threshold if threshold is None else threshold))
    if not len(rows):
        return Found(np.empty(0, np.float32), np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32))
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    centres, units = _grid(spec.input_size, spec.strides, spec.units)
    centre, unit = centres[rows], units[rows, None]
    away = outputs["boxes"][0, rows] * unit
    boxes = np.concatenate([centre - away[:, :2], centre + away[:, 2:]], 1)
    points = (outputs["landmarks"][0, rows] * unit).reshape(-1, 5, 2) + centre[:, None]
    return _suppressed(scores[rows], boxes, points, spec.overlap)


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


def _suppressed(scores: np.ndarray, boxes: np.ndarray, points: np.ndarray, overlap: float) -> Found:
    """The best of each heap of overlapping boxes, with the heap's box and landmarks weighted by score (BlazeFace, 4)."""
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
