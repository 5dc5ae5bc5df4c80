"""Action-Unit vectors of images, as OpenFace or any other tool wrote them: one row of numbers an image.

What is read:
- a folder of CSV files, one an image and named like it, as OpenFace's FaceLandmarkImg writes them (``-fdir A -out_dir B``);
- one CSV file of OpenFace's columns with one more, ``name`` or ``filename``, that says which image a row is of;
- one CSV file of rows ``name, number, number, …``, with or without a line of titles.
OpenFace's other columns are not read, apart from ``success`` and ``confidence``.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgefer.errors import InputRejected

INTENSITY = re.compile(r"AU\d\d_r")
"""OpenFace's intensities, 0 (rest) to 5. It writes 17 of them, AU01 to AU45; ``AU…_c`` says only whether one is there."""
NAME_COLUMNS = ("name", "filename")

Vectors = tuple[tuple[str, ...], np.ndarray]
"""Name of each image, and float32 (N, units)."""


def read(source: str | Path) -> Vectors:
    """The vectors of a folder or file of any of the kinds above, as (names, float32 (N, units)).

    Raises:
        InputRejected: nothing there, or it is none of them; says where.
    """
    source = Path(source)
    if source.is_dir():
        return read_openface(source)
    titles, _ = _table(source)
    return read_openface(source) if any(INTENSITY.fullmatch(title) for title in titles) else read_numbers(source)


def read_openface(source: str | Path) -> Vectors:
    """OpenFace's intensities from a folder with one CSV an image, or one CSV with a column ``name`` or ``filename``.

    Rows that OpenFace marks as failed (``success`` 0) are left out; where an image has several faces the most confident one
    counts.

    Returns:
        Names (a folder's: its files' without ``.csv``) and float32 (N, 17), columns in the order of the Action Units' numbers.

    Raises:
        InputRejected: no CSV there, columns missing or not the same in all files, or a value that is no number.
    """
    source = Path(source)
    files = sorted(source.glob("*.csv")) if source.is_dir() else [source]
    if not files:
        raise InputRejected(f"{source} holds no CSV file; give the folder that OpenFace's FaceLandmarkImg wrote to")
    best: dict[str, tuple[float, np.ndarray]] = {}
    units: tuple[str, ...] = ()
    for file in files:
        titles, rows = _table(file)
        found = _units(titles, file)
        if units and found != units:
            raise InputRejected(f"{file} has other Action Units than {files[0].name}; write all files by one version")
        units = found
        naming = None if source.is_dir() else _name_column(titles, file)
        for line, row in rows:
            record = _record(titles, row, file, line)
            if _number(record.get("success", "1"), file, line) == 0:
                continue
            name = record[naming] if naming else file.stem
            confidence = _number(record.get("confidence", "1"), file, line)
            vector = np.array([_number(record[unit], file, line) for unit in units], np.float32)
            if name not in best or confidence > best[name][0]:
                best[name] = (confidence, vector)
    if not best:
        raise InputRejected(f"{source} holds no face that OpenFace succeeded on")
    return tuple(best), np.stack([vector for _, vector in best.values()])


def read_numbers(source: str | Path) -> Vectors:
    """One CSV file of rows ``name, number, number, …``; a first line whose second field is no number holds titles.

    Raises:
        InputRejected: unreadable, empty, rows of unequal length, a value that is no number, or a name that comes twice.
    """
    source = Path(source)
    titles, rows = _table(source)
    if len(titles) > 1 and _is_number(titles[1]):
        rows = [(1, list(titles)), *rows]
    vectors: dict[str, list[float]] = {}
    for line, row in rows:
        if len(row) != len(titles) or len(row) < 2:
            raise InputRejected(
                f"{source}, line {line}: {len(row)} fields where a name and {len(titles) - 1} numbers belong"
            )
        if row[0] in vectors:
            raise InputRejected(f"{source}, line {line}: '{row[0]}' comes twice; an image has one vector")
        vectors[row[0]] = [_number(value, source, line) for value in row[1:]]
    if not vectors:
        raise InputRejected(f"{source} holds no vectors; its lines must be 'name, number, number, …'")
    return tuple(vectors), np.array(list(vectors.values()), np.float32)


def matched(names: Sequence[str], vectors: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    """The vector of each wanted image, float32 (len(wanted), units); NaN where there is none; names as in ``rows_of``.

    Raises:
        InputRejected: not one of the wanted images has a vector, or a vector may be that of several.
    """
    rows = rows_of(names, wanted)
    if not (rows >= 0).any():
        raise InputRejected(
            f"none of the {len(wanted)} images, such as '{wanted[0]}', is among the {len(names)} named vectors, such as "
            f"'{names[0]}'; name the vectors like the images"
        )
    return np.where(rows[:, None] >= 0, vectors[rows], np.float32(np.nan))


def rows_of(names: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Row among ``names`` of each wanted one, int64 (len(wanted),); −1 where there is none.

    The same name is found first; otherwise folders and endings do not count.

    Raises:
        InputRejected: without its folder a name may be any of several.
    """
    exact = {name: row for row, name in enumerate(names)}
    bare: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        bare.setdefault(Path(name).stem, []).append(row)
    found, taken = [], {}
    for name in wanted:
        stem = Path(name).stem
        rows = [exact[name]] if name in exact else bare.get(stem, [])
        if len(rows) > 1 or (rows and taken.setdefault(rows[0], name) != name):
            raise InputRejected(
                f"'{names[rows[0]]}' and '{name}' may or may not be one image; name both with their folders"
            )
        found += rows or [-1]
    return np.array(found, np.int64)


def _table(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Fields of the first line, and (line number, fields) of the others that are not empty; all without surrounding spaces."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.reader(text)
            lines = [(reader.line_num, [field.strip() for field in row]) for row in reader if row]
    except OSError as error:
        raise InputRejected(f"{file} cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputRejected(f"{file} is not a CSV file ({error})") from None
    if not lines:
        raise InputRejected(f"{file} is empty; write it again")
    return lines[0][1], lines[1:]


def _units(titles: list[str], file: Path) -> tuple[str, ...]:
    units = tuple(sorted(title for title in titles if INTENSITY.fullmatch(title)))
    if not units:
        raise InputRejected(
            f"{file} has no columns AU01_r, AU02_r, …; run OpenFace with -aus, or without any output option"
        )
    return units


def _name_column(titles: list[str], file: Path) -> str:
    for column in NAME_COLUMNS:
        if column in titles:
            return column
    raise InputRejected(
        f"{file} has no column {' or '.join(NAME_COLUMNS)}, so its rows belong to no image; add one, or give the folder with "
        "one CSV an image"
    )


def _record(titles: list[str], row: list[str], file: Path, line: int) -> dict[str, str]:
    if len(row) != len(titles):
        raise InputRejected(f"{file}, line {line}: {len(row)} fields where the first line has {len(titles)}")
    return dict(zip(titles, row, strict=True))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str, file: Path, line: int) -> float:
    if not _is_number(text) or not np.isfinite(float(text)):
        raise InputRejected(f"{file}, line {line}: '{text}' is no finite number")
    return float(text)
