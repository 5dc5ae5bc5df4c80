"""Your own faces: a folder for each expression, with or without a folder for each split around them.

Layout: ``train/happy/*.png``, ``valid/…`` (or ``val``, ``validation``), ``test/…``; or ``happy/*.png`` alone, of which a fixed
tenth of the names (``ferplus.hundredth``) is "valid" and the rest "train". Folders are named in the words of ``layout.WORDS``;
a class may be missing. The pictures are face crops; of one that is not square the centred square is used.
"""

from pathlib import Path

import numpy as np

from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet, ferplus, layout
from train.data.layout import SEVEN, Entry

TITLE = "the folder of faces"
SPLITS = ("train", "valid", "test")
PROTOCOL = "own faces, 7 classes"
LICENCE = "that of the pictures"
LAYOUT = "a folder that holds train/happy/*.png and the like (train, valid, test), or happy/*.png without splits"
SIDE = 112
FOLDERS = {"train": ("train",), "valid": ("valid", "val", "validation"), "test": ("test",)}


def find(data: str | Path | None = None) -> Path | None:
    """``data`` (default: ``EDGEFER_DATA``) where it holds folders of expressions, in splits or not; or None.

    The folders in it are not searched: any data set of folders would look like this one.
    """
    return layout.find(_holds_faces, data, lambda name: False)


def load(split: str, data: str | Path | None = None, side: int | None = None, classes=SEVEN) -> FaceSet:
    """Read a split: RGB faces (N, side, side, 3), default 112; names are "happy/file.png".

    Args:
        split: "train", "valid" or "test".
        data: where to look; default ``EDGEFER_DATA``.
        side: of the images, pixels.
        classes: labels that are known; folders of other expressions are left out.

    Raises:
        UsageError: no such split.
        EnvironmentInvalid: no such folder, or no such split in it.
        InputRejected: a folder's name is no expression, or a picture is damaged.
    """
    layout.check_split(TITLE, split, SPLITS)
    place = find(data)
    if place is None:
        raise layout.absent(TITLE, LAYOUT, data)
    return layout.read_faces(_entries(place, split, classes), side or SIDE, classes, f"{place.name} {split}")


def load_eight(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    """``load`` with FER+'s eight classes."""
    return load(split, data, side, FERPLUS_LABELS)


def _holds_faces(place: Path) -> bool:
    return layout.has_expressions(place) or any(_folder(place, split) for split in SPLITS)


def _entries(place: Path, split: str, classes: tuple[str, ...]) -> list[Entry]:
    folder = _folder(place, split)
    if folder:
        return layout.by_expression(folder, classes, complete=False)
    if any(_folder(place, other) for other in SPLITS) or split == "test":
        raise layout.missing(TITLE, split, place / split)
    entries = layout.by_expression(place, classes, complete=False)
    tenth = ferplus.hundredth([entry.name for entry in entries]) // 10
    is_valid = tenth == 1  # the one before it is the hold-out of what is trained on
    return [entries[row] for row in np.flatnonzero(is_valid == (split == "valid"))]


def _folder(place: Path, split: str) -> Path | None:
    return next((place / name for name in FOLDERS[split] if layout.has_expressions(place / name)), None)
