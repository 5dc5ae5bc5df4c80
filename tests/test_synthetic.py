"""Synthetic faces: reproducible, balanced, framed like FER+, and faces in the eyes of a detector."""

from dataclasses import fields, replace

import numpy as np
import pytest

from edgefer import detectors
from edgefer.align import align_crop
from edgefer.faces import Face as FoundFace
from edgefer.spec import FERPLUS_LABELS, Alignment, ModelSpec
from train.data import FaceSet, synthetic
from train.data.synthetic import geometry, picture
from train.data.synthetic.face import FACS, PROTOTYPES, Actions, actions_of, sample


@pytest.fixture(scope="module")
def crops() -> FaceSet:
    return synthetic.faces(48, seed=3)


@pytest.fixture(scope="module")
def framed() -> tuple[np.ndarray, np.ndarray]:
    return synthetic.frames(20, seed=3)


def test_faces_are_a_face_set(crops):
    assert isinstance(crops, FaceSet)
    assert crops.images.shape == (48, 64, 64) and crops.images.dtype == np.uint8
    assert crops.labels.dtype == np.int64 and crops.distributions.dtype == np.float32
    assert crops.names[17] == "synthetic-000017" and crops.source == "synthetic faces, seed 3"
    assert len(set(crops.names)) == 48


def test_same_seed_same_bytes(crops):
    again = synthetic.faces(48, seed=3)
    assert np.array_equal(again.images, crops.images)
    assert np.array_equal(again.distributions, crops.distributions)


def test_another_seed_gives_other_faces(crops):
    assert not np.array_equal(synthetic.faces(8, seed=4).images, crops.images[:8])


def test_a_face_does_not_depend_on_how_many_are_asked_for(crops, framed):
    few = synthetic.faces(11, seed=3)
    assert np.array_equal(few.images, crops.images[:11]) and np.array_equal(few.labels, crops.labels[:11])
    frames, landmarks = synthetic.frames(2, seed=3)
    assert np.array_equal(frames, framed[0][:2]) and np.array_equal(landmarks, framed[1][:2])


def test_labels_are_balanced_and_distributions_agree(crops):
    assert np.bincount(crops.labels, minlength=8).tolist() == [6] * 8
    assert np.allclose(crops.distributions.sum(1), 1, atol=1e-6) and crops.distributions.min() >= 0
    assert np.array_equal(crops.distributions.argmax(1), crops.labels)


def test_labels_in_given_shares():
    shown = synthetic.faces(40, seed=3, shares=(0.5, 0.5, 0, 0, 0, 0, 0, 0)).labels
    assert set(shown) == {0, 1}
    assert np.array_equal(synthetic.faces(9, seed=3, shares=(0.5, 0.5, 0, 0, 0, 0, 0, 0)).labels, shown[:9])
    assert sum(synthetic.FERPLUS_SHARES) == pytest.approx(1)
    with pytest.raises(ValueError, match="sum to 1"):
        synthetic.faces(1, shares=(0.5,) * 8)


def test_order_of_labels_is_shuffled(crops):
    assert len({tuple(crops.labels[i : i + 8]) for i in range(0, 48, 8)}) > 1


def test_grey_levels_vary_like_photographs(crops):
    """Bounds are FER+'s own 1st and 99th percentiles, widened by a fifth, for nine faces in ten."""
    means, deviations = crops.images.mean((1, 2)), crops.images.std((1, 2))
    assert np.mean((means > 41) & (means < 240)) >= 0.9
    assert np.mean((deviations > 19) & (deviations < 101)) >= 0.9
    assert means.std() > 20


@pytest.mark.parametrize("size", [32, 48, 96])
def test_other_sizes(size):
    assert synthetic.faces(2, size=size).images.shape == (2, size, size)


@pytest.mark.parametrize("arguments", [{"n": -1}, {"n": 1, "size": 16}])
def test_senseless_requests_are_refused(arguments):
    with pytest.raises(ValueError, match="faces needs"):
        synthetic.faces(**arguments)


def test_no_faces():
    assert len(synthetic.faces(0)) == 0 and synthetic.frames(0)[0].shape == (0, 480, 640, 3)


