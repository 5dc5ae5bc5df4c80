"""Photographs, scenes and people for the face finder: pictures with boxes and landmarks that a teacher detector gave.

Layout, in ``EDGEFER_DATA`` or a folder in it named ``finder``:
    photos/, photos.csv    close photographs of faces, at most 256 pixels a side, and the faces in them
    scenes/                pictures without faces
    people/, people.csv    scenes with people in them, never trained on
A CSV has one face a row: image, score, x, y, w, h, then x and y of the right eye, left eye, nose tip, right and left mouth
corner (the subject's right and left), in pixels. The teacher is YuNet.

Which part a picture is of follows from the number in its name and never changes: see ``part``.
"""

import csv
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgefer.errors import EnvironmentInvalid, InputRejected
from train.data import layout

TITLE = "the finder's set of photographs"
LAYOUT = "a folder 'finder' with photos/ and photos.csv, scenes/, and people/ and people.csv (see train/data/finder.py)"
KINDS = ("photos", "scenes", "people")
PARTS = ("train", "tune", "test")
COLUMNS = 16
"""Of a CSV: the image's name, the score, a box of four and five points of two numbers."""


@dataclass(frozen=True)
class Picture:
    """One picture and the faces in it."""

    name: str
    image: np.ndarray
    """uint8 (H, W, 3) RGB, or (H, W) gray where it was asked for."""
    boxes: np.ndarray
    """float32 (n, 4): x, y, width, height in pixels."""
    landmarks: np.ndarray
    """float32 (n, 5, 2), pixels, in the order of ``edgefer.faces.Face.landmarks``."""


def part(kind: str, name: str) -> str:
    """Which of ``PARTS`` a picture belongs to, by the number in its name.

    Photographs: every eighth (number mod 8 = 7) is for the test, every sixteenth (mod 16 = 1) for tuning. Scenes: every
    fourth (mod 4 = 3) is for the test, every eighth (mod 8 = 1) for tuning. People: all for the test.
    """
    number = int(re.sub(r"\D", "", name) or 0)
    if kind == "people":
        return "test"
    test, tune = (number % 8 == 7, number % 16 == 1) if kind == "photos" else (number % 4 == 3, number % 8 == 1)
    return "test" if test else "tune" if tune else "train"


def find(data: str | Path | None = None) -> Path | None:
    """The folder that holds photographs and scenes at or below ``data`` (default: ``EDGEFER_DATA``), or None."""
    return layout.find(lambda p: (p / "photos.csv").is_file() and (p / "scenes").is_dir(), data)


def load(kind: str, parts: Iterable[str] = PARTS, data: str | Path | None = None, gray: bool = False) -> list[Picture]:
    """Read the pictures of a kind that belong to some parts, sorted by name.

    Args:
        kind: one of ``KINDS``.
        parts: of ``PARTS``.
        data: where to look; default ``EDGEFER_DATA``.
        gray: give the images in gray, (H, W).

    Raises:
        EnvironmentInvalid: the folder, or this kind in it, is not there.
        InputRejected: a picture or the table is damaged.
    """
    root = find(data)
    if root is None:
        raise layout.absent(TITLE, LAYOUT, data)
    folder, parts = root / kind, tuple(parts)
    if not folder.is_dir():
        raise EnvironmentInvalid(f"{folder} is not there, so the finder's {kind} are not; unpack it beside the others")
    faces = {} if kind == "scenes" else _table(root / f"{kind}.csv")
    names = sorted(p.name for p in folder.iterdir() if layout.is_picture(p) and part(kind, p.name) in parts)
    with ThreadPoolExecutor() as pool:  # OpenCV decodes outside the interpreter's lock
        images = list(pool.map(lambda name: _read(folder / name, gray), names))
    return [_picture(name, image, faces.get(name, [])) for name, image in zip(names, images, strict=True)]


def _read(file: Path, gray: bool) -> np.ndarray:
    import cv2

    image = layout.read_rgb(file)
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if gray else image


def _table(file: Path) -> dict[str, list[list[float]]]:
    """Image name → its faces' numbers: score, box, points."""
    found: dict[str, list[list[float]]] = {}
    for number, row in enumerate(csv.reader(layout.lines_of(file)), 1):
        if number == 1:
            continue
        try:
            values = [float(value) for value in row[1:]]
        except ValueError:
            values = []
        if len(values) != COLUMNS - 1 or not np.isfinite(values).all():
            raise layout.damaged_line(file, number, "an image's name and fifteen numbers")
        found.setdefault(row[0], []).append(values)
    if not found:
        raise InputRejected(f"{file} holds no face; unpack the data set again")
    return found


def _picture(name: str, image: np.ndarray, faces: list[list[float]]) -> Picture:
    values = np.array(faces, np.float32).reshape(len(faces), COLUMNS - 1)
    return Picture(name, image, values[:, 1:5], values[:, 5:].reshape(-1, 5, 2))
