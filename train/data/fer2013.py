"""FER2013 with its original seven labels: 48×48 gray faces of the ICML 2013 challenge.

Two layouts:

- the challenge's table, ``fer2013.csv`` (columns emotion, pixels, Usage) or ``icml_face_data.csv`` (emotion, Usage, pixels);
  faces are named by Usage and line, as "PublicTest-28711";
- FER+'s images (``ferplus``) with ``fer2013-labels-train.csv`` and the like beside them (columns image, expression): the
  original labels by the names that FER+ gives the images. Images without a label there are left out.

Protocol: Goodfellow et al. 2013: Training, PublicTest (here "valid") and PrivateTest ("test"), 28,709, 3,589 and 3,589 faces.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgefer.errors import EnvironmentInvalid, InputRejected
from train.data import FaceSet, ferplus, layout
from train.data.layout import SEVEN, WORDS

TITLE = "FER2013"
CLASSES = SEVEN
USAGES = {"train": "Training", "valid": "PublicTest", "test": "PrivateTest"}
SPLITS = tuple(USAGES)
PROTOCOL = "FER2013, 7 classes"
LICENCE = "images from the ICML 2013 challenge, for research"
LAYOUT = (
    "a folder that holds fer2013.csv or icml_face_data.csv (the challenge 'challenges-in-representation-learning-facial-"
    "expression-recognition-challenge' on kaggle.com), or FER+ with fer2013-labels-train.csv beside it"
)
TABLES = ("fer2013.csv", "icml_face_data.csv")
NUMBERS = dict(enumerate(("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")))
"""Number in the table → label."""
SIDE = ferplus.SIDE


def find(data: str | Path | None = None) -> Path | None:
    """The table, or else the folder of label files, at or below ``data`` (default: ``EDGEFER_DATA``); or None."""
    place = layout.find(lambda p: _table(p) is not None, data)
    return _table(place) if place else layout.find(_holds_labels, data)


def load(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    """Read "train", "valid" or "test": gray faces (N, 48, 48) whatever ``side`` is, in the order of the file.

    Raises:
        UsageError: no such split.
        EnvironmentInvalid: FER2013, or this split of it, is not there.
        InputRejected: a file is damaged.
    """
    layout.check_split(TITLE, split, SPLITS)
    place = find(data)
    if place is None:
        raise layout.absent(TITLE, LAYOUT, data)
    return _from_table(place, split) if place.is_file() else _from_labels(place, split, data)


def _table(place: Path) -> Path | None:
    if place.is_file():
        return place if place.name in TABLES else None
    return next((place / name for name in TABLES if (place / name).is_file()), None)


def _labels(place: Path, split: str) -> Path:
    return place / f"fer2013-labels-{split}.csv"


def _holds_labels(place: Path) -> bool:
    return any(_labels(place, split).is_file() for split in SPLITS)


def _from_table(file: Path, split: str) -> FaceSet:
    images, labels, names = [], [], []
    for number, row in _rows(file, ("emotion", "pixels", "Usage")):
        if row["Usage"] not in USAGES.values():
            raise layout.damaged_line(file, number, f"for {', '.join(USAGES.values())}")
        if row["Usage"] == USAGES[split]:
            images.append(_pixels(file, number, row["pixels"]))
            labels.append(_label(file, number, row["emotion"]))
            names.append(f"{USAGES[split]}-{number:05}")
    if not images:
        raise EnvironmentInvalid(f"{file} has no rows of {USAGES[split]}, so {TITLE}'s {split} split is not there")
    return layout.labelled(np.stack(images), labels, names, f"{TITLE} {split}")


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a table; the challenge's has spaces before the names of its columns."""
    rows = csv.reader(layout.lines_of(file))
    header = [name.strip() for name in next(rows, [])]
    if not set(columns) <= set(header):
        raise layout.damaged_line(file, 1, f"a header with {', '.join(columns)}")
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(header):
            raise layout.damaged_line(file, number, f"of {len(header)} columns")
        if row:
            yield number, dict(zip(header, (word.strip() for word in row), strict=True))


def _pixels(file: Path, number: int, text: str) -> np.ndarray:
    try:
        values = np.array(text.split(), np.int64)
    except ValueError:
        values = np.empty(0, np.int64)
    if values.size != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        raise layout.damaged_line(file, number, f"a face of {SIDE}×{SIDE} grey levels")
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _label(file: Path, number: int, text: str) -> str:
    if not text.isdecimal() or int(text) not in NUMBERS:
        raise layout.damaged_line(file, number, "labelled from 0 to 6")
    return NUMBERS[int(text)]


def _from_labels(place: Path, split: str, data: str | Path | None) -> FaceSet:
    file = _labels(place, split)
    if not file.is_file():
        raise layout.missing(TITLE, split, file)
    words = {}
    for number, row in _rows(file, ("image", "expression")):
        if row["expression"] and row["expression"] not in WORDS:
            raise layout.damaged_line(file, number, f"labelled with one of {', '.join(WORDS)}")
        words[row["image"]] = WORDS.get(row["expression"])
    faces = ferplus.load(split, data)
    faces = faces[np.array([words.get(name) in CLASSES for name in faces.names])]
    if not len(faces):
        raise InputRejected(f"{file} names none of FER+'s images; take the label file that belongs to them")
    return layout.labelled(faces.images, [words[name] for name in faces.names], faces.names, f"{TITLE} {split}")
