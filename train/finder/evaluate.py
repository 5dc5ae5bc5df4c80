"""``python -m train.finder.evaluate``: how well the finder finds faces it did not learn from, beside other detectors.

On the photographs and scenes of the test part, on the pictures of people, and on faces-in-the-wild together with a classifier;
the teacher's boxes are the truth. Thresholds are chosen by ``python -m train.finder.tune`` on other pictures.
"""

import argparse
import csv
import os
import sys
from pathlib import Path

import numpy as np

from edgefer import bundle, choose, detectors
from edgefer.classifier import Classifier
from edgefer.commands import note
from edgefer.errors import EnvironmentInvalid, UsageError, exit_with
from edgefer.files import write_json
from train.data import finder, layout
from train.finder import judge, torch_detector

WILD = "faces-in-the-wild"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.finder.evaluate", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", type=Path, metavar="DIR", help="a finder's checkpoint, run in fp32 torch")
    what.add_argument("--bundle", type=Path, metavar="DIR", help="a bundle: its finder, and its classifier in the wild")
    parser.add_argument("--engine", help="of the bundle (default: its own)")
    parser.add_argument("--precision", help="of the bundle's finder (default: the bundle's)")
    parser.add_argument("--data", help="folder with the pictures (default: the environment variable EDGEFER_DATA)")
    parser.add_argument("--beside", nargs="*", default=[], choices=["yunet", "haar"], help="judge these as well")
    parser.add_argument(
        "--yunet", default=os.environ.get(detectors.VARIABLE), help=f"YuNet's file (default: {detectors.VARIABLE})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    subject, classifier = _subject(args)
    judged = {subject.name: subject} | {name: detectors.load(name, args.yunet) for name in args.beside}
    pictures = {kind: finder.load(kind, ("test",), args.data) for kind in finder.KINDS}
    wild = _wild(args.data) if classifier else []
    figures = {name: _figures(detector, pictures, classifier, wild) for name, detector in judged.items()}
    result = {"subject": _name(args), "threshold": subject.spec.threshold, "figures": figures}
    for name, figure in figures.items():
        print(f"{_name(args) if name == subject.name else name}\n{told(figure)}")
    if args.json:
        write_json(args.json, result)
    return 0


def _subject(args: argparse.Namespace) -> tuple[detectors.Detector, Classifier | None]:
    if args.checkpoint:
        if args.engine or args.precision:
            raise UsageError("--engine and --precision are of a bundle; a checkpoint runs in fp32 torch")
        return torch_detector.load(args.checkpoint), None
    opened = bundle.load(args.bundle)
    chosen = choose.choice(opened, args.engine, args.precision, None, note)
    own = detectors.load("own", own=opened.finder_model(*chosen))
    return own, Classifier(opened, *choose.choice(opened, args.engine, None, None, note))


def _name(args: argparse.Namespace) -> str:
    if args.checkpoint:
        return f"{args.checkpoint}, torch fp32"
    return f"{args.bundle}, {args.engine or 'its own engine'}, {args.precision or 'its own precision'}"


def _wild(data: str | None) -> list[tuple[np.ndarray, str]]:
    place = layout.find(lambda p: (p / "labels.csv").is_file() and (p / "images").is_dir(), data)
    if place is None:
        raise EnvironmentInvalid(
            f"{WILD} was not found: set EDGEFER_DATA to a folder with {WILD}/labels.csv and images/"
        )
    rows = list(csv.DictReader(layout.lines_of(place / "labels.csv")))
    return [(layout.read_rgb(place / "images" / row["image"]), row["expression"]) for row in rows]


def _figures(detector, pictures, classifier: Classifier | None, wild) -> dict:
    figures = {
        "photos": judge.on_faces(detector, pictures["photos"]),
        "scenes": judge.on_scenes(detector, pictures["scenes"]),
        "people": judge.on_faces(detector, pictures["people"], judge.LEAST_PART),
    }
    if classifier:
        figures["wild"] = judge.expressions(detector, classifier, wild)
    return figures


def told(figures: dict) -> str:
    """The figures of one detector in lines."""
    photos, scenes, people = (figures[kind] for kind in finder.KINDS)
    lines = [
        f"  photographs   found {_rate(photos['found'])}, {photos['false']} false; landmarks {_off(photos['landmarks'])}",
        f"  scenes        {scenes['false']} false in {scenes['pictures']}: {scenes['false_per_50']:.2f} in 50",
        f"  people        of faces from 1/8 of the height: {_rate(people['found'])}, {people['false']} false; "
        f"landmarks {_off(people['landmarks'])}",
    ]
    if "wild" in figures:
        wild = figures["wild"]
        classes = ", ".join(f"{label} {right}/{n}" for label, (right, n) in wild["per_class"].items())
        lines.append(
            f"  in the wild   face found {_rate(wild['reached'])}; expression {_rate(wild['accuracy'])}: {classes}"
        )
    return "\n".join(lines)


def _rate(rate: dict) -> str:
    low, high = rate["ci95"]
    return f"{rate['value']:.2%} [{low:.2%}, {high:.2%}] of {rate['n']}"


def _off(spread: dict | None) -> str:
    return (
        "none" if spread is None else f"off by {spread['median']:.2%} of the eyes' distance (p90 {spread['p90']:.2%})"
    )


if __name__ == "__main__":
    sys.exit(exit_with(main))
