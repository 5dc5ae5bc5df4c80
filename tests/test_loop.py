"""The frame loop: one line a frame in the promised form; tracks and smoothing in videos, neither between independent images."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer import bundle
from edgefer.classifier import Classifier
from edgefer.errors import InputRejected
from edgefer.faces import Face
from edgefer.follow import Follower
from edgefer.loop import FrameLoop
from edgefer.sources import Frame
from edgefer.track import GAP, PATIENCE, Track, Tracker

TINY = Path(__file__).parent / "data" / "tiny"


class Scripted:
    """A detector that finds what the test says, frame by frame, and then nothing."""

    name = "haar"

    def __init__(self, *found: list[tuple]):
        self.found, self.calls = list(found), 0

    def detect(self, frame):
        self.calls += 1
        boxes = self.found.pop(0) if self.found else []
        return [Face(tuple(map(float, box)), 1.0, self.name) for box in boxes]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(bundle.load(TINY), "onnxruntime", "fp32", 1)


def frame(index: int, level: int = 100, **fields) -> Frame:
    image = np.random.default_rng(level).integers(0, 256, (100, 100, 3), np.uint8)
    return Frame(**{"index": index, "source": "s", "time": index / 10, "image": image, **fields})


def test_the_line(classifier):
    line = FrameLoop(Scripted([(10, 20, 50, 60)]), classifier, moving=True).step(frame(3))
    assert list(line) == ["frame", "source", "time_s", "faces", "dropped"]
    assert (line["frame"], line["source"], line["time_s"], line["dropped"]) == (3, "s", 0.3, 0)
    (face,) = line["faces"]
    assert list(face) == ["track", "box", "label", "probabilities"]
    assert face["track"] == 1 and face["box"] == [10, 20, 50, 60]
    assert list(face["probabilities"]) == list(classifier.labels)
    assert face["label"] == max(face["probabilities"], key=face["probabilities"].get)
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert json.loads(json.dumps(line)) == line


def test_images_have_no_tracks_and_no_memory(classifier):
    boxes = [(10, 20, 50, 60)]
    loop = FrameLoop(Scripted(boxes, boxes), classifier, moving=False, detect_every=5)
    lines = [loop.step(frame(i, level)) for i, level in enumerate((1, 2))]
    alone = FrameLoop(Scripted(boxes), classifier, moving=False).step(frame(1, 2))
    assert [line["faces"][0]["track"] for line in lines] == [None, None]
    assert lines[1]["faces"] == alone["faces"] != lines[0]["faces"]


def test_smoothing_in_the_loop(classifier):
    boxes = [(10, 20, 50, 60)]

    def last(smooth: float) -> np.ndarray:
        loop = FrameLoop(Scripted(boxes, boxes), classifier, moving=True, smooth=smooth)
        return np.array([list(loop.step(frame(i, i))["faces"][0]["probabilities"].values()) for i in (0, 1)])

    first, second = last(0)
    blended = first + (1 - math.exp(-0.1 / 0.3)) * (second - first)
    assert np.abs(first - second).max() > 0.01
    assert np.allclose(last(0.3)[1], blended, atol=2e-6)


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_smoothing_depends_on_time_and_not_on_the_frame_rate(steps):
    track = Track(1, (0, 0, 1, 1), 0.0)
    track.smooth(np.array([0.0, 1.0], np.float32), 0.0, 0.5)
    for i in range(1, steps + 1):
        track.smooth(np.array([1.0, 0.0], np.float32), i * 0.5 / steps, 0.5)
    assert track.probabilities[0] == pytest.approx(1 - math.exp(-1), abs=1e-5)
    assert track.probabilities.sum() == pytest.approx(1, abs=1e-5)


def assigned(tracker: Tracker, time: float, *boxes: tuple) -> list[int]:
    return [track.id for track in tracker.assign([Face(box, 1.0, "haar") for box in boxes], time)]


def test_tracks_follow_their_faces():
    tracker = Tracker()
    assert assigned(tracker, 0.0, (0, 0, 10, 10), (50, 0, 10, 10)) == [1, 2]
    assert assigned(tracker, 0.1, (51, 0, 10, 10), (1, 1, 10, 10)) == [2, 1], "the order of the faces does not matter"
    assert assigned(tracker, 0.2, (20, 20, 10, 10)) == [3], "another place, another face"


def test_a_track_outlives_a_gap_but_not_for_long():
    tracker, box = Tracker(), (0, 0, 10, 10)
    assert assigned(tracker, 0.0, box) == [1]
    assert assigned(tracker, 0.1) == []
    assert assigned(tracker, PATIENCE, box) == [1]
    assert assigned(tracker, PATIENCE + 0.2) == []
    assert assigned(tracker, 2 * PATIENCE + 0.1, box) == [2]


def test_tracks_live_on_where_frames_are_rare():
    """A device that does one frame a second must not give everybody a new number each second."""
    tracker, box = Tracker(), (0, 0, 10, 10)
    assert [assigned(tracker, float(second), box) for second in range(4)] == [[1]] * 4
    assert assigned(tracker, 3 + GAP + 0.1, box) == [2], "after a longer gap nobody knows"


def test_one_track_one_face():
    tracker = Tracker()
    assigned(tracker, 0.0, (0, 0, 10, 10))
    assert assigned(tracker, 0.1, (2, 0, 10, 10), (0, 0, 10, 10)) == [2, 1], "the better overlap wins"


def test_detecting_every_third_frame(classifier):
    detector = Scripted([(30, 20, 32, 32)], [(41, 20, 32, 32)])
    loop = FrameLoop(detector, classifier, moving=True, detect_every=3)
    lines = [loop.step(frame(i, image=scene(30 + 4 * i, 20))) for i in range(6)]
    assert detector.calls == 2
    found = [line["faces"][0]["box"][0] for line in lines]
    assert np.allclose(found, [30, 34, 38, 41, 45, 49], atol=1), "in between the face is followed"
    assert {line["faces"][0]["track"] for line in lines} == {1}


def scene(x: int, y: int, side: int = 32) -> np.ndarray:
    """A quiet background with something like a face at (x, y)."""
    image = np.full((100, 140, 3), 120, np.uint8)
    coarse = np.random.default_rng(7).integers(0, 256, (8, 8, 1), np.uint8)
    image[y : y + side, x : x + side] = coarse.repeat(side // 8, 0).repeat(side // 8, 1)
    return image


@pytest.mark.parametrize(
    "change", [scene(90, 60), np.full((100, 140, 3), 120, np.uint8), scene(30, 20)[:90]], ids=["jump", "gone", "size"]
)
def test_a_face_that_is_lost_on_the_way_is_looked_for_at_once(classifier, change):
    detector = Scripted([(30, 20, 32, 32)], [])
    loop = FrameLoop(detector, classifier, moving=True, detect_every=9)
    assert loop.step(frame(0, image=scene(30, 20)))["faces"]
    assert not loop.step(frame(1, image=change))["faces"] and detector.calls == 2


def test_following_moves_the_landmarks_too_and_ends_at_the_edge():
    follower, points = Follower(), np.arange(10, dtype=np.float32).reshape(5, 2)
    follower.remember(scene(100, 20), [Face((100.0, 20.0, 32.0, 32.0), 1.0, "yunet", points)])
    (face,) = follower.move(scene(106, 23))
    assert np.allclose(face.box, (106, 23, 32, 32), atol=1)
    assert np.allclose(face.landmarks - points, np.array(face.box[:2]) - (100, 20), atol=1e-4)
    assert follower.move(scene(106, 23)[:, :40]) is None


@pytest.mark.parametrize(
    "bad, told",
    [
        ({"image": None, "error": "image x cannot be read"}, "cannot be read"),
        ({"image": np.zeros((0, 0, 3), np.uint8)}, "no pixels"),
        ({"image": np.zeros((9, 9), np.uint16)}, "uint8 grey levels, not uint16"),
    ],
)
def test_a_frame_that_cannot_be_used_does_not_end_the_run(classifier, bad, told):
    from edgefer.detectors import WholeFrame

    loop = FrameLoop(WholeFrame(), classifier, moving=False)
    line = loop.step(frame(0, **bad))
    assert told in line["error"] and line["faces"] == []
    assert "error" not in loop.step(frame(1))


def test_gray_frames_are_frames(classifier):
    from edgefer.detectors import WholeFrame

    line = FrameLoop(WholeFrame(), classifier, moving=False).step(frame(0, image=np.full((40, 50), 90, np.uint8)))
    assert line["faces"][0]["box"] == [0, 0, 50, 40]


def test_the_null_engine_shows_the_loop_alone():
    classifier = Classifier(bundle.load(TINY), "null", "fp32", 1)
    line = FrameLoop(Scripted([(10, 20, 50, 60)]), classifier, moving=True).step(frame(0))
    assert set(line["faces"][0]["probabilities"].values()) == {0.25}


def test_a_spec_that_does_not_fit_the_model():
    loaded = bundle.load(TINY)
    with pytest.raises(InputRejected, match=r"model\.json says .*32"):
        Classifier(replace(loaded, spec=replace(loaded.spec, input_size=32)), "onnxruntime", "fp32", 1)
