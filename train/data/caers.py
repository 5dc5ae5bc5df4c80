"""CAER-S: frames of television series, seven expressions; whole scenes, about 720×400, not faces.

Layout (caer-dataset.github.io): ``train/Anger/*.png`` … and ``test/…``, often in a folder ``CAER-S``.

A network for faces needs the face. With a detector (``edgefer.detectors``) the largest one of each frame is cut out the way
the device cuts it, by the framing of FER+'s crops; frames without any are left out and the source tells how many stayed.
Without one the centred square of the scene is used as it is, and the source says "whole scenes": figures on those are not
comparable.

Protocol: Lee et al. 2019; the papers count 44,996 frames to train on and 20,987 to test on.
"""

from pathlib import Path

import numpy as np

from edgefer.align import align_crop
from edgefer.detectors import Detector
from edgefer.errors import InputRejected
from edgefer.spec import ModelSpec
from train.data import FaceSet, framing, layout
from train.data.layout import SEVEN, Entry

TITLE = "CAER-S"
CLASSES = SEVEN
SPLITS = ("train", "test")
PROTOCOL = "CAER-S, 7 classes, whole scenes"
LICENCE = "non-commercial research; the frames belong to the series' owners"
LAYOUT = (
    "a folder CAER-S that holds train/ and test/, each with Anger/, Disgust/, Fear/, Happy/, Neutral/, Sad/ and Surprise/ "
    "(caer-dataset.github.io)"
)
SIDE = 112


def find(data: str | Path | None = None) -> Path | None:
    """``data`` (default: ``EDGEFER_DATA``) or the folder in it called CAER-S (or the like) that holds the layout; or None.

    The name decides because folders called ``train`` with expressions in them are common.
    """
    return layout.find(_holds_caers, data, lambda name: name.lower().startswith("caer"))


def load(
    split: str, data: str | Path | None = None, side: int | None = None, detector: Detector | None = None
) -> FaceSet:
    """Read split "train" or "test": RGB (N, side, side, 3), default 112; names are "Anger/file.png".

    Args:
        split: of the data set.
        data: where to look; default ``EDGEFER_DATA``.
        side: of the images, pixels.
        detector: finds the faces; None leaves the scenes as they are.

    Raises:
        UsageError: no such split.
        EnvironmentInvalid: CAER-S, or this split of it, is not there.
        InputRejected: a class's folder is missing, a picture is damaged, or the detector finds no face at all.
    """
    layout.check_split(TITLE, split, SPLITS)
    place = find(data)
    if place is None:
        raise layout.absent(TITLE, LAYOUT, data)
    if not (place / split).is_dir():
        raise layout.missing(TITLE, split, place / split)
    entries = layout.by_expression(place / split, CLASSES)
    if detector is None:
        return layout.read_faces(entries, side or SIDE, CLASSES, f"{TITLE} {split} (whole scenes)")
    return _detected(entries, side or SIDE, detector, f"{TITLE} {split}")


def _detected(entries: list[Entry], side: int, detector: Detector, source: str) -> FaceSet:
    spec = ModelSpec("", CLASSES, side, 3, framing.alignment())
    images, rows = np.empty((len(entries), side, side, 3), np.uint8), []
    for row, entry in enumerate(entries):
        frame = layout.read_rgb(entry.file)
        for face in detector.detect(frame)[:1]:
            images[len(rows)] = align_crop(frame, face, spec)
            rows.append(row)
    if not rows:
        raise InputRejected(f"{detector.name} found no face in the {len(entries)} frames of {source}")
    found = [entries[row] for row in rows]
    source = f"{source} (faces by {detector.name} in {len(found)} of {len(entries)} frames)"
    return layout.labelled(images[: len(rows)], [e.label for e in found], [e.name for e in found], source, CLASSES)


def _holds_caers(place: Path) -> bool:
    return any(layout.has_expressions(place / split) for split in SPLITS)
