"""``python -m train.data.framing``: where a face lies in FER+'s crops, measured by detectors on the training crops.

FER+ images are already crops and have no landmarks. Running the detectors of the device on them tells how the device must cut
its own crops so that they are framed as those the network learned from. The result is ``ferplus-framing.json``, which training
copies into each ModelSpec. Hold-out rows are left out. Knows nothing of networks.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np

from edgefer import detectors
from edgefer.errors import InputRejected, UsageError, exit_with
from edgefer.faces import Face
from edgefer.files import read_json, sha256, write_text
from edgefer.spec import Alignment
from train.data import ferplus

FILE = Path(__file__).with_name("ferplus-framing.json")
SIDE = 240
"""Crops are upscaled to this for YuNet: of 144, 192, 240 and 320, with borders of 0 to 50 %, it found most faces here."""
BORDERS = {"haar": 0.3, "yunet": 0.15}
"""Gray border around the crop for each detector, as a fraction of its side, so that a box that leaves the crop is found."""
GRAY_LEVEL = 128
MIRRORED = (1, 0, 2, 4, 3)
"""Which landmark each one becomes when the face is mirrored."""
LEAST_FOUND = 3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.data.framing", description=__doc__)
    parser.add_argument(
        "--detector",
        default=os.environ.get(detectors.VARIABLE),
        help="YuNet's ONNX file (default: the environment variable EDGEFER_YUNET)",
    )
    parser.add_argument("--data", help="folder or zip with FER+ (default: the environment variable EDGEFER_DATA)")
    parser.add_argument(
        "--count", type=int, default=3000, help="crops to look at, evenly spread over train (default 3000)"
    )
    parser.add_argument(
        "--out", type=Path, default=FILE, help=f"file to write (default {FILE.name} beside this module)"
    )
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.count < 1:
        raise UsageError(f"--count {args.count} must be at least 1")
    framing = measure(_crops(args.data, args.count), args.detector)
    write_text(args.out, _readable(framing))
    how = framing["how"]
    print(f"{args.out}: YuNet found {how['yunet']['found']}, Haar {how['haar']['found']} of {how['crops']} crops")
    return 0


def alignment() -> Alignment:
    """What was measured, as a ModelSpec holds it."""
    value = read_json(FILE)
    boxes = {name: tuple(box) for name, box in value["boxes"].items()}
    return Alignment(tuple(map(tuple, value["landmarks"])), boxes)


def measure(crops: np.ndarray, yunet: str | Path | None) -> dict:
    """Fit the framing.

    Args:
        crops: uint8 (N, side, side) gray face crops, all framed alike.
        yunet: YuNet's ONNX file.

    Returns:
        ``landmarks`` (five (x, y)), ``boxes`` (detector → x, y, width, height), all medians made symmetric, as fractions of
        the crop's side; and ``how`` they were measured.

    Raises:
        EnvironmentInvalid, InputRejected: YuNet's file is not named, missing or damaged; or a detector finds too few faces
            to take a median of.
    """
    found = {name: _found(crops, detectors.load(name, yunet), border) for name, border in BORDERS.items()}
    for name, faces in found.items():
        if len(faces) < LEAST_FOUND:
            raise InputRejected(
                f"{name} found {len(faces)} faces in {len(crops)} crops, too few to measure; give more crops"
            )
    landmarks = _shares(np.array([face.landmarks for face in found["yunet"]]), "yunet")
    boxes = {name: _box_shares(faces, name) for name, faces in found.items()}
    how = {name: {"found": len(faces), "border": BORDERS[name]} for name, faces in found.items()}
    how["yunet"].update(file=Path(yunet).name, sha256=sha256(yunet), landmarks_spread=_rounded(_iqr(landmarks)))
    for name, values in boxes.items():
        how[name]["box_spread"] = _rounded(_iqr(values))
    return {
        "landmarks": _rounded(symmetric_points(np.median(landmarks, 0))),
        "boxes": {name: _rounded(symmetric_box(np.median(values, 0))) for name, values in boxes.items()},
        "how": {
            "crops": len(crops),
            "data": f"FER+ train without its {ferplus.HOLDOUT_PERCENT} % hold-out, evaluated rows",
            "side": SIDE,
            "spread": "interquartile range, fraction of the crop's side",
            **how,
            "opencv": cv2.__version__,
        },
    }


def symmetric_points(points: np.ndarray) -> np.ndarray:
    """Mean of five landmarks (5, 2) and their mirror image: crops mirrored in training have no left and right."""
    mirrored = points[list(MIRRORED)] * [-1, 1] + [1, 0]
    return (points + mirrored) / 2


def symmetric_box(box: np.ndarray) -> np.ndarray:
    """The box x, y, width, height centred on the crop's vertical middle."""
    return np.array([0.5 - box[2] / 2, box[1], box[2], box[3]])


def _crops(data: str | None, count: int) -> np.ndarray:
    faces = ferplus.load("train", data)
    rows = np.flatnonzero(~ferplus.holdout(faces.names) & (faces.labels >= 0))
    return faces.images[rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]]


def _found(crops: np.ndarray, detector: detectors.Detector, border: float) -> list[Face]:
    """The largest face of each crop that has one at least half as wide as the crop, in pixels of the enlarged crop."""
    firsts = [detector.detect(_enlarged(crop, border))[:1] for crop in crops]
    return [face for faces in firsts for face in faces if face.box[2] >= SIDE / 2]


def _shares(points: np.ndarray, detector: str) -> np.ndarray:
    """Pixels of enlarged crops → fractions of the crop's side."""
    return (points - round(SIDE * BORDERS[detector])) / SIDE


def _box_shares(faces: list[Face], detector: str) -> np.ndarray:
    boxes = np.array([face.box for face in faces])
    return np.concatenate([_shares(boxes[:, :2], detector), boxes[:, 2:] / SIDE], 1)


def _enlarged(crop: np.ndarray, border: float) -> np.ndarray:
    large = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return cv2.copyMakeBorder(large, *[round(SIDE * border)] * 4, cv2.BORDER_CONSTANT, value=GRAY_LEVEL)


def _iqr(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, [25, 75], axis=0)
    return high - low


def _rounded(values: np.ndarray) -> list:
    return np.round(np.asarray(values, np.float64), 4).tolist()


def _readable(framing: dict) -> str:
    """JSON with one line for each top-level entry and each detector."""
    how = ",\n  ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in framing["how"].items())
    lines = [f'"landmarks": {json.dumps(framing["landmarks"])}', f'"boxes": {json.dumps(framing["boxes"])}']
    return "{\n " + ",\n ".join([*lines, f'"how": {{\n  {how}\n }}']) + "\n}\n"


if __name__ == "__main__":
    sys.exit(exit_with(main))
