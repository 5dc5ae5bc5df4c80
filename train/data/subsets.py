"""Subsets of a test set by a list of image names, as occlusion and pose lists are published.

Wang et al. 2019 ("Region Attention Networks", github.com/kaiwang960112/Challenge-condition-FER-dataset) write a face a line, in
these forms:

    val/0/bc9ad400db82/            AffectNet, occlusion: no ending, a slash behind
    0/83dac9d7eec7.jpg             AffectNet, pose; FER+, pose (ending .jpg for the data set's .png)
    1_fer0034656.png 8 0           FER+, occlusion: the label before the name, two numbers behind
    test_0003_aligned 3 4          RAF-DB, occlusion
    0/test_0004_aligned.jpg        RAF-DB, pose
"""

import re
from pathlib import Path, PurePosixPath

import numpy as np

from edgefer.errors import InputRejected
from train.data import FaceSet, layout

LABEL_BEFORE = re.compile(r"^\d{1,2}_")
ALIGNED = "_aligned"


def subset(faces: FaceSet, file: Path) -> FaceSet:
    """The faces a text file lists, in the set's order, each once; names that are not in the set are passed over.

    Folder, ending, ``_aligned`` and what stands beside a name do not count, unless faces in several folders have one name.

    Raises:
        InputRejected: the file cannot be read, names no face of the set, or a name that several faces have.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputRejected(f"subset list {file} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputRejected(f"subset list {file} is not a text file") from None
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(faces.names):
        rows_of.setdefault(_parts(name)[-1], []).append(row)
    chosen = {row for line in lines for row in _rows(line, faces.names, rows_of, file)}
    if not chosen:
        raise InputRejected(f"subset list {file} names none of the {len(faces)} faces of {faces.source}")
    return faces[np.array(sorted(chosen))]


def _rows(line: str, names: tuple[str, ...], rows_of: dict[str, list[int]], file: Path) -> list[int]:
    """Rows of the faces that a line of the list means; none where it means a face of another set."""
    for written in _candidates(line):
        *folders, name = _parts(written)
        rows = rows_of.get(name, [])
        if len({names[row] for row in rows}) > 1:
            several = ", ".join(names[row] for row in rows[:3])
            rows = [row for row in rows if folders and _parts(names[row])[-2:-1] == folders[-1:]]
            if len({names[row] for row in rows}) != 1:
                raise InputRejected(
                    f"subset list {file}: '{line.strip()}' may be any of {several}; write its folder too"
                )
        if rows:
            return rows
    return []


def _candidates(line: str) -> list[str]:
    """What of a line may be the name, likeliest first: all of it, a field of it, a field without the label before it."""
    fields = [field for field in re.split(r"[\s,;]+", line) if field]
    words = [field for field in fields if not field.isdecimal()] or fields[:1]
    bare = [LABEL_BEFORE.sub("", re.split(r"[/\\]", word)[-1]) for word in words]
    return [text for text in [line.strip(), *words, *bare] if text]


def _parts(name: str) -> list[str]:
    """Folders and name of a path of any system; the name without ending and ``_aligned``."""
    *folders, last = [part for part in name.replace("\\", "/").split("/") if part] or [""]
    path = PurePosixPath(last)
    stem = path.stem if path.suffix.lower() in layout.ENDINGS else last
    return [*folders, stem.removesuffix(ALIGNED)]
