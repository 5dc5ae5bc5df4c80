"""RAF-DB, the single-label subset: faces from the web with one of seven basic expressions, aligned, 100×100 RGB.

Layout (``basic`` of whdeng.cn/RAF): ``EmoLabel/list_patition_label.txt``, lines like ``train_00001.jpg 5``, and
``Image/aligned/train_00001_aligned.jpg``; the folder around them is called ``basic`` or anything else.

Protocol: Li et al. 2017: 12,271 faces to train on, 3,068 to test on. There is no validation split.
"""

from pathlib import Path

from train.data import FaceSet, layout
from train.data.layout import SEVEN, Entry

TITLE = "RAF-DB"
CLASSES = SEVEN
SPLITS = ("train", "test")
PROTOCOL = "RAF-DB basic, 7 classes"
LICENCE = "non-commercial research; the images are not to be passed on"
LAYOUT = (
    "a folder that holds basic/EmoLabel/list_patition_label.txt and basic/Image/aligned/*_aligned.jpg "
    "(on request from whdeng.cn/RAF/model1.html)"
)
SIDE = 100
"""Of the aligned images, pixels."""
NUMBERS = dict(enumerate(("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"), start=1))
"""Number in the label file → label."""
LABELS = "EmoLabel/list_patition_label.txt"


def find(data: str | Path | None = None) -> Path | None:
    """The folder at or below ``data`` (default: ``EDGEFER_DATA``) that holds ``EmoLabel/`` or ``basic/EmoLabel/``; or None."""
    return layout.find(lambda p: _basic(p) is not None, data)


def load(split: str, data: str | Path | None = None, side: int | None = None) -> FaceSet:
    """Read split "train" or "test": RGB faces (N, side, side, 3), default 100; rows in the order of the label file.

    Raises:
        UsageError: no such split.
        EnvironmentInvalid: RAF-DB, or this split of it, is not there.
        InputRejected: the label file or a picture is missing or damaged.
    """
    layout.check_split(TITLE, split, SPLITS)
    place = find(data)
    if place is None:
        raise layout.absent(TITLE, LAYOUT, data)
    basic = _basic(place)
    entries = [entry for entry in _entries(basic) if entry.name.startswith(split)]
    if not entries:
        raise layout.missing(TITLE, split, basic / "Image/aligned" / f"{split}_*_aligned.jpg")
    return layout.read_faces(entries, side or SIDE, CLASSES, f"{TITLE} {split}")


def _basic(place: Path) -> Path | None:
    return next((p for p in (place, place / "basic") if (p / LABELS).is_file()), None)


def _entries(basic: Path) -> list[Entry]:
    entries = []
    for number, line in enumerate(layout.lines_of(basic / LABELS), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not words[1].isdecimal() or int(words[1]) not in NUMBERS:
            raise layout.damaged_line(basic / LABELS, number, "an image name and a label from 1 to 7")
        file = basic / "Image/aligned" / f"{Path(words[0]).stem}_aligned.jpg"
        entries.append(Entry(words[0], file, NUMBERS[int(words[1])]))
    return entries
