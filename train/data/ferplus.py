"""FER+: FER2013's faces with ten crowd votes each, read from the published layout.

Layout (github.com/microsoft/FERPlus with its images generated): folders ``FER2013Train``, ``FER2013Valid``, ``FER2013Test``,
each with ``label.csv`` (file name, box, ten vote counts) and 48×48 gray PNG files; as folders or inside a zip.

Protocol: Barsoum et al. 2016, majority mode of the reference code; see ``majority``.
"""

import csv
import io
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edgefer.errors import EnvironmentInvalid, InputRejected
from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet

FOLDERS = {"train": "FER2013Train", "valid": "FER2013Valid", "test": "FER2013Test"}
PROTOCOL = "FER+ majority, 8 classes"
LICENCE = "labels MIT; images from the ICML 2013 challenge, for research"
LAYOUT = (
    "a folder that holds FER2013Train/ and FER2013Valid/ with their label.csv and PNG files, or a zip of them "
    "(labels: github.com/microsoft/FERPlus; images: the FER2013 challenge)"
)
WHERE = f"FER+ was not found{{}}: set EDGEFER_DATA, or give --data, {LAYOUT}"
HOLDOUT_PERCENT = 10
VOTES = len(FERPLUS_LABELS) + 2
"""Counts a face: the labels, unknown, not a face."""
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
SIDE = 48
"""Of the images, pixels."""


def majority(votes: np.ndarray) -> np.ndarray:
    """Class index (N,) of each row of votes (N, 10), −1 for a row that is not evaluated.

    Counts ≤ 1 become 0; a row is kept when its largest count is more than half of the sum over all ten columns and is not
    won by unknown or not-a-face.
    """
    counts = np.where(votes <= 1, 0, votes)
    best = counts.argmax(1)
    keep = (counts.max(1) > 0.5 * counts.sum(1)) & (best < len(FERPLUS_LABELS))
    return np.where(keep, best, -1)


def distribution(votes: np.ndarray) -> np.ndarray:
    """Crowd distribution over the eight labels, float32 (N, 8): counts > 1, normalised; zeros where no emotion has any."""
    counts = np.where(votes <= 1, 0, votes)[:, : len(FERPLUS_LABELS)]
    total = counts.sum(1, keepdims=True)
    return np.divide(counts, total, out=np.zeros_like(counts, dtype=np.float32), where=total > 0)


def hundredth(names) -> np.ndarray:
    """int (N,): which of a hundred parts each name is in, always the same one."""
    return np.array([zlib.crc32(name.encode()) % 100 for name in names], np.int64)


def holdout(names) -> np.ndarray:
    """bool (N,): the fixed tenth of the training rows on which compression is tuned; training leaves it out."""
    return hundredth(names) < HOLDOUT_PERCENT


def find(data: str | Path | None = None) -> Path | None:
    """The folder or zip that holds FER+ at or below ``data`` (default: ``EDGEFER_DATA``); None where there is none."""
    root = data or os.environ.get("EDGEFER_DATA")
    if not root:
        return None
    root = Path(root)
    candidates = [root]
    if root.is_dir():
        candidates += sorted(p for p in root.iterdir() if p.is_dir() or p.suffix == ".zip")
    return next((p for p in candidates if _holds_ferplus(p)), None)


def load(split: str, data: str | Path | None = None) -> FaceSet:
    """Read one split, "train", "valid" or "test": 48×48 gray faces, crowd distributions, labels by ``majority``.

    Rows are in the order of ``label.csv``; rows without an image name are not there.

    Raises:
        EnvironmentInvalid: FER+, or this split of it, is not there.
        InputRejected: the layout is there but a file of it is missing or damaged.
    """
    if split not in FOLDERS:
        raise ValueError(f"split {split!r} is none of {', '.join(FOLDERS)}")
    place = find(data)
    root = data or os.environ.get("EDGEFER_DATA")
    if place is None:
        raise EnvironmentInvalid(WHERE.format(f" in {root}" if root else ""))
    with _reader(place) as read:
        try:
            table = read(f"{FOLDERS[split]}/label.csv")
        except (KeyError, FileNotFoundError):
            raise EnvironmentInvalid(
                f"{place} has no {FOLDERS[split]}/label.csv, so FER+'s {split} split is not there"
            ) from None
        except (OSError, *DAMAGED_ZIP) as error:
            raise _damaged(place, f"{FOLDERS[split]}/label.csv", str(error)) from None
        rows = _rows(table, place, f"{FOLDERS[split]}/label.csv")
        images = np.stack([_decode(read, f"{FOLDERS[split]}/{name}", place) for name, _ in rows])
    votes = np.array([votes for _, votes in rows], np.float32)
    names = tuple(name for name, _ in rows)
    return FaceSet(images, distribution(votes), majority(votes), names, f"FER+ {split}")


def _holds_ferplus(place: Path) -> bool:
    if place.is_dir():
        return (place / FOLDERS["train"] / "label.csv").is_file() or (place / FOLDERS["valid"] / "label.csv").is_file()
    if not (place.suffix == ".zip" and zipfile.is_zipfile(place)):
        return False
    with zipfile.ZipFile(place) as archive:
        return bool({f"{folder}/label.csv" for folder in FOLDERS.values()} & set(archive.namelist()))


class _reader:
    """``with _reader(place) as read``: read(name) gives the bytes of a file of the folder or zip ``place``."""

    def __init__(self, place: Path):
        self.place, self.archive = place, None

    def __enter__(self) -> Callable[[str], bytes]:
        if self.place.is_dir():
            return lambda name: (self.place / name).read_bytes()
        self.archive = zipfile.ZipFile(self.place)
        return self.archive.read

    def __exit__(self, *_):
        if self.archive:
            self.archive.close()


def _rows(table: bytes, place: Path, file: str) -> list[tuple[str, list[float]]]:
    """Image name and ten vote counts of each line of ``label.csv`` that names an image."""
    try:
        lines = list(csv.reader(io.StringIO(table.decode())))
        rows = [(row[0], [float(count) for count in row[2:]]) for row in lines if row and row[0]]
    except (ValueError, csv.Error) as error:
        raise _damaged(place, file, str(error)) from None
    if not rows or any(len(counts) != VOTES for _, counts in rows):
        raise _damaged(place, file, f"every line must be a name, a box and {VOTES} counts")
    return rows


def _damaged(place: Path, file: str, why: str) -> InputRejected:
    return InputRejected(f"{place}: {file} is damaged ({why}); unpack the data set again")


def _decode(read: Callable[[str], bytes], name: str, place: Path) -> np.ndarray:
    try:
        data = read(name)
    except (KeyError, FileNotFoundError):
        raise InputRejected(f"{place}: label.csv names {name}, which is not there; unpack the data set again") from None
    except (OSError, *DAMAGED_ZIP) as error:
        raise _damaged(place, name, str(error)) from None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if image is None or image.shape != (SIDE, SIDE):
        raise InputRejected(f"{place}: {name} is not a readable {SIDE}×{SIDE} image; unpack the data set again")
    return image
