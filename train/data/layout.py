"""What the loaders of data sets share: finding a copy, reading pictures and label words, putting a FaceSet together.

Knows no data set.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edgefer.errors import EnvironmentInvalid, InputRejected, unknown
from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet

SEVEN = FERPLUS_LABELS[:7]
"""The labels of the data sets that do not know contempt, in FER+'s order."""
WORDS = {
    **{label: label for label in FERPLUS_LABELS},
    "neutrality": "neutral",
    "neural": "neutral",  # as FED-RO's folder is spelled
    "happy": "happiness",
    "surprised": "surprise",
    "sad": "sadness",
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "contemptuous": "contempt",
}
"""Lower-case word of a label file or a folder's name → label."""
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


class Entry(NamedTuple):
    """One picture of a data set, before it is read."""

    name: str
    """Within its data set."""
    file: Path
    label: str
    box: tuple[int, int, int, int] | None = None
    """x, y, width, height of the face in pixels; None: the picture is the face."""


def find(
    holds: Callable[[Path], bool], data: str | Path | None, named: Callable[[str], bool] = lambda name: True
) -> Path | None:
    """Where a data set lies.

    Args:
        holds: whether a place holds it.
        data: folder or file to look at, then the folders in it; default ``EDGEFER_DATA``.
        named: which names the folders in it may have, where a layout alone does not tell one data set from another.

    Returns:
        The first place that holds the data set, or None.
    """
    root = data or os.environ.get("EDGEFER_DATA")
    if not root:
        return None
    root = Path(root)
    folders = sorted(p for p in root.iterdir() if p.is_dir() and named(p.name)) if root.is_dir() else []
    return next((p for p in [root, *folders] if holds(p)), None)


def absent(title: str, layout: str, data: str | Path | None) -> EnvironmentInvalid:
    """The error for a data set that is not at ``data``; ``layout`` says what is expected and where it comes from."""
    root = data or os.environ.get("EDGEFER_DATA")
    place = f" in {root}" if root else ""
    return EnvironmentInvalid(f"{title} was not found{place}: set EDGEFER_DATA, or give --data, {layout}")


def check_split(title: str, split: str, splits: Iterable[str]) -> None:
    """Refuse a split that the data set does not have.

    Raises:
        UsageError: naming those it has.
    """
    if split not in splits:
        raise unknown("split", split, splits, title)


def missing(title: str, split: str, path: Path) -> EnvironmentInvalid:
    """The error for a split of a data set that is there otherwise."""
    return EnvironmentInvalid(f"{path} is not there, so {title}'s {split} split is not; unpack it beside the others")


def first_there(place: Path, paths: Iterable[str]) -> Path | None:
    """The first of the relative ``paths`` that exists in ``place``."""
    return next((place / path for path in paths if (place / path).exists()), None)


def lines_of(file: Path) -> list[str]:
    """A label file's lines.

    Raises:
        InputRejected: it cannot be read as text.
    """
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputRejected(f"{file} cannot be read as text ({error}); unpack the data set again") from None


def damaged_line(file: Path, number: int, expected: str) -> InputRejected:
    """The error for line ``number`` (from 1) of a label file."""
    return InputRejected(f"{file}: line {number} is not {expected}; unpack the data set again")


