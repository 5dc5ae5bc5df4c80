"""Diagnosis: the layer that was spoiled is the layer that is named, and the class that loses comes first."""

import numpy as np
import pytest
import torch

from compress import diagnose
from compress.convert import openvino_model
from edgefer import parity
from train import graph
from train.data import crops_of, synthetic


@pytest.fixture(scope="module")
def crops(shipped):
    _, spec = shipped
    return crops_of(synthetic.faces(6, 5), spec.input_size, spec.channels)


def test_the_spoiled_layer_adds_most_noise(shipped, crops):
    """The network stands for its own int8, with noise in one layer's weights: that one must be found, none before it."""
    network, spec = shipped
    deployed = graph.DeployedGraph(network, spec, fold=False).eval()
    true = openvino_model(deployed, spec.crop_shape)
    weight = deployed.network.stage3[4].branch2[5].weight
    clean = weight.detach().clone()
    with torch.no_grad():
        weight += 0.2 * weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        spoiled = openvino_model(deployed, spec.crop_shape)
        weight.copy_(clean)
    rows = diagnose.layers(true, spoiled, crops)
    worst = max(rows, key=lambda row: row.lost_db)
    assert "stage3.4" in worst.name
    before = [row.snr_db for row in rows[: rows.index(worst)] if "stage3.4" not in row.name and "stage2" in row.name]
    assert before and min(before) > 100
    assert worst.snr_db < 40


def test_classes_that_lose_come_first():
    labels = np.repeat([0, 1, 2], 100)
    candidate = labels.copy()
    candidate[100:130] = 0
    candidate[200:205] = 0
    rows = diagnose.classes(parity.paired(labels, candidate, labels, ("a", "b", "c")))
    assert [(name, round(lost)) for name, lost, _ in rows] == [("b", 30), ("c", 5), ("a", 0)]


def test_figures_are_json(shipped):
    layer = diagnose.Layer("__module.network.conv1/x", "Convolution", 29, float("inf"), 38.0)
    assert layer.lost_db == 22
    assert diagnose._short(layer.name) == "conv1"
    assert diagnose.to_json([], [], "faces") == {"schema": 1, "data": "faces", "remedies": []}
