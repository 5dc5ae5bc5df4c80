"""Accuracy-aware quantisation: layers that hurt stay in float, in OpenVINO and ONNX; the plan travels with the checkpoint."""

import json

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from compress import accuracy_aware, plan
from compress.calibration import Calibration
from compress.convert import openvino_model
from compress.quantize import Plan, remedies
from edgefer import parity
from export import to_onnx, to_openvino

SHAPE = (1, 16, 16, 1)


class Small(nn.Module):
    """uint8 (1, 16, 16, 1) → probabilities (1, 8); untrained, but sensitive.

    One channel before the last layer is 300 times as large as the others, so one int8 scale for all leaves these nothing.
    """

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(1, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.last = nn.Linear(8 * 64, 8)
        with torch.no_grad():
            for tensor, factor in (
                (self.second.weight[:1], 300),
                (self.second.bias[:1], 300),
                (self.last.weight[:, :64], 1 / 300),
            ):
                tensor.mul_(factor)

    def forward(self, crop: torch.Tensor) -> torch.Tensor:
        x = crop.permute(0, 3, 1, 2).float() / 128 - 1
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return torch.softmax(8 * self.last(x.flatten(1)), 1)


@pytest.fixture(scope="module")
def faces() -> Calibration:
    tuning = np.random.default_rng(0).integers(0, 256, (300, *SHAPE[1:]), np.uint8)
    return Calibration(tuning[:50], tuning, None, "noise")


def quantisers(model) -> int:
    if isinstance(model, onnx.ModelProto):
        return sum(node.op_type == "QuantizeLinear" for node in model.graph.node)
    return sum(operation.get_type_name() == "FakeQuantize" for operation in model.get_ops())


def loaded(engine: str, folder):
    if engine == "openvino":
        return openvino_model(Small().eval(), SHAPE)
    to_onnx.write_fp32(Small().eval(), SHAPE, folder)
    return onnx.load(folder / to_onnx.FP32)


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_layers_that_hurt_stay_in_float(engine, faces, tmp_path):
    expected = accuracy_aware.answers(loaded(engine, tmp_path), faces.tuning, "crop")

    def quantised(margin):
        model = accuracy_aware.quantized(loaded(engine, tmp_path), faces, Plan("x", accuracy_margin=margin), "crop")
        return quantisers(model), (accuracy_aware.answers(model, faces.tuning, "crop") != expected).mean()

    (all_of_them, hurt), (fewer, healed) = quantised(None), quantised(0.5)
    assert hurt > parity.MAX_FLIPS, "int8 does not hurt here, so nothing is shown"
    assert healed <= parity.MAX_FLIPS
    assert 0 < fewer < all_of_them


def test_strain_is_what_the_parity_rule_allows():
    labels = np.zeros(1000, np.int64)
    for lost in (0, 2, 5, 8, 20, 40):
        said = np.r_[np.ones(lost, np.int64), np.zeros(1000 - lost, np.int64)]
        for truth in (labels, None):
            result = parity.paired(labels, said, truth, ("a", "b"))
            assert (accuracy_aware.strain(result, 0.5) <= 1) == (not parity.problems(result, 0.5))
    assert accuracy_aware.strain(parity.paired(labels, said, labels), 0) > 1


def test_it_is_the_last_remedy_and_takes_the_targets_margin():
    *others, last = remedies(False, 0.3)
    assert last.accuracy_margin == 0.3
    assert not any(p.accuracy_margin for p in others)
    trial = plan.Trial(last, parity.paired(np.zeros(5), np.zeros(5)), ())
    assert plan.Trial.from_json(json.loads(json.dumps(trial.to_json()))).plan == last


def test_the_exporter_follows_the_plan(faces, tmp_path):
    """``to_openvino`` keeps layers in float by the plan alone, given the calibration."""
    import openvino

    to_openvino.write_fp32(Small().eval(), SHAPE, tmp_path)
    counts = []
    for margin in (None, 0.5):
        to_openvino.write_int8(faces, Plan("x", accuracy_margin=margin), tmp_path)
        counts.append(quantisers(openvino.Core().read_model(tmp_path / to_openvino.INT8[0])))
    assert 0 < counts[1] < counts[0]
