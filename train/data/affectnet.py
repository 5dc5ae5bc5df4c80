"""AffectNet, manually annotated: faces from the web, eight expressions, or seven without contempt.

Two layouts (mohammadmahoor.com/affectnet):

- the first: ``training.csv`` and ``validation.csv`` (image path, face box, landmarks, expression, valence, arousal), at the top
  or in ``Manually_Annotated_file_lists/``, and ``Manually_Annotated_Images/``; the face is cut out by its box;
- the later: ``train_set/images/12.jpg`` with ``train_set/annotations/12_exp.npy``, and ``val_set/``; the faces are cut out,
  224×224.

Rows without expression (none, uncertain, no face: 8 to 10) are left out.

Memory: N·side²·3 bytes. The 287,651 training faces take 3.5 GB at the default side of 64 and 10.8 GB at 112.

Protocol: Mollahosseini et al. 2017: train on the training set (287,651 faces; 283,901 without contempt), report on the
validation set (500 faces a class; the later layout has 3,999 of the 4,000); the test set is not public.
"""

import csv
from pathlib import Path

import numpy as np

from edgefer.errors import InputRejected
from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet, layout
from train.data.layout import SEVEN, Entry

TITLE = "AffectNet"
SPLITS = ("train", "valid")
PROTOCOL = "AffectNet-7 validation"
LICENCE = "research, by agreement with the authors; the images are not to be passed on"
LAYOUT = (
    "a folder that holds training.csv, validation.csv and Manually_Annotated_Images/, or train_set/ and val_set/, each with "
    "images/*.jpg and annotations/*_exp.npy (on request from mohammadmahoor.com/affectnet)"
)
SIDE = 64
NUMBERS = dict(
    enumerate(("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt", None, None, None))
)
"""Number in the annotations → label; None: nothing to learn."""
TABLES = {"train": "training.csv", "valid": "validation.csv"}
SETS = {"train": "train_set", "valid": "val_set"}
LISTS = (".", "Manually_Annotated_file_lists")
IMAGES = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images", "Manually_Annotated")


def find(data: str | Path | None = None) -> Path | None:
    """The folder at or below ``data`` (default: ``EDGEFER_DATA``) that holds either layout; or None."""
    return layout.find(lambda p: any(_table(p, split) or _set(p, split) for split in SPLITS), data)


def load(split: str, data: str | Path | None = None, side: int | None = None, classes=SEVEN) -> FaceSet:
    """Read split "train" or "valid": RGB faces (N, side, side, 3), default 64.

    Args:
        split: of the data set.
        data: where to look; default ``EDGEFER_DATA``.
        side: of the images, pixels.
        classes: seven, or FER+'s eight with contempt; rows with other labels are left out.

    Raises:
        UsageError: no such split.
        EnvironmentInvalid: AffectNet, or this split of it, is not there.
        InputRejected: an annotation or a picture is missing or damaged.
    """
    layout.check_split(TITLE, split, SPLITS)
    place = find(data)
    if place is None:
        raise layout.absent(TITLE, LAYOUT, data)
    table, folder = _table(place, split), _set(place, split)
    if not table and not folder:
        raise layout.missing(TITLE, split, place / SETS[split])
    entries = _listed(table, _images(place)) if table else _annotated(folder)
    entries = [entry for entry in entries if entry.label in classes]
    if not entries:
        raise InputRejected(f"{table or folder} holds no labelled face; unpack the data set again")
    return layout.read_faces(entries, side or SIDE, classes, f"{TITLE}-{len(classes)} {split}")


def load_eight(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    """``load`` with contempt, in FER+'s order."""
    return load(split, data, side, FERPLUS_LABELS)


def _images(place: Path) -> Path | None:
    return layout.first_there(place, IMAGES)


def _table(place: Path, split: str) -> Path | None:
    return layout.first_there(place, [f"{folder}/{TABLES[split]}" for folder in LISTS]) if _images(place) else None


def _set(place: Path, split: str) -> Path | None:
    folder = place / SETS[split]
    return folder if (folder / "annotations").is_dir() else None


def _listed(table: Path, images: Path) -> list[Entry]:
    """The first layout's rows; a header is passed over (some copies have none)."""
    entries = []
    for number, row in enumerate(csv.reader(layout.lines_of(table)), start=1):
        if not row or row[0] == "subDirectory_filePath":
            continue
        try:
            label = NUMBERS[int(row[6])]
            box = tuple(round(float(value)) for value in row[1:5]) if label else None
        except (IndexError, KeyError, ValueError):
            raise layout.damaged_line(
                table, number, "an image, a face box, landmarks and an expression from 0 to 10"
            ) from None
        if label:
            entries.append(Entry(row[0], images / row[0], label, box))
    return entries


def _annotated(folder: Path) -> list[Entry]:
    """The later layout's images, in the order of their numbers."""
    files = [file for file in (folder / "images").glob("*") if layout.is_picture(file)]
    entries = []
    for file in sorted(files, key=lambda file: (len(file.stem), file.stem)):
        label = _expression(folder / "annotations" / f"{file.stem}_exp.npy")
        if label:
            entries.append(Entry(file.name, file, label))
    return entries


def _expression(file: Path) -> str | None:
    """The label in an array of one number, which the data set writes as text."""
    try:
        return NUMBERS[int(np.load(file, allow_pickle=False).item())]
    except (OSError, EOFError, KeyError, ValueError):
        raise InputRejected(f"{file} does not hold an expression from 0 to 10; unpack the data set again") from None
