"""The networks: counts of the papers, any input size, gradients everywhere."""

import json

import pytest
import torch

from edgefer.errors import UsageError
from train import models
from train.models.__main__ import describe
from train.models.efficientface import EfficientFace, LocalFeatureExtractor


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 1_275_293),
        ({"modulator": "multiply"}, 1_275_293),
        ({"modulator": None}, 1_271_767),
        ({"local": False}, 1_265_085),
        ({"local": False, "modulator": None}, 1_261_559),
        ({"num_classes": 8, "channels": 1}, 1_275_796),
    ],
)
def test_efficientface_has_the_papers_parameters(options, parameters):
    assert count(EfficientFace(**options)) == parameters


def test_table_of_networks(tmp_path):
    row = describe("efficientface")
    assert row["params"] == 1_275_293
    assert row["macs"] == 149_728_880
    assert (row["input_size"], row["channels"], row["paper"]) == (224, 3, "001")
    json.dumps(row)


@pytest.mark.parametrize("system", models.SYSTEMS)
@pytest.mark.parametrize("size", [32, 44, 56, 60, 64, 97, 112])
def test_any_input_size(system, size):
    network = models.build(system, 8, 1).eval()
    assert network(torch.rand(1, 1, size, size)).shape == (1, 8)


@pytest.mark.parametrize("side", range(4, 30))
def test_quarters_give_back_half_the_rows(side):
    extractor = LocalFeatureExtractor(2, 4).eval()
    assert extractor(torch.rand(1, 2, side, side + 1)).shape[2:] == ((side + 1) // 2, (side + 2) // 2)


def test_quarters_do_not_see_each_other():
    extractor = LocalFeatureExtractor(2, 4).eval()
    x = torch.rand(1, 2, 16, 16)
    changed = x.clone()
    changed[:, :, 8:, 8:] += 1
    before, after = extractor(x), extractor(changed)
    assert torch.equal(before[:, :, :4], after[:, :, :4])
    assert torch.equal(before[:, :, :, :4], after[:, :, :, :4])
    assert not torch.equal(before, after)


@pytest.mark.parametrize("system", models.SYSTEMS)
def test_gradients_reach_every_weight(system):
    torch.manual_seed(0)
    network = models.build(system, 8, 1).train()
    network(torch.randn(4, 1, 64, 64)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_both_modulator_forms_differ():
    torch.manual_seed(0)
    add = EfficientFace(modulator="add").eval()
    multiply = EfficientFace(modulator="multiply").eval()
    multiply.load_state_dict(add.state_dict())
    x = torch.randn(1, 3, 64, 64)
    assert not torch.allclose(add(x), multiply(x))


def test_unknown_names_list_what_exists():
    with pytest.raises(UsageError, match=r"unknown system 'nope'.*efficientface"):
        models.build("nope", 8, 1)
    with pytest.raises(ValueError, match="add"):
        EfficientFace(modulator="divide")
