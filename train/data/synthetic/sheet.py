"""The contact sheet: rows of labels, blends, poses and occlusions; columns of different people. For eyes, not for networks."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edgefer.errors import UsageError
from edgefer.spec import FERPLUS_LABELS
from train.data.synthetic.actions import BLENDS
from train.data.synthetic.picture import crop
from train.data.synthetic.sampling import Conditions, conditioned, sample

COLUMNS, SIDE, GAP, CAPTION = 10, 104, 4, 14
MARGIN = 110
"""Pixels left of the faces, for the row's name."""
SEED = 7
LEVELS = 48
"""Grey levels on the sheet: 256 would make the file half as large again, and no eye sees the difference."""
PLAIN = Conditions((0, 20), (0, 10), "none")
SHOWN = (
    ("yaw 20", Conditions((20, 20), (0, 5), "none")),
    ("yaw 40", Conditions((40, 40), (0, 5), "none")),
    ("yaw 60", Conditions((60, 60), (0, 5), "none")),
    ("pitch 30", Conditions((0, 10), (30, 30), "none")),
    ("glasses", Conditions((0, 20), (0, 10), "glasses")),
    ("glasses", Conditions((30, 30), (0, 10), "glasses")),
    ("hand", Conditions((0, 20), (0, 10), "hand")),
    ("hand", Conditions((0, 20), (0, 10), "hand")),
    ("mask", Conditions((0, 20), (0, 10), "mask")),
    ("mask", Conditions((30, 30), (0, 10), "mask")),
)
"""Caption and conditions of each face in the last row."""

Tile = tuple[str, np.ndarray]


def write(path: Path) -> None:
    """Draw the sheet and write it as a grey PNG, beside ``path`` first, so that no half file is ever seen.

    Raises:
        UsageError: the name does not end in .png, or the place cannot be written.
    """
    if path.suffix != ".png":
        raise UsageError(f"{path} must end in .png: the sheet is written as PNG")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as beside:
            file = Path(beside) / path.name
            file.write_bytes(cv2.imencode(".png", draw(), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
            file.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); choose another place") from None


def draw() -> np.ndarray:
    """The sheet, uint8 (height, width): a row for each label, one of blends, one of poses and occlusions."""
    rows = [_row(name, _of_label(label)) for label, name in enumerate(FERPLUS_LABELS)]
    rows += [_row("blends", _blends()), _row("conditions", _conditions())]
    return _fewer_levels(np.concatenate(rows))


def _of_label(label: int) -> Iterator[Tile]:
    """``other=label`` is no blend."""
    return (("", _picture(label, label, column, PLAIN)) for column in range(COLUMNS))


def _blends() -> Iterator[Tile]:
    for column, names in enumerate(BLENDS):
        first, second = (FERPLUS_LABELS.index(name) for name in names)
        yield "+".join(names), _picture(first, second, column, PLAIN)


def _conditions() -> Iterator[Tile]:
    for column, (caption, conditions) in enumerate(SHOWN):
        label = column % len(FERPLUS_LABELS)
        yield caption, _picture(label, label, column, conditions)


def _picture(label: int, other: int, column: int, conditions: Conditions) -> np.ndarray:
    rng = np.random.default_rng([SEED, label, other, column])
    face = conditioned(sample(label, rng, other), conditions, np.random.default_rng([SEED, label, other, column, 1]))
    return crop(face, rng, SIDE)


def _row(name: str, tiles: Iterator[Tile]) -> np.ndarray:
    tiles = list(tiles)
    below = CAPTION if any(caption for caption, _ in tiles) else 0
    row = np.full((SIDE + GAP + below, MARGIN + COLUMNS * (SIDE + GAP), 1), 255, np.uint8)
    _write(row, name, (4, SIDE // 2 + 4), 0.5)
    for column, (caption, picture) in enumerate(tiles):
        left = MARGIN + column * (SIDE + GAP)
        row[:SIDE, left : left + SIDE, 0] = picture
        _write(row, caption, (left, SIDE + 11), 0.3)
    return row[..., 0]


def _write(row: np.ndarray, text: str, place: tuple[int, int], size: float) -> None:
    cv2.putText(row, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, 0, 1, cv2.LINE_AA)


def _fewer_levels(picture: np.ndarray) -> np.ndarray:
    step = 255 / (LEVELS - 1)
    return np.round(np.round(picture / step) * step).astype(np.uint8)
