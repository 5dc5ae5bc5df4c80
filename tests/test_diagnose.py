"""Diagnosis: the layer that was spoiled is the layer that is named, and the class that loses comes first."""

import numpy as np
import pytest

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
    """The model stands for its own int8, with noise in one layer's weights: that one must be found, none before it."""
    import openvino

    network, spec = shipped
    true = openvino_model(graph.DeployedGraph(network, spec).eval(), spec.crop_shape)
    spoiled = true.clone()
    layers = [op for op in spoiled.get_ordered_ops() if op.get_type_name() in diagnose.MULTIPLYING]
    layer = next(op for op in layers if "stage3.branches.4.6" in diagnose.called(op))
    weight = layer.input_value(1).get_node().get_data().copy()
    weight += 0.5 * weight.std() * np.random.default_rng(0).standard_normal(weight.shape).astype(np.float32)
    layer.input(1).replace_source_output(openvino.opset13.constant(weight).output(0))
    rows = diagnose.layers(true, spoiled, crops)
    worst = max(rows, key=lambda row: row.lost_db)
    assert "stage3.branches.4.6" in worst.name
    assert all(row.snr_db > 100 for row in rows[: rows.index(worst)] if "stage2" in row.name)
    assert worst.snr_db < 40 < rows[0].snr_db


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
