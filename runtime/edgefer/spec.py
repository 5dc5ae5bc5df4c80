"""ModelSpec: everything needed to use a model correctly. It travels with the weights, always."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from edgefer.errors import InputRejected
from edgefer.files import read_json, write_json

SCHEMA = 1
FERPLUS_LABELS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")


@dataclass(frozen=True)
class Alignment:
    """How a face lies in the crop. All numbers are fractions of the crop's side, origin at its upper left corner."""

    landmarks: tuple[tuple[float, float], ...]
    """Five points (x, y): right eye, left eye, nose tip, right mouth corner, left mouth corner; right and left are the
    subject's, so the right eye is on the image's left."""
    boxes: dict[str, tuple[float, float, float, float]]
    """Detector name → where its face box (x, y, width, height) falls in the crop, for detectors without landmarks."""


@dataclass(frozen=True)
class ModelSpec:
    """One trained network and how it is to be fed and read."""

    system: str
    """Name of the network: its file in ``train/models/``."""
    labels: tuple[str, ...]
    """Class names in the order of the outputs."""
    input_size: int
    """Side of the square face crop in pixels."""
    channels: int
    """1: gray. 3: RGB."""
    alignment: Alignment
    """Framing of the crops the network was trained on."""
    options: dict = field(default_factory=dict)
    """Constructor options of the network, as JSON values."""
    mean: float = 128.0
    scale: float = 128.0
    """The graph computes (x − mean) / scale on uint8 x; 128 and 128 make quantising the input lossless."""
    output: str = "probabilities"
    """What the exported graph returns: float probabilities, shape (1, len(labels))."""
    training: dict = field(default_factory=dict)
    """What the weights learned from: data, rows, recipe, seed, versions, licence of data."""
    licence: str = ""
    """Licence of the weights, with the limits their training data puts on them."""
    metrics: dict = field(default_factory=dict)
    """What was measured, by protocol; accuracies are fractions."""
    schema: int = SCHEMA

    @property
    def crop_shape(self) -> tuple[int, int, int, int]:
        """Shape of the graph's uint8 input: (1, size, size, channels)."""
        return (1, self.input_size, self.input_size, self.channels)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict, source: str = "ModelSpec") -> "ModelSpec":
        """Build from ``to_json``'s form; ``source`` names the file in errors.

        Raises:
            InputRejected: newer schema, missing or unknown fields, values out of range; all problems at once.
        """
        required = {"system", "labels", "input_size", "channels", "alignment"}
        check_fields(cls, value, SCHEMA, required, _range_problems, source, "export the model again")
        align = value["alignment"]
        alignment = Alignment(
            landmarks=tuple((float(x), float(y)) for x, y in align["landmarks"]),
            boxes={name: tuple(float(n) for n in box) for name, box in align["boxes"].items()},
        )
        return cls(**{**value, "labels": tuple(value["labels"]), "alignment": alignment})

    @classmethod
    def load(cls, path: Path) -> "ModelSpec":
        """Read a ``model.json``."""
        return cls.from_json(read_json(path), str(path))

    def save(self, path: Path) -> None:
        """Write a ``model.json``, whole or not at all."""
        write_json(path, self.to_json())


def check_fields(
    cls: type,
    value: dict,
    schema: int,
    required: set[str],
    ranges: Callable[[dict], list[str]],
    source: str,
    remedy: str,
) -> None:
    """Refuse what is not a dataclass's plain form; ``ranges`` finds values out of range once all fields are there.

    Raises:
        InputRejected: another schema, fields that are missing, unknown or out of range; all problems at once.
    """
    if value.get("schema") != schema:
        raise InputRejected(
            f"{source}: schema {value.get('schema')!r} is not {schema}, the one this version reads; "
            f"install the edgefer version that wrote it, or {remedy}"
        )
    known = {f.name for f in fields(cls)}
    problems = [f"field '{name}' is missing" for name in sorted(required - value.keys())]
    problems += [f"field '{name}' is unknown" for name in sorted(value.keys() - known)]
    problems = problems or ranges(value)
    if problems:
        raise InputRejected(f"{source}: {'; '.join(problems)}; {remedy}")


def _range_problems(value: dict) -> list[str]:
    problems = []
    labels = value["labels"]
    named = isinstance(labels, list | tuple) and all(isinstance(x, str) for x in labels)
    if not (named and len(labels) >= 2 and len(set(labels)) == len(labels)):
        problems.append("field 'labels' must be a list of at least two different names")
    size = value["input_size"]
    if not (isinstance(size, int) and 16 <= size <= 1024):
        problems.append("field 'input_size' must be a whole number from 16 to 1024")
    if value["channels"] not in (1, 3):
        problems.append("field 'channels' must be 1 (gray) or 3 (RGB)")
    if not is_number(value.get("mean", 128.0)):
        problems.append("field 'mean' must be a number")
    if not (is_number(value.get("scale", 128.0)) and value.get("scale", 128.0)):
        problems.append("field 'scale' must be a number other than 0")
    return problems + _alignment_problems(value["alignment"])


def _alignment_problems(align) -> list[str]:
    if not (
        isinstance(align, dict) and _is_points(align.get("landmarks"), 5, 2) and isinstance(align.get("boxes"), dict)
    ):
        return ["field 'alignment' must hold five 'landmarks' (x, y) and 'boxes' by detector"]
    boxes = list(align["boxes"].values())
    if not (_is_points(boxes, len(boxes), 4) and all(box[2] > 0 and box[3] > 0 for box in boxes)):
        return ["field 'alignment' holds a box that is not x, y, width, height with an area"]
    if len({tuple(point) for point in align["landmarks"]}) < 5:
        return ["field 'alignment' holds landmarks that coincide"]
    return []


def _is_points(value, count: int, width: int) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == count
        and all(isinstance(p, list | tuple) and len(p) == width and all(is_number(n) for n in p) for p in value)
    )


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