def test_every_label_has_prototypes():
    assert tuple(PROTOTYPES) == FERPLUS_LABELS
    assert all(set(units) <= set(FACS) for prototypes in PROTOTYPES.values() for units in prototypes)
    assert len(FACS) == len(fields(Actions)) and actions_of({26: 0.5}) == Actions(jaw_drop=0.5)


def test_landmarks_lie_in_the_frame_in_their_order(framed):
    frames, landmarks = framed
    assert frames.shape == (20, 480, 640, 3) and frames.dtype == np.uint8 and landmarks.dtype == np.float32
    assert landmarks.min() >= 0 and (landmarks < [640, 480]).all()
    right_eye, left_eye, nose, right_mouth, left_mouth = landmarks.transpose(1, 0, 2)
    assert (right_eye[:, 0] < left_eye[:, 0]).all() and (right_mouth[:, 0] < left_mouth[:, 0]).all()
    down = (right_mouth + left_mouth) / 2 - (right_eye + left_eye) / 2
    assert (((nose - (right_eye + left_eye) / 2) * down).sum(1) > 0).all()


def test_crop_and_frame_of_a_face_show_the_same_face():
    """Aligned by its landmarks, the face in a frame fills the crop as in ``faces``, apart from pose, shift and ZOOM."""
    correlations = []
    for label in range(8):
        rng = np.random.default_rng([11, label])
        face = sample(label, rng)
        direct = picture.crop(face, np.random.default_rng(1), 64)
        frame, landmarks = picture.frame(face, np.random.default_rng(1), 640, 480)
        matrix = picture.crop_matrix(face, 64)
        there = geometry.moved(geometry.landmarks(face), matrix) / 64
        alignment = Alignment(tuple(map(tuple, there.tolist())), {})
        spec = ModelSpec("any", FERPLUS_LABELS, 64, 1, alignment)
        aligned = align_crop(frame, FoundFace((0, 0, 1, 1), 1.0, "exact", landmarks), spec)[..., 0]
        middle = slice(16, 56)  # the backdrop is not the same
        correlations.append(np.corrcoef(direct[middle, middle].ravel(), aligned[middle, middle].ravel())[0, 1])
    assert np.median(correlations) > 0.9, correlations


def test_crops_lie_on_the_framing():
    """Over many faces, landmarks fall on the template with the documented correction, within a fiftieth of the side."""
    there = []
    for i in range(200):
        face = sample(i % 8, np.random.default_rng([5, i]))
        there.append(geometry.moved(geometry.landmarks(face), picture.crop_matrix(face, 1)))
    template = np.array(picture.read_framing())
    expected = template.mean(0) + picture.ZOOM * (template - template.mean(0)) + [0, picture.DROP]
    assert np.abs(np.mean(there, 0) - expected)[:, 1].max() < 0.03
    assert np.abs(np.mean(there, 0).mean(0) - expected.mean(0)).max() < 0.02


def test_a_detector_finds_the_faces(framed):
    detector = detectors.load("haar")
    found = 0
    for frame, landmarks in zip(*framed, strict=True):
        found += any(_inside(landmarks, face.box) for face in detector.detect(frame))
    assert found >= 16, f"Haar found {found} of 20 faces"


def test_expressions_move_what_they_should():
    """Against the same person at rest: a smile lifts the corners, surprise opens the mouth, anger lowers the brows."""
    rest = sample(0, np.random.default_rng(0))
    at_rest = replace(rest, actions=Actions())
    smile = replace(rest, actions=Actions(corner_pull=1.0))
    drop = replace(rest, actions=Actions(jaw_drop=1.0))
    frown = replace(rest, actions=Actions(brow_lower=1.0))
    assert geometry.mouth_corner(smile, 1)[1] < geometry.mouth_corner(at_rest, 1)[1]
    assert np.ptp(geometry.mouth_shape(drop).lower - geometry.mouth_shape(drop).upper) > 0.5
    assert geometry.brow_outline(frown, 1)[0, 1] > geometry.brow_outline(at_rest, 1)[0, 1]


def _inside(landmarks: np.ndarray, box) -> bool:
    x, y, width, height = box
    return bool((landmarks > [x, y]).all() and (landmarks < [x + width, y + height]).all())
