"""``python -m train.finder.tune``: choose the scores from which something is a face, on pictures kept for that, and store them.

On the scenes of the tuning part, as they are and their four quarters: the threshold of the first look is the lowest that
gives no face; that of the second look, which decides about places from ``DOUBT`` on, the lowest that leaves at most
``MOST_WRONG`` scenes with one. Both are at least ``LEAST``. What is found of the tuning part's photographs is printed too.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgefer.detectors.own import Own
from edgefer.detectors.shrink import to_square
from edgefer.errors import exit_with
from edgefer.finder import decode
from train.data import finder
from train.finder import checkpoint, judge, torch_detector

LEAST = 0.25
DOUBT = 0.4
"""Lower finds no more faces in composed frames of 480 pixels, and looks twice at more that are none."""
MOST_WRONG = 1
"""Of 37, each seen five times over."""
STEPS = np.round(np.arange(LEAST, 0.96, 0.01), 2)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.finder.tune", description=__doc__)
    parser.add_argument(
        "--checkpoint", required=True, type=Path, metavar="DIR", help="a finder's checkpoint; its spec is changed"
    )
    parser.add_argument("--data", help="folder with the pictures (default: the environment variable EDGEFER_DATA)")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    detector = torch_detector.load(args.checkpoint)
    spec, engine = detector.spec, detector.engine
    seen = scenes(args.data)
    squares = [to_square(view, spec.input_size)[0] for views in seen for view in views]
    threshold = chosen(np.concatenate([decode(detector.outputs(square), spec, LEAST).scores for square in squares]), 0)
    spec = replace(spec, threshold=threshold, doubt=min(DOUBT, threshold), confirm=LEAST)
    looking = Own(engine, spec)
    worst = [max((face.score for view in views for face in looking.detect(view)), default=0.0) for views in seen]
    spec = replace(spec, confirm=chosen(np.array(worst), MOST_WRONG))
    detector = Own(engine, spec)
    wrong = sum(any(detector.detect(view) for view in views) for views in seen)
    photos = judge.on_faces(detector, finder.load("photos", ("tune",), args.data))
    spec.save(args.checkpoint / checkpoint.SPEC)
    print(
        f"threshold {threshold:.2f}, at the second look {spec.confirm:.2f}: faces in {wrong} of {len(seen)} scenes that "
        f"have none, {photos['found']['value']:.2%} of {photos['found']['n']} photographs' faces found; "
        f"stored in {args.checkpoint}"
    )
    return 0


def scenes(data: str | None) -> list[list[np.ndarray]]:
    """Of every scene of the tuning part: itself and its quarters."""
    seen = []
    for picture in finder.load("scenes", ("tune",), data):
        image, (h, w) = picture.image, picture.image.shape[:2]
        tops, lefts = (slice(h // 2), slice(h // 2, None)), (slice(w // 2), slice(w // 2, None))
        seen.append([image, *(image[top, left] for top in tops for left in lefts)])
    return seen


def chosen(scores: np.ndarray, wrong: int) -> float:
    """The lowest threshold that at most ``wrong`` of these scores reach."""
    return float(next((step for step in STEPS if (scores >= step).sum() <= wrong), STEPS[-1]))


if __name__ == "__main__":
    sys.exit(exit_with(main))
