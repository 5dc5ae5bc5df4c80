"""Synthetic faces: reproducible, balanced, framed like FER+, and faces in the eyes of a detector."""

import subprocess
import sys
from dataclasses import astuple, fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer import detectors
from edgefer.align import align_crop
from edgefer.errors import UsageError
from edgefer.faces import Face as FoundFace
from edgefer.spec import FERPLUS_LABELS, Alignment, ModelSpec
from train.data import FaceSet, synthetic
from train.data.synthetic import geometry, picture
from train.data.synthetic.actions import BLENDS, FACS, PROTOTYPES, Actions, actions_of, blended, partners
from train.data.synthetic.covers import mask_outline
from train.data.synthetic.drawing import draw_head
from train.data.synthetic.face import OCCLUSIONS, Face
from train.data.synthetic.sampling import BLENDED, Conditions, conditioned, sample


@pytest.fixture(scope="module")
def crops() -> FaceSet:
    return synthetic.faces(48, seed=3)


@pytest.fixture(scope="module")
def drawn() -> synthetic.Drawn:
    return synthetic.drawn(48, seed=3, size=48)


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
    for senseless in ((0.5,) * 8, (0.5, 0.5), (2, -1, 0, 0, 0, 0, 0, 0)):
        with pytest.raises(UsageError, match="sum to 1"):
            synthetic.faces(1, shares=senseless)


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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n": -1}, "faces needs"),
        ({"n": 1, "size": 16}, "faces needs"),
        ({"n": 1, "workers": 0}, "faces needs"),
        ({"n": 1, "yaw": (30, 75)}, "yaw=.* within 0 … 60"),
        ({"n": 1, "pitch": (20, 10)}, "pitch=.* the smaller first"),
        ({"n": 1, "occlusion": "scarf"}, "unknown occlusion 'scarf'.*mask"),
    ],
)
def test_senseless_requests_are_refused(arguments, sentence):
    with pytest.raises(UsageError, match=sentence):
        synthetic.drawn(**arguments)


def test_no_faces():
    assert len(synthetic.faces(0)) == 0 and synthetic.frames(0)[0].shape == (0, 480, 640, 3)


def test_every_label_has_prototypes():
    assert tuple(PROTOTYPES) == FERPLUS_LABELS
    assert all(set(units) <= set(FACS) for prototypes in PROTOTYPES.values() for units in prototypes)
    assert len(FACS) == len(fields(Actions)) and actions_of({26: 0.5}) == Actions(jaw_drop=0.5)


def test_a_prototype_is_shown_with_its_own_action_units(drawn):
    """What a face shows differs from some prototype of its label by strength (0.75 … 1.15) and a fifth of each unit only."""
    pure = drawn.faces.distributions.max(1) > 0.85  # the larger part of a blend has 0.8 at most
    assert 20 < pure.sum() < 48
    for shown, label in zip(drawn.actions[pure], drawn.faces.labels[pure], strict=True):
        prototypes = [np.array(astuple(actions_of(units))) for units in PROTOTYPES[FERPLUS_LABELS[label]]]
        assert any(_within(shown, full) for full in prototypes), FERPLUS_LABELS[label]


def _within(shown: np.ndarray, full: np.ndarray) -> bool:
    low, high = np.minimum(0.75 * 0.8 * full, 1.5), np.minimum(1.15 * 1.2 * full + 0.06, 1.5)
    return bool((shown >= low - 1e-6).all() and (shown <= high + 1e-6).all())


def test_blends_join_labels_that_exist():
    assert all(first != second and {first, second} <= set(FERPLUS_LABELS[1:]) for first, second in BLENDS)
    assert len({frozenset(pair) for pair in BLENDS}) == len(BLENDS)
    assert partners("neutral") == () and all(partners(label) for label in FERPLUS_LABELS[1:])
    assert all(first in partners(second) and second in partners(first) for first, second in BLENDS)


