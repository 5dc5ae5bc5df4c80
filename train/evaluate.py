"""``python -m train.evaluate``: how well a checkpoint, or an artifact of a bundle, recognises expressions."""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgefer import bundle, engines, parity
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError, exit_with
from edgefer.files import write_json
from edgefer.spec import FERPLUS_LABELS, ModelSpec
from train import checkpoint, graph
from train.data import FaceSet, crops_of, ferplus, synthetic
from train.data.subsets import subset

SYNTHETIC_FACES, SYNTHETIC_SEED = 1000, 2
"""Faces and seed of the synthetic evaluation set; calibration and tuning use other seeds."""


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
        spec: of the model; gives size and channels.
        data: folder or zip with FER+, "synthetic", or None for ``EDGEFER_DATA``.
    """
    if use_ferplus(data):
        faces = ferplus.load("valid", data).evaluated
        return EvaluationCrops(crops_of(faces, spec.input_size, spec.channels), faces.labels, faces.source)
    faces = synthetic.faces(SYNTHETIC_FACES, SYNTHETIC_SEED, ferplus.SIDE)
    return EvaluationCrops(crops_of(faces, spec.input_size, spec.channels), None, faces.source)


def use_ferplus(data: str | None) -> bool:
    """Whether FER+ serves; a folder named in ``data`` must hold it, one in ``EDGEFER_DATA`` may."""
    if data == "synthetic":
        return False
    found = ferplus.find(data) is not None
    if data and not found:
        raise EnvironmentInvalid(ferplus.WHERE.format(f" in {data}"))
    return found


def score(probabilities: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> dict:
    """Accuracy (fraction) with its Wilson interval, macro and per-class recall of probabilities (N, classes)."""
    right = probabilities.argmax(1) == labels
    recalls = {name: float(right[labels == k].mean()) for k, name in enumerate(names) if (labels == k).any()}
    return {
        "accuracy": float(right.mean()),
        "ci95": list(parity.wilson(int(right.sum()), len(right))),
        "n": len(right),
        "macro_recall": float(np.mean(list(recalls.values()))),
        "per_class_recall": recalls,
    }


def engine_probabilities(engine: engines.Engine, crops: Iterable[np.ndarray]) -> np.ndarray:
    """Run an engine crop by crop (batch 1, as a device does): float32 (N, classes)."""
    return np.concatenate([engine.infer(crop[None]) for crop in crops])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=__doc__)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--checkpoint", type=Path, help="folder of a checkpoint")
    model.add_argument("--bundle", type=Path, help="folder of a bundle")
    parser.add_argument("--engine", help="with --bundle: engine of the artifact (default: the bundle's own)")
    parser.add_argument("--precision", choices=("fp32", "int8"), help="with --bundle: precision of the artifact")
    parser.add_argument("--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA)")
    parser.add_argument("--split", choices=("valid", "test"), default="valid", help="split of FER+ (default valid)")
    parser.add_argument("--subset", type=Path, metavar="LIST", help="text file with the image names to evaluate on")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to FILE")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.checkpoint and (args.engine or args.precision):
        raise UsageError("--engine and --precision choose an artifact of a --bundle; a checkpoint runs in torch")
    if args.data == "synthetic":
        faces, protocol = (
            synthetic.faces(SYNTHETIC_FACES, SYNTHETIC_SEED, ferplus.SIDE),
            "synthetic faces, labels by construction",
        )
    else:
        faces, protocol = ferplus.load(args.split, args.data).evaluated, f"{ferplus.PROTOCOL}, {args.split}"
    if args.subset:
        faces, protocol = subset(faces, args.subset), f"{protocol}, subset {args.subset.name}"
    result = {**_evaluate(args, faces), "protocol": protocol}
    low, high = result["ci95"]
    print(f"{protocol}: accuracy {result['accuracy']:.2%} [{low:.2%}, {high:.2%}] on {result['n']} faces")
    print(f"macro recall {result['macro_recall']:.2%}")
    for name, recall in result["per_class_recall"].items():
        print(f"  {name:<10} {recall:.2%}")
    if args.json:
        write_json(args.json, result)
    return 0


def _evaluate(args: argparse.Namespace, faces: FaceSet) -> dict:
    if args.checkpoint:
        network, spec = checkpoint.load(args.checkpoint)
        _check_labels(spec)
        images = crops_of(faces, spec.input_size, spec.channels)
        return score(graph.probabilities(network, spec, images), faces.labels, spec.labels)
    opened = bundle.load(args.bundle)
    _check_labels(opened.spec)
    defaults = opened.defaults
    name, precision = args.engine or defaults["engine"], args.precision or defaults["precision"]
    artifact = opened.artifact(name, precision)
    engine = engines.load(name, opened.folder / artifact.file, defaults["threads"])
    images = crops_of(faces, opened.spec.input_size, opened.spec.channels)
    return score(engine_probabilities(engine, images), faces.labels, opened.spec.labels)


def _check_labels(spec: ModelSpec) -> None:
    if spec.labels != FERPLUS_LABELS:
        raise InputRejected(
            f"the model's labels ({', '.join(spec.labels)}) are not FER+'s eight; it cannot be evaluated on FER+"
        )


if __name__ == "__main__":
    sys.exit(exit_with(main))
