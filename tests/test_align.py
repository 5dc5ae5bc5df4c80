"""Align-and-crop: faces land where the template says, whatever their size, angle and place; bad frames are refused in words."""

import numpy as np
import pytest

from edgefer import align
from edgefer.align import align_crop, box_to_box, check_frame, resize, similarity, to_channels
from edgefer.errors import InputRejected
from edgefer.faces import Face
from edgefer.spec import Alignment, ModelSpec

POINTS = np.array([(0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75)], np.float32)
SPEC = ModelSpec("tiny", ("a", "b"), 32, 1, Alignment(tuple(map(tuple, POINTS)), {"haar": (0.0, 0.0, 1.0, 1.0)}))


def face(landmarks=None, box=(0.0, 0.0, 1.0, 1.0), detector="haar") -> Face:
    return Face(box, 1.0, detector, landmarks)


def frame_with_dots(landmarks: np.ndarray, height: int = 240, width: int = 320, radius: float = 6) -> np.ndarray:
    """Black, with a bright disc at each landmark."""
    y, x = np.mgrid[:height, :width] + 0.5
    discs = [np.hypot(x - px, y - py) < radius for px, py in landmarks]
    return np.where(np.any(discs, axis=0), 255, 0).astype(np.uint8)


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points @ rotation.T * scale + shift).astype(np.float32)


@pytest.mark.parametrize("degrees, scale, shift", [(0, 60, (100, 80)), (25, 90, (120, 50)), (-40, 150, (60, 110))])
def test_landmarks_land_on_the_template(degrees, scale, shift):
    landmarks = turned(POINTS, degrees, scale, shift)
    crop = align_crop(frame_with_dots(landmarks), face(landmarks), SPEC)
    assert crop.shape == (32, 32, 1) and crop.dtype == np.uint8
    for x, y in POINTS * 32:
        assert crop[int(y), int(x), 0] > 128
    assert crop[0, 0, 0] == 0


def test_similarity_recovers_a_known_motion():
    moved = turned(POINTS, 30, 7, (3, -2))
    matrix = similarity(POINTS, moved)
    assert np.allclose(POINTS @ matrix[:, :2].T + matrix[:, 2], moved, atol=1e-5)


def test_box_to_box_meets_centres_and_keeps_shape():
    matrix = box_to_box((10, 20, 40, 10), (0, 0, 20, 20))
    assert np.allclose(matrix @ [30, 25, 1], [10, 10])
    assert matrix[0, 0] == matrix[1, 1] == 1.0


def test_box_framing_cuts_the_box():
    frame = np.zeros((100, 100), np.uint8)
    frame[30:70, 20:60] = 200
    assert (align_crop(frame, face(box=(20, 30, 40, 40)), SPEC)[2:-2, 2:-2] == 200).all()


def test_the_part_of_the_frame_is_enough():
    """A face at the edge gives the same crop as the same face in a frame padded with its own edge."""
    y, x = np.mgrid[:60, :80]
    frame = (100 + 50 * np.sin(x / 30) + 50 * np.cos(y / 30)).astype(np.uint8)
    padded = np.pad(frame, 50, mode="edge")
    landmarks = turned(POINTS, 10, 70, (-20, -10))
    a = align_crop(frame, face(landmarks), SPEC).astype(int)
    b = align_crop(padded, face(landmarks + 50), SPEC).astype(int)
    assert np.abs(a - b).max() <= 4


def test_gray_and_rgb_of_the_same_picture_agree():
    gray = np.random.default_rng(1).integers(0, 256, (90, 90), np.uint8)
    landmarks = turned(POINTS, 0, 64, (10, 10))
    a = align_crop(gray, face(landmarks), SPEC).astype(int)
    b = align_crop(np.repeat(gray[..., None], 3, 2), face(landmarks), SPEC).astype(int)
    assert np.abs(a - b).max() <= 1


def test_rgb_order_counts():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 100
    assert np.allclose(to_channels(red, 1), 29.9, atol=0.01)


@pytest.mark.parametrize("nudge", [-1e-9, 1e-9])
def test_a_last_digit_does_not_move_a_shrunk_crop(nudge):
    """Corners on whole pixels and a whole factor are where rounding may fall to either side on another machine."""
    noise = np.random.default_rng(3).integers(0, 256, (300, 300), np.uint8)
    exact = align_crop(noise, face(box=(60.0, 80.0, 128.0, 128.0)), SPEC).astype(int)
    other = align_crop(noise, face(box=(60.0 + nudge, 80.0 + nudge, 128.0 + nudge, 128.0 + nudge)), SPEC).astype(int)
    assert np.abs(exact - other).max() <= 1


def test_resize_of_the_right_size_is_the_identity():
    picture = np.random.default_rng(2).integers(0, 256, (32, 32), np.uint8)
    assert (resize(picture, 32, 1)[..., 0] == picture).all()


def test_resize_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (128, 64))
    assert np.abs(resize(stripes, 32, 1).astype(int) - 128).max() <= 1


@pytest.mark.parametrize(
    "frame, told",
    [
        (np.zeros((0, 0), np.uint8), "0×0 has no pixels"),
        (np.zeros((0, 10, 3), np.uint8), "no pixels"),
        (np.zeros((8, 8), np.uint16), "uint8 grey levels, not uint16"),
        (np.zeros((8, 8), np.float32), "not float32"),
        (np.zeros((8, 8, 4), np.uint8), r"not \(8, 8, 4\)"),
        (np.zeros(8, np.uint8), r"not \(8,\)"),
        ([[0, 0]], "not list"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_frame(frame, told):
    with pytest.raises(InputRejected, match=told):
        check_frame(frame)


@pytest.mark.parametrize(
    "frame", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 1), np.uint8), np.zeros((1, 1, 3), np.uint8)]
)
def test_small_and_gray_frames_are_frames(frame):
    assert resize(frame, 32, 1).shape == (32, 32, 1)
    assert align_crop(frame, face(box=(0, 0, 8, 8)), SPEC).shape == (32, 32, 1)


@pytest.mark.parametrize(
    "bad, told",
    [
        (face(np.zeros((5, 2), np.float32)), "coincide"),
        (face(np.full((5, 2), np.nan, np.float32)), "coincide"),
        (face(POINTS[:4] * 50), "shape"),
        (face(box=(0, 0, 0, 5)), "no area"),
        (face(box=(0, 0, float("nan"), 5)), "no area"),
        (face(detector="other"), "no framing for boxes of detector 'other'"),
    ],
)
def test_a_face_that_cannot_be_cut(bad, told):
    with pytest.raises(InputRejected, match=told):
        align_crop(np.zeros((50, 50), np.uint8), bad, SPEC)


def test_landmarks_whose_best_scale_is_zero():
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float)
    with pytest.raises(InputRejected, match="do not lie as those of a face"):
        similarity(corners * [1, -1], corners)


@pytest.mark.parametrize(("f", "channels"), [(2, 1), (3, 3), (7, 1)])
def test_blocks_are_averaged(f, channels):
    image = np.random.default_rng(f).integers(0, 256, (4 * f, 5 * f, channels)).astype(np.float32)
    wanted = [[image[y : y + f, x : x + f].mean((0, 1)) for x in range(0, 5 * f, f)] for y in range(0, 4 * f, f)]
    np.testing.assert_allclose(align._averaged(image, f), wanted, rtol=1e-5)