def by_expression(folder: Path, classes: Sequence[str], complete: bool = True) -> list[Entry]:
    """The pictures of a folder with a folder for each expression, sorted; names are "folder/file".

    Args:
        folder: holds, say, ``Angry/`` and ``Happy/``; what begins with "." or "_" is passed over.
        classes: labels that are known here; of folders of the other ones in ``WORDS`` nothing is read.
        complete: whether every class must have a folder.

    Raises:
        InputRejected: a folder's name is no expression, a class's folder is missing, or there is no picture.
    """
    folders = [p for p in sorted(folder.iterdir()) if p.is_dir() and p.name[0] not in "._"]
    strange = [p.name for p in folders if p.name.lower() not in WORDS]
    if strange:
        raise InputRejected(f"{folder / strange[0]} names no expression; known: {', '.join(sorted(WORDS))}")
    label_of = {p: WORDS[p.name.lower()] for p in folders}
    lacking = sorted(set(classes) - set(label_of.values()))
    if complete and lacking:
        raise InputRejected(f"{folder} has no folder for {', '.join(lacking)}; unpack the data set again")
    entries = [
        Entry(f"{p.name}/{file.name}", file, label)
        for p, label in label_of.items()
        if label in classes
        for file in sorted(p.iterdir())
        if is_picture(file)
    ]
    if not entries:
        raise InputRejected(f"{folder} holds no pictures ({', '.join(ENDINGS)}); unpack the data set again")
    return entries


def has_expressions(folder: Path) -> bool:
    """Whether some folder in ``folder`` is named like an expression."""
    return folder.is_dir() and any(p.name.lower() in WORDS and p.is_dir() for p in folder.iterdir())


def is_picture(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS and not file.name.startswith(".")


def read_rgb(file: Path) -> np.ndarray:
    """uint8 (H, W, 3) RGB.

    Raises:
        InputRejected: the file is missing or damaged.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputRejected(f"{file} cannot be read ({error.strerror}); unpack the data set again") from None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise InputRejected(f"{file} is not a readable picture; unpack the data set again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def square(image: np.ndarray, side: int, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """The square around ``box``'s centre with its longer side, or without a box the centred square, as (side, side, 3).

    Nothing is stretched; outside the picture its edge is repeated. Shrinking averages areas: unlike ``edgefer.align`` it must
    not give the same pixels on every machine, and is some ten times as quick.
    """
    height, width = image.shape[:2]
    x, y, w, h = box or (0, 0, width, height)
    length = max(w, h) if box else min(w, h)
    left, top = x + (w - length) // 2, y + (h - length) // 2
    right, bottom = left + length, top + length
    edges = [max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width)]
    if any(edges):
        image = cv2.copyMakeBorder(image, *edges, cv2.BORDER_REPLICATE)
    part = image[top + edges[0] : bottom + edges[0], left + edges[2] : right + edges[2]]
    if length == side:
        return part
    return cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA if side < length else cv2.INTER_LINEAR)


def read_faces(entries: Sequence[Entry], side: int, classes: tuple[str, ...], source: str) -> FaceSet:
    """Read the pictures, each through ``square``, several at a time; memory holds N·side²·3 bytes.

    Raises:
        InputRejected: a picture is missing or damaged.
    """
    images = np.empty((len(entries), side, side, 3), np.uint8)

    def read(row: int) -> None:
        _, file, _, box = entries[row]
        image = read_rgb(file)
        if box and not _overlaps(box, image):
            raise InputRejected(
                f"{file}: the face box {box} (x, y, width, height) lies outside; unpack the data set again"
            )
        images[row] = square(image, side, box)

    with ThreadPoolExecutor() as pool:  # OpenCV decodes outside the interpreter's lock
        for _ in pool.map(read, range(len(entries))):
            pass
    return labelled(images, [entry.label for entry in entries], [entry.name for entry in entries], source, classes)


def _overlaps(box: tuple[int, int, int, int], image: np.ndarray) -> bool:
    x, y, w, h = box
    return w > 0 and h > 0 and -w < x < image.shape[1] and -h < y < image.shape[0]


def labelled(
    images: np.ndarray, labels: Sequence[str], names: Sequence[str], source: str, classes: tuple[str, ...] = SEVEN
) -> FaceSet:
    """A FaceSet of faces with one label each; their distributions are all or nothing."""
    rows = np.array([classes.index(label) for label in labels], np.int64)
    return FaceSet(images, np.eye(len(classes), dtype=np.float32)[rows], rows, tuple(names), source, classes)
