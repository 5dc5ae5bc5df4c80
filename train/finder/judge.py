"""How well a detector finds faces: the figures of ``python -m train.finder.evaluate``, from detectors of any kind."""

from collections.abc import Callable, Sequence

import numpy as np

from edgefer import finder
from edgefer.classifier import Classifier
from edgefer.detectors import Detector
from edgefer.faces import Face
from edgefer.parity import wilson
from train.data.finder import Picture

LEAST_PART = 1 / 8
"""Of the frame's height: smaller faces are not what the finder is for."""
Shown = Callable[[Picture, list[Face]], None]


def rate(hits: int, n: int) -> dict:
    """A fraction with its Wilson interval."""
    return {"value": hits / n if n else None, "ci95": list(wilson(hits, n)) if n else None, "hits": hits, "n": n}


def on_faces(detector: Detector, pictures: Sequence[Picture], least_part: float = 0.0) -> dict:
    """Faces found at an intersection over union of 0.5 with the teacher's, false faces, and how far landmarks are off.

    Faces of less than ``least_part`` of the picture's height neither count as missed nor as false.

    Returns:
        found: of the faces; false: faces that are none, for each picture; landmarks: median, mean and 90th percentile of the
        mean distance of five landmarks in eye distances, over the faces found (None where the detector gives none).
    """
    faces = hits = false = 0
    off = []
    for picture in pictures:
        found = detector.detect(picture.image)
        wanted = np.concatenate([picture.boxes[:, :2], picture.boxes[:, :2] + picture.boxes[:, 2:]], 1)
        counts = picture.boxes[:, 3] >= least_part * picture.image.shape[0]
        rows = finder.pairs(edges(found), wanted)
        faces += int(counts.sum())
        hits += sum(1 for row in rows if row >= 0 and counts[row])
        high = least_part * picture.image.shape[0]
        false += sum(1 for face, row in zip(found, rows, strict=True) if row < 0 and face.box[3] >= high)
        off += [
            finder.landmarks_off(face.landmarks, picture.landmarks[row])
            for face, row in zip(found, rows, strict=True)
            if row >= 0 and counts[row] and face.landmarks is not None
        ]
    return {"found": rate(hits, faces), "false": false, "pictures": len(pictures), "landmarks": _spread(off)}


def _spread(off: list[float]) -> dict | None:
    if not off:
        return None
    return {"median": float(np.median(off)), "mean": float(np.mean(off)), "p90": float(np.percentile(off, 90))}


def on_scenes(detector: Detector, pictures: Sequence[Picture]) -> dict:
    """Pictures without faces: how many faces are found all the same, and for every fifty pictures."""
    counts = [len(detector.detect(picture.image)) for picture in pictures]
    some = rate(sum(1 for count in counts if count), len(counts))
    return {
        "false": sum(counts),
        "pictures": len(counts),
        "false_per_50": 50 * sum(counts) / len(counts),
        "with_some": some,
    }


def expressions(detector: Detector, classifier: Classifier, pictures: Sequence[tuple[np.ndarray, str]]) -> dict:
    """Finder, alignment and classifier together on pictures with a known expression: the largest face is read.

    A picture in which no face is found counts as wrong. Returns accuracy, reached, and per class both as (right, pictures).
    """
    right: dict[str, list[bool]] = {}
    reached = 0
    for image, label in pictures:
        faces = detector.detect(image)
        said = None
        if faces:
            reached += 1
            probabilities = classifier.classify(classifier.crop(image, faces[0]))
            said = classifier.labels[int(probabilities.argmax())]
        right.setdefault(label, []).append(said == label)
    hits = sum(map(sum, right.values()))
    return {
        "accuracy": rate(hits, len(pictures)),
        "reached": rate(reached, len(pictures)),
        "per_class": {label: [sum(hits), len(hits)] for label, hits in sorted(right.items())},
    }


def edges(faces: Sequence[Face]) -> np.ndarray:
    """Left, top, right, bottom of faces, (n, 4), best score first as they come."""
    boxes = np.array([face.box for face in faces], np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
