"""FinderSpec: all that is needed to use a face-finding network. No numpy here, so that the doctor reads a bundle without it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from edgefer.files import read_json, write_json
from edgefer.spec import check_fields, is_number

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
    """Least score of a face at the first look."""
    overlap: float
    """Largest intersection over union of two faces."""
    doubt: float | None = None
    """Least score, at most ``threshold``, of a place that ``edgefer.detectors.own`` looks at again, larger; None: none is."""
    confirm: float | None = None
    """Least score, at that second look, of a face; None where there is none."""
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
        required = {"system", "input_size", "strides", "units", "threshold", "overlap"}
        check_fields(cls, value, SCHEMA, required, _range_problems, source, "export the finder again")
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
        isinstance(units, list | tuple) and len(units) == len(strides) and all(is_number(u) and u > 0 for u in units)
    ):
        problems.append("field 'units' must be as many positive numbers as 'strides'")
    for name in ("threshold", "overlap"):
        if not (is_number(value[name]) and 0 <= value[name] <= 1):
            problems.append(f"field '{name}' must be a number from 0 to 1")
    doubt, confirm = value.get("doubt"), value.get("confirm")
    if (doubt, confirm) != (None, None) and not all(is_number(v) and 0 <= v <= 1 for v in (doubt, confirm)):
        problems.append("fields 'doubt' and 'confirm' must both be numbers from 0 to 1, or both be missing")
    elif doubt is not None and is_number(value["threshold"]) and doubt > value["threshold"]:
        problems.append("field 'doubt' must not be above 'threshold'")
    if not (is_number(value.get("mean", 128.0)) and is_number(value.get("scale", 128.0)) and value.get("scale", 1)):
        problems.append("fields 'mean' and 'scale' must be numbers, 'scale' other than 0")
    return problems


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class FinderModel(NamedTuple):
    """A finder's model file and what is needed to run it."""

    model: Path
    spec: FinderSpec
    engine: str
    """Name in ``edgefer.engines.ENGINES``."""
    threads: int = 1
