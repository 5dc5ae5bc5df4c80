"""The data sets, by the name that recipes know them by."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgefer.errors import unknown
from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet, affectnet, caers, fedro, fer2013, ferplus, folder, rafdb, sfew, without
from train.data.layout import SEVEN


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set before it is read."""

    title: str
    """For reports."""
    labels: tuple[str, ...]
    """Its classes, in FER+'s order, whatever order its files have."""
    splits: tuple[str, ...]
    """What ``load`` takes: some of "train", "valid" and "test"."""
    reported: str
    """The split that published figures are of."""
    where: str
    """What is expected in the folder, and where to get it."""
    licence: str
    protocol: str
    """How rows and labels are chosen, for reports; the split belongs behind it."""
    find: Callable[[str | Path | None], Path | None]
    """``find(data=None)``: where a copy lies, at or below ``data`` (default: ``EDGEFER_DATA``); None where there is none."""
    load: Callable[..., FaceSet]
    """``load(split, data=None, side=None)``: the faces, uint8 (N, side, side, 3) RGB; pictures of another size are resized while they
    are read (None: the data set's own side). The data sets of gray 48×48 faces give (N, 48, 48) whatever ``side`` is. ``caers`` also
    takes ``detector``. Raises UsageError, EnvironmentInvalid or InputRejected."""


def get(name: str) -> DataSet:
    """The data set called ``name``.

    Raises:
        UsageError: there is none.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS, "train/data/datasets.py")
    return DATASETS[name]


def _ferplus(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    if split not in ferplus.FOLDERS:
        raise unknown("split", split, ferplus.FOLDERS, "FER+")
    return ferplus.load(split, data)


def _ferplus_seven(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    return without(_ferplus(split, data), "contempt")


def _of(module, reported: str, **other) -> DataSet:
    """The entry of a module that tells all of it in its constants, but for ``other``."""
    fields = {
        "title": module.TITLE,
        "labels": SEVEN,
        "splits": module.SPLITS,
        "where": module.LAYOUT,
        "licence": module.LICENCE,
        "find": module.find,
        "load": module.load,
    }
    protocol = {} if "protocol" in other else {"protocol": module.PROTOCOL}
    return DataSet(reported=reported, **{**fields, **protocol, **other})


_FERPLUS = {
    "splits": tuple(ferplus.FOLDERS),
    "reported": "test",
    "where": ferplus.LAYOUT,
    "licence": ferplus.LICENCE,
    "find": ferplus.find,
}

DATASETS: dict[str, DataSet] = {
    "ferplus": DataSet("FER+", FERPLUS_LABELS, protocol=ferplus.PROTOCOL, load=_ferplus, **_FERPLUS),
    "ferplus7": DataSet(
        "FER+", SEVEN, protocol="FER+ majority, 7 classes (without contempt)", load=_ferplus_seven, **_FERPLUS
    ),
    "fer2013": _of(fer2013, "test"),
    "rafdb": _of(rafdb, "test"),
    "affectnet7": _of(affectnet, "valid", protocol=f"{affectnet.PROTOCOL}, 7 classes"),
    "affectnet8": _of(
        affectnet,
        "valid",
        protocol=f"{affectnet.PROTOCOL}, 8 classes",
        labels=FERPLUS_LABELS,
        load=affectnet.load_eight,
    ),
    "caers": _of(caers, "test"),
    "sfew": _of(sfew, "valid"),
    "fedro": _of(fedro, "test"),
    "folder7": _of(folder, "valid", protocol="own faces, 7 classes"),
    "folder8": _of(folder, "valid", protocol="own faces, 8 classes", labels=FERPLUS_LABELS, load=folder.load_eight),
}
