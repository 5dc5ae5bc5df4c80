"""EfficientFace without channel shuffles computes what EfficientFace computes, in whatever form it was pruned to."""

import pytest
import torch

from train import models
from train.models import resized
from train.models.efficientface import EfficientFace

FORMS = {
    "as published": {},
    "without local features": {"local": False},
    "heat maps multiplied, stem of stride 1": {"modulator": "multiply", "stem_stride": 1},
    "without modulator and local features": {"local": False, "modulator": None, "bypassed": {"stage2": [2]}},
    "units bypassed": {"bypassed": {"stage3": [1, 4, 5], "stage4": [3]}},
    "all units bypassed": {"bypassed": {"stage3": [1, 2, 3, 4, 5, 6, 7], "stage4": [1, 2, 3]}},
}


def lively(network: torch.nn.Module) -> torch.nn.Module:
    """With statistics and weights under which the answers depend on the input."""
    torch.manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-0.5, 0.5)
        network.train()(torch.randn(16, 1, 64, 64))
    return network.eval()


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_folded_network_is_the_same_function(options):
    torch.manual_seed(0)
    network = lively(EfficientFace(8, 1, **options))
    x = torch.randn(4, 1, 64, 64)
    with torch.inference_mode():
        expected, found = network(x), network.folded()(x)
    assert expected.std(0).mean() > 0.01, "answers that do not depend on the input prove nothing"
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_folding_changes_nothing_in_the_trained_network():
    network = lively(EfficientFace(8, 1))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.folded()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_no_transpose_is_left():
    exported = torch.export.export(EfficientFace(8, 1).eval().folded(), (torch.zeros(1, 1, 64, 64),))
    called = [str(node.target) for node in exported.graph.nodes]
    assert any("convolution" in name or "conv2d" in name for name in called)
    assert not [
        name for name in called if "transpose" in name or "permute" in name or "view" in name or "reshape" in name
    ]


@pytest.mark.parametrize("bypassed", [{"stage2": [1]}, {"stage3": [0]}, {"stage3": [8]}, {"stage5": [1]}])
def test_units_that_cannot_be_bypassed(bypassed):
    with pytest.raises(ValueError, match="to bypass"):
        EfficientFace(8, 1, bypassed=bypassed)


class TestResized:
    def test_a_resized_network_is_built_from_its_options(self):
        small = models.build(
            "resnet18", 8, 1, {"resized": {"network.fc": [8, 512], "network.layer4.1.conv1": [96, 512, 1]}}
        )
        assert small.network.layer4[1].conv1.out_channels == 96
        assert resized.differing(small, models.build("resnet18", 8, 1)) == {"network.layer4.1.conv1": [96, 512, 1]}

    @pytest.mark.parametrize(
        "sizes", [{"nowhere": [1]}, {"network.fc": [8]}, {"network.fc": [8, 0]}, {"network.fc": 8}, {"network": [8]}]
    )
    def test_sizes_that_no_layer_can_have(self, sizes):
        with pytest.raises(ValueError, match="layer"):
            models.build("resnet18", 8, 1, {"resized": sizes})
