"""``python -m train.evaluate``: how well a checkpoint, or an artifact of a bundle, recognises expressions."""

import argparse
import sys
from pathlib import Path

import numpy as np

from edgefer.errors import UsageError, exit_with
from edgefer.files import check_writable, write_json
from train.data import FaceSet, crops_of, datasets
from train.data.subsets import subset
from train.evaluate import data, metrics, robustness, subject, table


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=__doc__)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--checkpoint", type=Path, help="folder of a checkpoint")
    model.add_argument("--bundle", type=Path, help="folder of a bundle")
    parser.add_argument("--engine", help="with --bundle: engine of the artifact (default: the bundle's own)")
    parser.add_argument("--precision", choices=("fp32", "int8"), help="with --bundle: precision of the artifact")
    parser.add_argument(
        "--dataset", default="ferplus", metavar="NAME", help=f"one of {', '.join(datasets.DATASETS)} (default ferplus)"
    )
    parser.add_argument("--data", help="folder or zip with the data set, or 'synthetic' (default: EDGEFER_DATA)")
    parser.add_argument(
        "--split", choices=("valid", "test"), help="split of it (default valid, or what its papers report)"
    )
    parser.add_argument("--subset", type=Path, metavar="LIST", help="text file with the image names to evaluate on")
    parser.add_argument(
        "--seven", action="store_true", help="without contempt among faces and answers, as most papers report FER+"
    )
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="also hide parts of the faces, ten ways, and draw synthetic faces turned or occluded",
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="write confusion matrix, reliability diagram and, for a checkpoint, class-activation maps to DIR",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to FILE")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    check_writable(args.json)
    judged = _subject(args)
    if args.seven:
        judged = subject.without_contempt(judged)
    faces, protocol = _faces(args, judged.spec)
    crops = crops_of(faces, judged.spec.input_size, judged.spec.channels)
    probabilities = judged.probabilities(crops)
    result = metrics.score(probabilities, faces.labels, judged.spec.labels, faces.distributions)
    result |= {"protocol": protocol, "model": judged.name}
    if args.robustness:
        result["robustness"] = _robustness(judged, crops, faces.labels, probabilities.argmax(1))
    table.show(result, table.console())
    if args.json:
        write_json(args.json, result)
    if args.pictures:
        _pictures(args.pictures, judged, result, crops, faces.labels, probabilities)
    return 0


def _subject(args: argparse.Namespace) -> subject.Subject:
    if not args.checkpoint:
        return subject.of_artifact(args.bundle, args.engine, args.precision)
    if args.engine or args.precision:
        raise UsageError("--engine and --precision choose an artifact of a --bundle; a checkpoint runs in torch")
    return subject.of_checkpoint(args.checkpoint)


def _faces(args: argparse.Namespace, spec) -> tuple[FaceSet, str]:
    faces, protocol = data.evaluated(spec, args.dataset, args.split, args.data)
    if args.subset:
        return subset(faces, args.subset), f"{protocol}, subset {args.subset.name}"
    return faces, protocol


def _robustness(judged: subject.Subject, crops: np.ndarray, labels: np.ndarray, clean: np.ndarray) -> dict:
    return {
        "occlusion": robustness.occlusion(judged, crops, labels, clean),
        "conditions": robustness.conditions(judged),
    }


def _pictures(folder: Path, judged: subject.Subject, *evaluated) -> None:
    from train.evaluate import pictures

    for path in pictures.write(folder, judged, *evaluated):
        print(f"wrote {path}")
    if judged.network is None:
        print("no class-activation maps: an artifact has no gradients; give the --checkpoint it was made from")


if __name__ == "__main__":
    sys.exit(exit_with(main))
