"""The data sets, by the name that recipes know them by."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgefer.errors import unknown
from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet, affectnet, caers, drawn, fedro, fer2013, ferplus, folder, rafdb, sfew, without
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
    """``load(split, data=None, side=None)``: the faces, uint8 (N, side, side, 3) RGB; pictures of another size are resized
    while they are read (None: the data set's own side). The data sets of gray 48×48 faces give (N, 48, 48) whatever ``side``
    is. ``caers`` also takes ``detector``. Raises UsageError, EnvironmentInvalid or InputRejected."""


def get(name: str) -> DataSet:
    """The data set called ``name``.

    Raises:
        UsageError: there is none.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS, "train/data/datasets.py")
    return DATASETS[name]


def validation_split(name: str) -> str:
    """The split that accuracy is watched on: "valid" where the data set has one, otherwise the one its papers report.

    Raises:
        UsageError: there is no such data set.
    """
    known = get(name)
    return "valid" if "valid" in known.splits else known.reported


def _ferplus(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    if split not in ferplus.FOLDERS:
        raise unknown("split", split, ferplus.FOLDERS, "FER+")
    return ferplus.load(split, data)


def _ferplus_seven(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    return without(_ferplus(split, data), "contempt")


def _of(module, reported: str, **other) -> DataSet:
    """The entry of a module that tells of itself in constants; ``other`` says what differs."""
    told = (module.TITLE, SEVEN, module.SPLITS, reported, module.LAYOUT, module.LICENCE, module.PROTOCOL)
    return replace(DataSet(*told, module.find, module.load), **other)


_FERPLUS = DataSet(
    "FER+",
    FERPLUS_LABELS,
    tuple(ferplus.FOLDERS),
    "test",
    ferplus.LAYOUT,
    ferplus.LICENCE,
    ferplus.PROTOCOL,
    ferplus.find,
    _ferplus,
)
DATASETS: dict[str, DataSet] = {
    "ferplus": _FERPLUS,
    "ferplus7": replace(
        _FERPLUS, labels=SEVEN, protocol="FER+ majority, 7 classes (without contempt)", load=_ferplus_seven
    ),
    "fer2013": _of(fer2013, "test"),
    "rafdb": _of(rafdb, "test"),
    "affectnet7": _of(affectnet, "valid"),
    "affectnet8": _of(
        affectnet, "valid", labels=FERPLUS_LABELS, protocol="AffectNet-8 validation", load=affectnet.load_eight
    ),
    "caers": _of(caers, "test"),
    "sfew": _of(sfew, "valid"),
    "fedro": _of(fedro, "test"),
    "synthetic": _of(drawn, "valid", labels=FERPLUS_LABELS),
    "folder7": _of(folder, "valid"),
    "folder8": _of(folder, "valid", labels=FERPLUS_LABELS, protocol="own faces, 8 classes", load=folder.load_eight),
}
