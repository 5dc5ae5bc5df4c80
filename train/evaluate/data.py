"""What a model is judged on: faces of a data set, with the labels that the model has."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgefer.errors import EnvironmentInvalid, InputRejected
from edgefer.spec import FERPLUS_LABELS, ModelSpec
from train.data import FaceSet, crops_of, datasets, ferplus, synthetic
from train.data.layout import SEVEN

SYNTHETIC_FACES, SYNTHETIC_SEED = 1000, 2
"""Faces and seed of the synthetic evaluation set; calibration and tuning use other seeds."""
KNOWN_LABELS = (FERPLUS_LABELS, SEVEN)
"""Label orders a model can be evaluated with: FER+'s eight, and seven without contempt."""


@dataclass(frozen=True)
class EvaluationCrops:
    """Crops a model is judged on."""

    crops: np.ndarray
    """uint8 (N, S, S, C)."""
    labels: np.ndarray | None
    """int64 (N,), or None where the crops can only show agreement between models."""
    source: str
    """Data set and split, for reports."""


def crops(spec: ModelSpec, data: str | None = None) -> EvaluationCrops:
    """What parity is judged on: FER+ valid where a copy is found, otherwise synthetic faces, without labels.

    Args:
        spec: of the model; gives labels, size and channels.
        data: folder or zip with FER+, "synthetic", or None for ``EDGEFER_DATA``.

    Raises:
        InputRejected: FER+ serves and the model's labels are of no known order.
    """
    if use_ferplus(data):
        faces = for_labels(ferplus.load("valid", data), spec.labels)
        return EvaluationCrops(crops_of(faces, spec.input_size, spec.channels), faces.labels, faces.source)
    faces = synthetic_faces()
    return EvaluationCrops(crops_of(faces, spec.input_size, spec.channels), None, faces.source)


def use_ferplus(data: str | None) -> bool:
    """Whether FER+ serves; a folder named in ``data`` must hold it, one in ``EDGEFER_DATA`` may."""
    if data == "synthetic":
        return False
    named = os.environ.get("EDGEFER_DATA")
    if not data and named and not Path(named).exists():
        raise EnvironmentInvalid(
            f"EDGEFER_DATA names {named}, which is not there; correct it, or unset it to do without data"
        )
    found = ferplus.find(data) is not None
    if data and not found:
        raise EnvironmentInvalid(ferplus.WHERE.format(f" in {data}"))
    return found


def evaluated(spec: ModelSpec, dataset: str, split: str | None, data: str | None) -> tuple[FaceSet, str]:
    """The faces a model is evaluated on, and the protocol in words.

    Args:
        spec: of the model; gives its labels.
        dataset: a name in ``train.data.datasets.DATASETS``.
        split: of the data set; None for the one that accuracy is watched on. Synthetic faces have none.
        data: folder or zip with the data set, "synthetic", or None for ``EDGEFER_DATA``.
    """
    if data == "synthetic":
        faces, protocol = synthetic_faces(), "synthetic faces, labels by construction, 8 classes"
    else:
        known, split = datasets.get(dataset), split or datasets.validation_split(dataset)
        faces, protocol = known.load(split, data), f"{known.protocol}, {split}"
    return for_labels(faces, spec.labels), _without(protocol, len(faces.classes), spec.labels)


def synthetic_faces() -> FaceSet:
    """The synthetic evaluation set, of FER+'s size."""
    return synthetic.faces(SYNTHETIC_FACES, SYNTHETIC_SEED, ferplus.SIDE)


def for_labels(faces: FaceSet, labels: tuple[str, ...]) -> FaceSet:
    """The labelled faces whose label a model has, their distributions spread over its classes and summing to 1 again.

    Raises:
        InputRejected: ``labels`` are of no known order, or no face is left.
    """
    if tuple(labels) not in KNOWN_LABELS:
        orders = " or to ".join(", ".join(known) for known in KNOWN_LABELS)
        raise InputRejected(f"the model's labels ({', '.join(labels)}) are of no known order; train one to {orders}")
    kept = faces[(faces.labels >= 0) & (faces.labels < len(labels))]
    if not len(kept):
        raise InputRejected(f"{faces.source} has no face with a label of the model's {len(labels)}")
    spread = np.zeros((len(kept), len(labels)), np.float32)
    known = kept.distributions[:, : len(labels)]
    spread[:, : known.shape[1]] = known
    total = spread.sum(1, keepdims=True)
    shares = np.divide(spread, total, out=spread, where=total > 0)
    return replace(kept, distributions=shares, classes=tuple(labels))


def _without(protocol: str, classes: int, labels: tuple[str, ...]) -> str:
    """The protocol, saying which of a data set's classes are left out because the model has not got them."""
    if len(labels) >= classes:
        return protocol
    kept = f"{len(labels)} classes (without {', '.join(FERPLUS_LABELS[len(labels) : classes])})"
    return protocol.replace("8 classes", kept) if "8 classes" in protocol else f"{protocol}, {kept}"
