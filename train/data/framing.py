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

from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError, exit_with
from edgefer.files import sha256, write_text
from train.data import ferplus

FILE = Path(__file__).with_name("ferplus-framing.json")
SIDE = 240
"""Crops are upscaled to this for YuNet: of 144, 192, 240 and 320, with borders of 0 to 50 %, it found most faces here."""
YUNET_BORDER = 0.15
HAAR_BORDER = 0.3
"""Gray border around the crop, as a fraction of its side, so that a box that leaves the crop can be found."""
YUNET_SCORE = 0.6
GRAY_LEVEL = 128
MIRRORED = (1, 0, 2, 4, 3)
"""Which landmark each one becomes when the face is mirrored."""
LEAST_FOUND = 3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.data.framing", description=__doc__)
    parser.add_argument(
        "--detector",
        default=os.environ.get("EDGEFER_YUNET"),
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
    framing = measure(_crops(args.data, args.count), _yunet_file(args.detector))
    write_text(args.out, _readable(framing))
    how = framing["how"]
    print(f"{args.out}: YuNet found {how['yunet']['found']}, Haar {how['haar']['found']} of {how['crops']} crops")
    return 0


def measure(crops: np.ndarray, yunet: Path) -> dict:
    """Fit the framing.

    Args:
        crops: uint8 (N, side, side) gray face crops, all framed alike.
        yunet: YuNet's ONNX file.

    Returns:
        ``landmarks`` (five (x, y)), ``boxes`` (detector → x, y, width, height), all medians made symmetric, as fractions of
        the crop's side; and ``how`` they were measured.

    Raises:
        InputRejected: a detector finds too few faces to take a median of.
    """
    yunet_rows, haar_boxes = _yunet_rows(crops, yunet), _haar_boxes(crops)
    for name, found in (("YuNet", yunet_rows), ("Haar", haar_boxes)):
        if len(found) < LEAST_FOUND:
            raise InputRejected(
                f"{name} found {len(found)} faces in {len(crops)} crops, too few to measure; give more crops"
            )
    landmarks, boxes = yunet_rows[:, 4:14].reshape(-1, 5, 2), yunet_rows[:, :4]
    return {
        "landmarks": _rounded(symmetric_points(np.median(landmarks, 0))),
        "boxes": {
            "haar": _rounded(symmetric_box(np.median(haar_boxes, 0))),
            "yunet": _rounded(symmetric_box(np.median(boxes, 0))),
        },
        "how": {
            "crops": len(crops),
            "data": f"FER+ train without its {ferplus.HOLDOUT_PERCENT} % hold-out, evaluated rows",
            "spread": "interquartile range, fraction of the crop's side",
            "yunet": {
                "found": len(yunet_rows),
                "file": yunet.name,
                "sha256": sha256(yunet),
                "side": SIDE,
                "border": YUNET_BORDER,
                "landmarks_spread": _rounded(_iqr(landmarks)),
                "box_spread": _rounded(_iqr(boxes)),
            },
            "haar": {
                "found": len(haar_boxes),
                "side": SIDE,
                "border": HAAR_BORDER,
                "box_spread": _rounded(_iqr(haar_boxes)),
            },
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


def _yunet_file(path: str | None) -> Path:
    if not path or not Path(path).is_file():
        raise EnvironmentInvalid(
            f"YuNet's file {path or ''} is not there: give --detector, or set EDGEFER_YUNET, to a face_detection_yunet_*.onnx "
            "of the OpenCV Zoo (github.com/opencv/opencv_zoo)"
        )
    return Path(path)


def _yunet_rows(crops: np.ndarray, file: Path) -> np.ndarray:
    """float (found, 14): box and five landmarks of the surest face of each crop, as fractions of the crop's side."""
    side = SIDE + 2 * _border(YUNET_BORDER)
    detector = cv2.FaceDetectorYN.create(str(file), "", (side, side), YUNET_SCORE)
    rows = []
    for crop in crops:
        found = detector.detect(cv2.cvtColor(_enlarged(crop, YUNET_BORDER), cv2.COLOR_GRAY2BGR))[1]
        if found is not None:
            rows.append(max(found, key=lambda row: row[14])[:14])
    offset = np.array([_border(YUNET_BORDER)] * 2 + [0, 0] + [_border(YUNET_BORDER)] * 10)
    return (np.array(rows).reshape(-1, 14) - offset) / SIDE


def _haar_boxes(crops: np.ndarray) -> np.ndarray:
    """float (found, 4): the largest box of each crop, as fractions of the crop's side."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    least = (SIDE // 2, SIDE // 2)
    boxes = []
    for crop in crops:
        found = cascade.detectMultiScale(_enlarged(crop, HAAR_BORDER), scaleFactor=1.1, minNeighbors=5, minSize=least)
        if len(found):
            boxes.append(max(found, key=lambda box: box[2]))
    offset = np.array([_border(HAAR_BORDER)] * 2 + [0, 0])
    return (np.array(boxes).reshape(-1, 4) - offset) / SIDE


def _border(fraction: float) -> int:
    return round(SIDE * fraction)


def _enlarged(crop: np.ndarray, border: float) -> np.ndarray:
    large = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return cv2.copyMakeBorder(large, *[_border(border)] * 4, cv2.BORDER_CONSTANT, value=GRAY_LEVEL)


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
