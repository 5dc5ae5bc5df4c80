"""FED-RO: 400 faces from the web with real occlusions, seven expressions; a test set only.

Layout: a folder for each expression (``happy``, ``sad``, ``neural`` …), as ``FED-RO/FED-RO_crop/happy/*`` or
``FED-RO/happy/*``. The pictures are face crops; of one that is not square the centred square is used.

Protocol: Li et al. 2019: trained on RAF-DB and AffectNet, accuracy on all 400.
"""

from pathlib import Path

from train.data import FaceSet, layout
from train.data.layout import SEVEN

TITLE = "FED-RO"
CLASSES = SEVEN
SPLITS = ("test",)
PROTOCOL = "FED-RO, 7 classes, all 400 faces"
LICENCE = "research, by agreement with the authors"
LAYOUT = (
    "a folder called FED-RO that holds FED-RO_crop/ with a folder for each expression "
    "(on request from the authors, github.com/mysee1989/PG-CNN)"
)
SIDE = 112
CROPS = ("FED-RO_crop", "FED_RO_crop", ".")


def find(data: str | Path | None = None) -> Path | None:
    """``data`` (default: ``EDGEFER_DATA``) or the folder in it called FED-RO or FED_RO that holds the expressions; or None."""
    return layout.find(
        lambda p: _expressions(p) is not None, data, lambda name: name.lower().replace("_", "-").startswith("fed-ro")
    )


def load(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    """Read split "test": RGB faces (N, side, side, 3), default 112; names are "happy/file.jpg".

    Raises:
        UsageError: no such split.
        EnvironmentInvalid: FED-RO is not there.
        InputRejected: a class's folder is missing, or a picture is damaged.
    """
    layout.check_split(TITLE, split, SPLITS)
    place = find(data)
    if place is None:
        raise layout.absent(TITLE, LAYOUT, data)
    return layout.read_faces(
        layout.by_expression(_expressions(place), CLASSES), side or SIDE, CLASSES, f"{TITLE} {split}"
    )


def _expressions(place: Path) -> Path | None:
    return next((place / name for name in CROPS if layout.has_expressions(place / name)), None)
