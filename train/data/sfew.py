"""SFEW 2.0: frames of films, seven expressions, faces as the challenge (EmotiW 2015) aligned them, 143 wide, 181 high.

Layout: ``Train/Train_Aligned_Faces/Angry/*.png`` … and ``Val/Val_Aligned_Faces_new/…``; the outer folder and ``_new`` may be
missing, and ``Train/Angry/`` is read where there is no folder of aligned faces, as if its pictures were aligned. Of each
picture the centred square is used, so that nothing is stretched.

Protocol: Dhall et al. 2015: train on Train (958 frames, 891 aligned faces), report on Val (436 frames, 431 aligned faces); the
labels of Test are not public.
"""

from pathlib import Path

from train.data import FaceSet, layout
from train.data.layout import SEVEN

TITLE = "SFEW 2.0"
CLASSES = SEVEN
SPLITS = ("train", "valid")
PROTOCOL = "SFEW 2.0 Val, 7 classes"
LICENCE = "academic research, by agreement with the authors"
LAYOUT = (
    "a folder that holds Train/Train_Aligned_Faces/ and Val/Val_Aligned_Faces_new/ with a folder for each expression "
    "(on request from users.cecs.anu.edu.au/~few_group/AFEW.html)"
)
SIDE = 112
FOLDERS = {
    "train": ("Train/Train_Aligned_Faces", "Train_Aligned_Faces", "Train"),
    "valid": (
        "Val/Val_Aligned_Faces_new",
        "Val/Val_Aligned_Faces",
        "Val_Aligned_Faces_new",
        "Val_Aligned_Faces",
        "Val",
    ),
}


def find(data: str | Path | None = None) -> Path | None:
    """The folder at or below ``data`` (default: ``EDGEFER_DATA``) that holds SFEW; or None.

    A bare ``Train/`` with expressions is not taken for SFEW unless ``Val/`` stands beside it.
    """
    return layout.find(_holds_sfew, data)


def load(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    """Read split "train" or "valid": RGB faces (N, side, side, 3), default 112; names are "Angry/file.png".

    Raises:
        UsageError: no such split.
        EnvironmentInvalid: SFEW, or this split of it, is not there.
        InputRejected: a class's folder is missing, or a picture is damaged.
    """
    layout.check_split(TITLE, split, SPLITS)
    place = find(data)
    if place is None:
        raise layout.absent(TITLE, LAYOUT, data)
    folder = _folder(place, split)
    if folder is None:
        raise layout.missing(TITLE, split, place / FOLDERS[split][0])
    return layout.read_faces(layout.by_expression(folder, CLASSES), side or SIDE, CLASSES, f"{TITLE} {split}")


def _folder(place: Path, split: str) -> Path | None:
    return next((place / name for name in FOLDERS[split] if layout.has_expressions(place / name)), None)


def _holds_sfew(place: Path) -> bool:
    found = [folder for folder in (_folder(place, split) for split in SPLITS) if folder]
    return len(found) == len(SPLITS) or any("Aligned" in folder.name for folder in found)
