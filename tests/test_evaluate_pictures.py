"""Pictures of an evaluation: that activation maps lie where the evidence lies, and that files hold something."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from edgefer.errors import InputRejected, UsageError
from train import models
from train.data import crops_of, ferplus
from train.evaluate import cam, pictures, score, subject

SPEC = SimpleNamespace(channels=1, input_size=32, mean=128.0, scale=128.0)


class Spotter(nn.Module):
    """Class 0 is light, class 1 is darkness: the logits are the means of x and −x, seen by a layer of two maps."""

    def __init__(self, mirror: bool = False):
        super().__init__()
        self.maps, self.mirror = nn.Conv2d(1, 2, 1, bias=False), mirror
        self.maps.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)

    def forward(self, x):
        logits = self.maps(x).mean((2, 3))
        return logits + self.maps(x.flip(3)).mean((2, 3)) if self.mirror else logits


def spot() -> np.ndarray:
    """Grey 128 with light at rows 4–9, columns 20–27 and darkness at rows 22–27, columns 2–7."""
    crop = np.full((1, 32, 32, 1), 128, np.uint8)
    crop[0, 4:10, 20:28], crop[0, 22:28, 2:8] = 250, 5
    return crop


@pytest.mark.parametrize("mirror", [False, True])
def test_activation_lies_on_the_evidence(mirror):
    network = Spotter(mirror)
    for k, (rows, columns) in enumerate([(slice(4, 10), slice(20, 28)), (slice(22, 28), slice(2, 8))]):
        heat = cam.class_activation(network, network.maps, SPEC, spot(), np.array([k]))[0]
        assert heat.shape == (32, 32)
        assert heat[rows, columns].min() == pytest.approx(1)
        heat[rows, columns] = 0
        assert not heat.any()


def test_no_evidence_gives_an_empty_map():
    light = np.full((1, 32, 32, 1), 250, np.uint8)
    network = Spotter()
    assert not cam.class_activation(network, network.maps, SPEC, light, np.array([1])).any()


def test_orientations_are_summed():
    class Oriented(Spotter):
        def __init__(self):
            super().__init__()
            self.orient = nn.Unflatten(1, (2, 1))

        def forward(self, x):
            return self.orient(self.maps(x)).amax(2).mean((2, 3))

    network = Oriented()
    heat = cam.class_activation(network, network.orient, SPEC, spot(), np.array([0]))[0]
    assert heat[4:10, 20:28].min() == pytest.approx(1)


@pytest.mark.parametrize(
    ("system", "size", "layer", "side"),
    [
        ("efficientface", 64, "stage3", 4),
        ("efficientface", 224, "conv5", 7),
        ("resnet18", 224, "network.layer4", 7),
        ("resnet18", 64, "network.layer3", 4),
        ("mobilenetv2", 64, "network.features.13", 4),
    ],
)
def test_the_last_map_that_says_where(system, size, layer, side):
    network = models.build(system, 8, 1).eval()
    found = cam.cam_layer(network, SimpleNamespace(channels=1, input_size=size))
    assert cam.name_of(network, found) == layer
    assert cam.grad_cam(network, found, torch.rand(1, 1, size, size), torch.tensor([3])).shape == (1, side, side)


@pytest.mark.parametrize("system", models.SYSTEMS)
def test_every_network_has_a_map_to_look_at(system):
    network = models.build(system, 8, 1).eval()
    found = cam.cam_layer(network, SimpleNamespace(channels=1, input_size=64))
    maps = cam.grad_cam(network, found, torch.rand(2, 1, 64, 64), torch.tensor([0, 1]))
    assert len(maps) == 2
    assert min(maps.shape[1:]) >= 2


def test_a_network_may_name_its_layer_or_have_none():
    network = Spotter()
    network.cam_layer = lambda: network.maps
    assert cam.cam_layer(network, SPEC) is network.maps
    flat = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 3))
    with pytest.raises(InputRejected, match="no feature map"):
        cam.cam_layer(flat, SPEC)


def test_faces_are_drawn_right_and_wrong():
    labels = np.array([0] * 10 + [2] * 3)
    predicted = np.array([0] * 8 + [1] * 2 + [2] * 3)
    drawn = cam.chosen(labels, predicted, each=3)
    assert list(drawn) == [0, 2]
    right, wrong = drawn[0]
    assert len(right) == 3
    assert set(wrong) == {8, 9}
    assert set(right) <= set(range(8))
    assert len(drawn[2][1]) == 0


@pytest.fixture
def evaluated(checkpoint_folder, small_ferplus):
    """What the pictures are made from: (subject, result, crops, labels, probabilities)."""
    judged = subject.of_checkpoint(checkpoint_folder)
    spec = judged.spec
    faces = ferplus.load("valid", small_ferplus).evaluated
    crops = crops_of(faces, spec.input_size, spec.channels)
    probabilities = judged.probabilities(crops)
    result = {**score(probabilities, faces.labels, spec.labels), "protocol": "made-up faces"}
    return judged, result, crops, faces.labels, probabilities


def test_pictures_are_files_with_something_in_them(evaluated, tmp_path):
    written = pictures.write(tmp_path / "new" / "folder", *evaluated)
    assert [path.name for path in written] == ["confusion.png", "reliability.png", "activation.png"]
    assert sorted(path.name for path in written[0].parent.iterdir()) == sorted(path.name for path in written)
    for path in written:
        image = cv2.imread(str(path))
        assert min(image.shape[:2]) > 500
        assert image.std() > 10


def test_the_confusion_picture_writes_every_count(evaluated):
    figure = pictures.confusion(evaluated[1], "title")
    told = [text.get_text() for text in figure.axes[0].texts]
    counts = [n for row in evaluated[1]["confusion"]["counts"] for n in row if n]
    assert told[1::2] == [str(n) for n in counts]
    assert told[0::2] == [f"{100 * n / 3:.1f}" for n in counts]


def test_an_unwritable_place_is_said(evaluated, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        pictures.write(tmp_path / "file", *evaluated)
