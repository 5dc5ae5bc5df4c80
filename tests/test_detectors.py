"""Detectors: coordinates of the original frame, named errors, and how many of the shared photographs' faces are found."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from edgefer import detectors
from edgefer.detectors.yunet import SIDE, YuNet
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from edgefer.faces import overlap

cv2 = pytest.importorskip("cv2", reason="install edgefer[camera]")
BLACK = np.zeros((120, 160, 3), np.uint8)


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """RGB photographs with one face each."""
    folder = Path(os.environ.get("EDGEFER_DATA", "nowhere")) / "faces-in-the-wild" / "images"
    if not folder.is_dir():
        pytest.skip("the photographs are not here: set EDGEFER_DATA to a folder that holds faces-in-the-wild/")
    return [cv2.imread(str(path))[..., ::-1] for path in sorted(folder.glob("*.jpg"))]


@pytest.fixture(scope="session")
def yunet_file() -> str:
    if not os.environ.get("EDGEFER_YUNET"):
        pytest.skip("YuNet is not here: set EDGEFER_YUNET to its ONNX file")
    return os.environ["EDGEFER_YUNET"]


class FakeNetwork:
    """Answers as OpenCV's FaceDetectorYN does: two faces at known places of the picture it is shown."""

    def __init__(self):
        self.shown = []
        self.size = None

    def setInputSize(self, size):  # OpenCV's name
        self.size = size

    def detect(self, image):
        assert image.shape[:2][::-1] == self.size
        self.shown.append(image)
        small = np.r_[1, 2, 3, 4, np.zeros(10), 0.7]
        large = np.r_[10, 20, 40, 60, 15, 30, 35, 30, 25, 40, 18, 55, 32, 55, 0.9]
        return 1, np.stack([small, large]).astype(np.float32)


def test_yunet_answers_in_pixels_of_the_original_frame():
    network = FakeNetwork()
    faces = YuNet(cv2, network).detect(np.zeros((480, 640, 3), np.uint8))
    assert network.shown[0].shape == (240, SIDE, 3)
    assert faces[0].box == (20, 40, 80, 120) and faces[0].score == pytest.approx(0.9)
    assert faces[0].landmarks.tolist() == [[30, 60], [70, 60], [50, 80], [36, 110], [64, 110]]
    assert faces[1].box == (2, 4, 6, 8), "largest first"


def test_yunet_is_shown_bgr_and_small_frames_as_they_are():
    network = FakeNetwork()
    red = np.zeros((100, 60, 3), np.uint8)
    red[..., 0] = 200
    YuNet(cv2, network).detect(red)
    assert network.shown[0].shape == (100, 60, 3) and network.shown[0][0, 0].tolist() == [0, 0, 200]


@pytest.mark.parametrize(("shape", "inside"), [((300, 400), 2), ((300, 400, 1), 2), ((1, 2000, 3), 0), ((2, 1, 3), 0)])
def test_yunet_takes_any_frame(shape, inside):
    assert len(YuNet(cv2, FakeNetwork()).detect(np.zeros(shape, np.uint8))) == inside


@pytest.mark.parametrize("box", [(3228, 4314, 0, 1.6e-35), (5, 5, 0.5, 9), (-40, 5, 30, 30), (5, 5, np.nan, 9)])
def test_what_yunet_returns_outside_the_frame_is_no_face(box):
    network = FakeNetwork()
    network.detect = lambda image: (1, np.r_[box, np.zeros(10), 1.0][None].astype(np.float32))
    assert YuNet(cv2, network).detect(np.zeros((100, 100, 3), np.uint8)) == []


def test_no_detector_takes_the_whole_frame():
    (face,) = detectors.load("none").detect(BLACK)
    assert face.box == (0, 0, 160, 120) and face.detector == "none" and face.landmarks is None


@pytest.mark.parametrize("name", ["haar", "none"])
@pytest.mark.parametrize("frame", [np.zeros((0, 0), np.uint8), np.zeros((9, 9), np.uint16), None])
def test_what_is_no_frame(name, frame):
    with pytest.raises(InputRejected, match="frame"):
        detectors.load(name).detect(frame)


@pytest.mark.parametrize("shape", [(120, 160, 3), (120, 160), (120, 160, 1), (1, 1, 3), (5, 400)])
def test_haar_finds_nothing_in_black(shape):
    assert detectors.load("haar").detect(np.zeros(shape, np.uint8)) == []


def test_unknown_detector():
    with pytest.raises(UsageError, match="unknown detector 'mtcnn'; edgefer has haar, none, own, yunet"):
        detectors.load("mtcnn")


def test_yunet_without_its_file():
    with pytest.raises(EnvironmentInvalid, match="--yunet or EDGEFER_YUNET"):
        detectors.load("yunet")


def test_yunet_with_a_missing_file(tmp_path):
    with pytest.raises(InputRejected, match="is missing"):
        detectors.load("yunet", tmp_path / "yunet.onnx")


@pytest.mark.parametrize("content", [b"", b"not a network"])
def test_yunet_with_a_damaged_file(tmp_path, content):
    (tmp_path / "yunet.onnx").write_bytes(content)
    with pytest.raises(InputRejected, match="cannot be used") as caught:
        detectors.load("yunet", tmp_path / "yunet.onnx")
    assert "\n" not in str(caught.value)


def test_yunet_with_another_network():
    with pytest.raises(InputRejected, match="cannot be used"):
        detectors.load("yunet", Path(__file__).parent / "data" / "tiny" / "fp32.onnx")


def test_opencv_without_cascades(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(EnvironmentInvalid, match=r"no longer has Haar cascades.*or use --detector yunet"):
        detectors.load("haar")


def test_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EnvironmentInvalid, match=r"pip install 'edgefer\[camera\]'"):
        detectors.load("haar")


def test_yunet_finds_faces_at_any_size(photographs, yunet_file):
    detector = detectors.load("yunet", yunet_file)
    found = [detector.detect(photograph) for photograph in photographs[:40]]
    assert sum(map(bool, found)) >= 38
    for photograph, faces in list(zip(photographs, found, strict=False))[:8]:
        larger = detector.detect(cv2.resize(photograph, None, fx=2, fy=2))
        assert overlap(faces[0].box, tuple(side / 2 for side in larger[0].box)) > 0.8
        assert np.abs(faces[0].landmarks - larger[0].landmarks / 2).max() < 12


def test_yunet_gives_landmarks_in_the_templates_order(photographs, yunet_file):
    faces = [detectors.load("yunet", yunet_file).detect(photograph) for photograph in photographs[:10]]
    for right_eye, left_eye, nose, right_mouth, left_mouth in (found[0].landmarks for found in faces if found):
        assert right_eye[0] < left_eye[0] and right_mouth[0] < left_mouth[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_haar_finds_most_faces(photographs):
    detector = detectors.load("haar")
    assert sum(bool(detector.detect(photograph)) for photograph in photographs[:20]) >= 12


@pytest.mark.parametrize(
    "a, b, expected",
    [((0, 0, 2, 2), (0, 0, 2, 2), 1), ((0, 0, 2, 2), (1, 0, 2, 2), 1 / 3), ((0, 0, 1, 1), (1, 0, 1, 1), 0)],
)
def test_overlap(a, b, expected):
    assert overlap(a, b) == pytest.approx(expected)