def test_a_blends_distribution_names_both_parts_by_their_shares():
    surprise, fear = FERPLUS_LABELS.index("surprise"), FERPLUS_LABELS.index("fear")
    for i in range(20):
        face = sample(surprise, np.random.default_rng([1, i]), other=fear)
        distribution = face.distribution
        assert distribution.sum() == pytest.approx(1, abs=1e-6) and set(np.flatnonzero(distribution)) <= {
            0,
            surprise,
            fear,
        }
        assert 0.5 < face.share <= 0.8 and distribution.argmax() == surprise == face.label
        both = distribution[[surprise, fear]]
        assert both / both.sum() == pytest.approx([face.share, 1 - face.share], abs=1e-6)
        assert distribution[0] == pytest.approx(0.5 - 0.5 * min(face.strength, 1), abs=1e-6)


def test_a_blend_shows_the_action_units_of_both_parts():
    both = blended(actions_of({12: 1.0, 6: 0.5}), actions_of({1: 1.0, 6: 0.5}), 0.6)
    assert both.corner_pull > both.inner_brow_raise > 0.5, "the larger share shows more, the smaller one still shows"
    assert both.cheek_raise < 0.5 and both.jaw_drop == 0


def test_a_known_share_of_faces_blends():
    faces = [sample(3, np.random.default_rng([2, i])) for i in range(400)]
    blends = [face for face in faces if face.other != face.label]
    assert len(blends) / len(faces) == pytest.approx(BLENDED, abs=0.07)
    assert {FERPLUS_LABELS[face.other] for face in blends} == set(partners("sadness"))
    assert all(sample(0, np.random.default_rng([2, i])).share == 1 for i in range(50)), "neutral does not blend"


def test_drawn_faces_are_the_same_faces(drawn):
    again = synthetic.faces(48, seed=3, size=48)
    assert np.array_equal(drawn.faces.images, again.images)
    assert np.array_equal(drawn.faces.distributions, again.distributions)
    assert drawn.actions.shape == (48, len(FACS)) and drawn.pose.shape == (48, 3) and len(drawn.occlusion) == 48
    assert drawn.actions.dtype == drawn.pose.dtype == np.float32 and set(drawn.occlusion) <= set(OCCLUSIONS)


def test_no_faces_drawn():
    nothing = synthetic.drawn(0)
    assert nothing.actions.shape == (0, 18) and nothing.pose.shape == (0, 3) and nothing.occlusion == ()


def test_pose_asked_for_is_the_pose_returned():
    turned = synthetic.drawn(32, seed=4, size=32, yaw=(30, 60), pitch=(10, 20))
    assert (np.abs(turned.pose[:, 0]) >= 30).all() and (np.abs(turned.pose[:, 0]) <= 60).all()
    assert (np.abs(turned.pose[:, 1]) >= 10).all() and (np.abs(turned.pose[:, 1]) <= 20).all()
    assert all(0 < np.mean(turned.pose[:, axis] > 0) < 1 for axis in (0, 1)), "both ways"
    exact = synthetic.drawn(8, seed=4, size=32, yaw=(45, 45))
    assert np.allclose(np.abs(exact.pose[:, 0]), 45)


def test_a_turned_face_moves_in_the_picture():
    """At 45° the nose lies beside the middle of the eyes by more than half an eye's distance, on the side it turns to."""
    frontal = sample(0, np.random.default_rng(0))
    for sign in (-1, 1):
        turned = replace(frontal, pose=replace(frontal.pose, yaw=sign * np.pi / 4, pitch=0.0))
        eyes, nose = geometry.landmarks(turned)[:2], geometry.landmarks(turned)[2]
        assert sign * (nose[0] - eyes[:, 0].mean()) > 0.5 and 1.2 < np.ptp(eyes[:, 0]) < 1.6


def test_what_turns_beyond_the_horizon_stays_on_it():
    pose = replace(sample(0, np.random.default_rng(0)).pose, yaw=np.pi / 3, pitch=0.0)
    across = geometry.turned([(x, 0.0) for x in np.linspace(-2.6, 2.6, 40)], pose)[:, 0]
    assert (np.diff(across) >= -1e-9).all(), "the far side does not fold back over the near side"


