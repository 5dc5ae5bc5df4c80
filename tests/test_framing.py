"""The framing measured on FER+, and the program that measures it."""

import os
from pathlib import Path

import numpy as np
import pytest

from edgefer.errors import EnvironmentInvalid, InputRejected
from edgefer.files import read_json
from train.data import ferplus, framing

YUNET = os.environ.get("EDGEFER_YUNET", "")


def test_the_shipped_framing_is_a_face():
    shipped = read_json(framing.FILE)
    right_eye, left_eye, nose, right_mouth, left_mouth = np.array(shipped["landmarks"])
    assert 0 < right_eye[0] < nose[0] < left_eye[0] < 1 and 0 < right_mouth[0] < left_mouth[0] < 1
    assert right_eye[1] < nose[1] < right_mouth[1] < 1
    assert set(shipped["boxes"]) == {"haar", "yunet"}
    assert all(0.5 < width < 1.2 and 0.5 < height < 1.2 for _, _, width, height in shipped["boxes"].values())


def test_the_shipped_framing_says_how_it_was_measured():
    how = read_json(framing.FILE)["how"]
    assert how["crops"] >= 1000
    assert 0.9 < how["yunet"]["found"] / how["crops"] <= 1 and 0.6 < how["haar"]["found"] / how["crops"] <= 1
    assert len(how["yunet"]["sha256"]) == 64


def test_the_shipped_framing_is_symmetric():
    shipped = read_json(framing.FILE)
    points = np.array(shipped["landmarks"])
    assert np.allclose(framing.symmetric_points(points), points, atol=2e-4)
    for box in shipped["boxes"].values():
        assert np.allclose(framing.symmetric_box(np.array(box)), box, atol=2e-4)


def test_symmetry_keeps_a_mirrored_face():
    points = np.array([[0.2, 0.3], [0.7, 0.4], [0.5, 0.6], [0.3, 0.8], [0.6, 0.8]])
    mirrored = points[list(framing.MIRRORED)] * [-1, 1] + [1, 0]
    assert np.allclose(framing.symmetric_points(points), framing.symmetric_points(mirrored))
    assert framing.symmetric_points(points)[2, 0] == pytest.approx(0.5)


def test_no_detector_file_is_a_sentence():
    with pytest.raises(EnvironmentInvalid, match="EDGEFER_YUNET"):
        framing.measure(np.zeros((1, 48, 48), np.uint8), None)


@pytest.mark.skipif(not Path(YUNET).is_file(), reason="EDGEFER_YUNET does not name YuNet's file")
def test_crops_without_faces_are_refused():
    with pytest.raises(InputRejected, match="too few"):
        framing.measure(np.full((4, 48, 48), 128, np.uint8), Path(YUNET))


@pytest.mark.skipif(not Path(YUNET).is_file(), reason="EDGEFER_YUNET does not name YuNet's file")
@pytest.mark.skipif(ferplus.find() is None, reason="EDGEFER_DATA holds no FER+")
def test_a_few_faces_give_about_the_shipped_framing():
    measured = framing.measure(framing._crops(None, 40), Path(YUNET))
    shipped = read_json(framing.FILE)
    assert np.abs(np.array(measured["landmarks"]) - shipped["landmarks"]).max() < 0.05
    for name, box in measured["boxes"].items():
        assert np.abs(np.array(box) - shipped["boxes"][name]).max() < 0.12
