"""``python -m train.finder.tune``: choose the score from which a cell is a face, on pictures kept for that, and store it.

The lowest threshold that gives no face on the scenes of the tuning part – as they are and their four quarters – but never
below ``LEAST``. What it finds of the tuning part's photographs is printed beside it.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgefer.detectors.shrink import to_square
from edgefer.errors import exit_with
from edgefer.finder import decode
from edgefer.finder_spec import FinderSpec
from train.data import finder
from train.finder import checkpoint, judge, torch_detector
from train.finder.graph import outputs

LEAST = 0.25
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
    network, spec = checkpoint.load(args.checkpoint)
    squares = scenes(spec, args.data)
    scores = false_scores(outputs(network, spec, squares), spec)
    threshold = chosen(scores)
    detector = torch_detector.load(args.checkpoint, threshold)
    photos = judge.on_faces(detector, finder.load("photos", ("tune",), args.data))
    replace(spec, threshold=threshold).save(args.checkpoint / checkpoint.SPEC)
    false = int((scores >= threshold).sum())
    print(
        f"threshold {threshold:.2f}: {false} false faces in {len(squares)} scenes and quarters, "
        f"{photos['found']['value']:.2%} of {photos['found']['n']} photographs' faces found; stored in {args.checkpoint}"
    )
    return 0


def scenes(spec: FinderSpec, data: str | None) -> np.ndarray:
    """Squares uint8 (N, S, S) of the tuning part's scenes and of their quarters."""
    images = []
    for picture in finder.load("scenes", ("tune",), data):
        image, (h, w) = picture.image, picture.image.shape[:2]
        images += [image, image[: h // 2, : w // 2], image[: h // 2, w // 2 :]]
        images += [image[h // 2 :, : w // 2], image[h // 2 :, w // 2 :]]
    return np.stack([to_square(image, spec.input_size)[0] for image in images])


def false_scores(found: list[dict[str, np.ndarray]], spec: FinderSpec) -> np.ndarray:
    """Scores of all faces found from the lowest threshold on: float (n,)."""
    parts = [decode(output, spec, float(STEPS[0])).scores for output in found]
    return np.concatenate(parts) if parts else np.empty(0)


def chosen(scores: np.ndarray) -> float:
    """The lowest threshold that none of these false faces reaches."""
    return float(next((step for step in STEPS if (scores < step).all()), STEPS[-1]))


if __name__ == "__main__":
    sys.exit(exit_with(main))