@pytest.mark.parametrize("kind", OCCLUSIONS)
def test_occlusion_asked_for_is_drawn(kind):
    covered, bare = (synthetic.drawn(6, seed=4, size=48, occlusion=name) for name in (kind, "none"))
    assert covered.occlusion == (kind,) * 6
    assert np.array_equal(covered.actions, bare.actions) and np.array_equal(covered.pose, bare.pose), "the same people"
    differs = [not np.array_equal(a, b) for a, b in zip(covered.faces.images, bare.faces.images, strict=True)]
    assert all(differs) if kind != "none" else not any(differs)


def test_any_occlusion_is_each_of_them():
    assert set(synthetic.drawn(40, seed=4, size=32, occlusion="any").occlusion) == set(OCCLUSIONS[1:])


def test_a_mask_hides_the_mouth_and_nothing_else():
    """Under the mask a smile and a scream look alike; away from it (and its straps) hardly a grey level moves."""
    for i in range(4):
        face = _bare(sample(1, np.random.default_rng([6, i])))
        masked = replace(face, scene=replace(face.scene, occlusion="mask"))
        bare, covered = (_gray(draw_head(f, np.random.default_rng(1), 16)) for f in (face, masked))
        mouth, around = _inside_outline(geometry.mouth_shape(face), masked, bare.shape)
        changed = np.abs(bare - covered)
        assert changed[mouth].mean() > 8, "the mouth is covered"
        assert np.percentile(changed[~around], 99) < 4, "the rest is not"
        silent = replace(masked, actions=replace(masked.actions, corner_pull=0.0, lips_part=0.0, upper_lip_raise=0.0))
        assert np.abs(_gray(draw_head(silent, np.random.default_rng(1), 16)) - covered)[mouth].mean() < 12


def _bare(face: Face) -> Face:
    """Frontal, uncovered, short-haired: nothing else lies over the mask."""
    face = conditioned(face, Conditions((0, 0), (0, 0), "none"), np.random.default_rng(0))
    return replace(face, person=replace(face.person, style="short", beard=0.0))


def _gray(canvas) -> np.ndarray:
    return canvas.pixels[..., :3].astype(np.float32).mean(2)


def _inside_outline(mouth: geometry.Mouth, masked: Face, shape) -> tuple[np.ndarray, np.ndarray]:
    """bool (H, W): where the mouth is, and where the mask, its straps and a margin of half a face unit may be."""
    canvas = draw_head(masked, np.random.default_rng(1), 16)
    lips = geometry.turned(np.concatenate([mouth.top, mouth.bottom[::-1]]), masked.pose, 0.15)
    parts = [np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)]
    for part, points in zip(parts, (lips, mask_outline(masked)), strict=True):
        cv2.fillPoly(part, [canvas.fixed(points)], 1, cv2.LINE_8, 4)
    x, y = canvas.axes()
    straps = (np.abs(x)[None] > 1.6) & (y[:, None] > 0) & (y[:, None] < 1.3)
    return parts[0] > 0, (cv2.dilate(parts[1], np.ones((17, 17), np.uint8)) > 0) | straps


def test_workers_draw_the_same_faces(monkeypatch):
    monkeypatch.setattr(synthetic, "CHUNK", 5)
    alone, together = (synthetic.drawn(12, seed=8, size=32, occlusion="any", workers=workers) for workers in (1, 2))
    assert np.array_equal(alone.faces.images, together.faces.images) and alone.occlusion == together.occlusion
    assert np.array_equal(alone.actions, together.actions) and np.array_equal(alone.pose, together.pose)


def test_a_sheet_is_written(tmp_path):
    place = tmp_path / "docs" / "sheet.png"
    result = _sheet(place)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in place.parent.iterdir()] == ["sheet.png"], "nothing is left beside it"
    sheet = cv2.imread(str(place), cv2.IMREAD_UNCHANGED)
    assert sheet.ndim == 2 and 1100 < sheet.shape[1] < 1300 and place.stat().st_size < 600_000
    assert _sheet(tmp_path / "sheet.jpg").returncode == 2


def _sheet(place: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "train.data.synthetic", "--sheet", str(place)]
    return subprocess.run(command, capture_output=True, text=True)


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
