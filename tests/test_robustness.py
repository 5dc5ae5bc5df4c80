"""Robustness: what is hidden, and the statistics of what that costs."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet, ferplus, synthetic
from train.evaluate import Subject, robustness, score, table


def grey_levels(crops: np.ndarray) -> np.ndarray:
    """A classifier of the made-up FER+ faces: each class is one grey level."""
    level = crops.mean((1, 2, 3))
    return np.exp(-(((level[:, None] - (40 + 25 * np.arange(8))) / 20) ** 2))


@pytest.fixture
def judged(shipped) -> Subject:
    return Subject("grey levels", shipped[1], grey_levels)


@pytest.fixture
def people() -> FaceSet:
    """The first sixteen synthetic faces that conditions are judged on."""
    return synthetic.faces(16, robustness.CONDITION_SEED, ferplus.SIDE)


@pytest.fixture
def crops(shipped) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (30, *shipped[1].crop_shape[1:]), np.uint8)


def inside(point, box) -> bool:
    left, top, right, bottom = box
    return left <= point[0] <= right and top <= point[1] <= bottom


def test_regions_lie_on_their_landmarks(shipped):
    found = robustness.regions(shipped[1])
    right_eye, left_eye, nose, right_mouth, left_mouth = shipped[1].alignment.landmarks
    for point in (right_eye, left_eye):
        assert inside(point, found["eyes"])
        assert not inside(point, found["mouth"])
    for point in (right_mouth, left_mouth):
        assert inside(point, found["mouth"])
        assert not inside(point, found["eyes"])
    assert not inside(nose, found["eyes"])
    assert not inside(nose, found["mouth"])
    assert found["left half"] == (0, 0, 0.5, 1)
    assert inside(right_eye, found["left half"])
    assert inside(left_eye, found["right half"])


def test_a_random_square_hides_a_quarter_somewhere_else_in_each_face(shipped):
    boxes, side = robustness.boxes("random square", shipped[1], 200), shipped[1].input_size
    assert boxes.min() >= 0
    assert boxes.max() <= side
    assert np.array_equal(boxes[:, 2:] - boxes[:, :2], np.full((200, 2), side // 2))
    assert len(np.unique(boxes[:, :2], axis=0)) > 150
    assert np.array_equal(boxes, robustness.boxes("random square", shipped[1], 200))
    assert not np.array_equal(boxes, robustness.boxes("random square", shipped[1], 200, seed=1))


@pytest.mark.parametrize("fill", robustness.FILLS)
@pytest.mark.parametrize("region", ["eyes", "mouth", "left half", "right half", "random square"])
def test_only_the_rectangle_changes(shipped, crops, region, fill):
    before = crops.copy()
    boxes = robustness.boxes(region, shipped[1], len(crops))
    covered = robustness.hidden(crops, boxes, fill)
    assert np.array_equal(crops, before)
    mask = np.zeros(crops.shape, bool)
    for face, (left, top, right, bottom) in zip(mask, boxes, strict=True):
        face[top:bottom, left:right] = True
    assert np.array_equal(covered[~mask], crops[~mask])
    hidden = covered[mask]
    assert (hidden == 128).all() if fill == "grey" else 60 < hidden.std() < 90


def test_unknown_fill(crops):
    with pytest.raises(ValueError, match="none of grey, noise"):
        robustness.hidden(crops, np.zeros((len(crops), 4), int), "red")


def test_occlusion_is_paired_with_the_clean_answers(judged, small_ferplus):
    faces = ferplus.load("valid", small_ferplus).evaluated
    crops = np.repeat(np.repeat(faces.images, 2, 1), 2, 2)[:, :64, :64, None]
    clean = grey_levels(crops).argmax(1)
    rows = robustness.occlusion(judged, crops, faces.labels, clean)
    assert [row["name"] for row in rows[::2]] == ["eyes", "mouth", "left half", "right half", "random square"]
    for row in rows:
        assert row["accuracy_reference"] == (clean == faces.labels).mean()
        assert row["drop_points"] == pytest.approx(100 * (row["accuracy_reference"] - row["accuracy"]))
        assert row["drop_ci95"][0] <= row["drop_points"] <= row["drop_ci95"][1] + 1e-9
    by_name = {(row["name"], row["fill"]): row for row in rows}
    assert by_name["left half", "grey"]["hidden"] == pytest.approx(0.5)
    assert by_name["random square", "noise"]["hidden"] == pytest.approx(0.25)
    assert by_name["left half", "grey"]["accuracy"] < by_name["eyes", "grey"]["accuracy_reference"]
    json.dumps(rows, allow_nan=False)


def test_conditions_ask_for_exact_faces(judged, people, monkeypatch):
    asked = []

    def drawn(n, seed=0, size=64, shares=None, yaw=None, pitch=None, occlusion=None):
        asked.append((yaw, pitch, occlusion))
        assert (n, seed, size) == (16, robustness.CONDITION_SEED, ferplus.SIDE)
        return SimpleNamespace(faces=people)

    monkeypatch.setattr(synthetic, "drawn", drawn, raising=False)
    rows = robustness.conditions(judged, 16)
    front = (0, 15)
    assert asked == [
        (front, front, "none"),
        ((30, 60), front, "none"),
        ((45, 60), front, "none"),
        (front, front, "glasses"),
        (front, front, "hand"),
        (front, front, "mask"),
    ]
    assert [row["name"] for row in rows] == list(robustness.CONDITIONS)
    assert "drop_points" not in rows[0]
    for row in rows[1:]:
        assert row["n"] == 16
        assert row["drop_points"] == 0  # the stand-in gives every condition the same faces
        assert row["drop_ci95"][0] < 0 < row["drop_ci95"][1]
    out = io.StringIO()
    table.show({**_result(), "robustness": {"conditions": rows}}, table.console(out))
    assert "turned above 45°" in out.getvalue()


def _result() -> dict:
    return {**score(np.eye(8), np.arange(8), FERPLUS_LABELS), "protocol": "by hand"}


def test_seven_classes_see_no_contempt(judged, people, monkeypatch):
    monkeypatch.setattr(synthetic, "drawn", lambda *_, **__: SimpleNamespace(faces=people), raising=False)
    spec = replace(judged.spec, labels=FERPLUS_LABELS[:7])
    seven = Subject("grey levels", spec, lambda crops: grey_levels(crops)[:, :7])
    assert {row["n"] for row in robustness.conditions(seven, 16)} == {14}


def test_conditions_are_paired_person_by_person(judged, people, monkeypatch):
    def drawn(*_, yaw, **__):
        people.images[:] = (40 + 25 * people.labels)[:, None, None]
        people.images[: 4 * (yaw == (45, 60))] = 0  # the classifier calls black neutral, whatever was shown
        return SimpleNamespace(faces=people)

    monkeypatch.setattr(synthetic, "drawn", drawn, raising=False)
    rows = {row["name"]: row for row in robustness.conditions(judged, 16)}
    lost = int((people.labels[:4] != 0).sum())
    turned = rows["turned above 45°"]
    assert (turned["accuracy_reference"], turned["accuracy"]) == (1.0, 1 - lost / 16)
    assert turned["drop_points"] == pytest.approx(100 * lost / 16)
    assert turned["flip_rate"] == lost / 16
    assert rows["mask"]["drop_points"] == 0
