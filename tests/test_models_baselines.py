"""The baselines are torchvision's networks; their options change what they say they change."""

import pytest
import torch
from torch import nn

from train.models.baselines import MobileNetV2, ResNet18, ResNet50, ShuffleNetV2

BASELINES = {ShuffleNetV2: 1_260_779, MobileNetV2: 2_232_839, ResNet18: 11_180_103, ResNet50: 23_522_375}
"""Each network → its parameters with seven classes, RGB."""
every_baseline = pytest.mark.parametrize("baseline", BASELINES, ids=lambda c: c.__name__)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d)]


def map_shapes(network: nn.Module, size: int) -> list[tuple[int, ...]]:
    """Shape of every convolution's output for one gray face of that size."""
    shapes = []
    for convolution in convolutions(network):
        convolution.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    network.eval()(torch.empty(1, 1, size, size, device="meta"))
    return shapes


@every_baseline
def test_has_the_published_parameters(baseline):
    with torch.device("meta"):
        assert count(baseline()) == BASELINES[baseline]


@every_baseline
def test_gray_changes_the_stem_alone(baseline):
    with torch.device("meta"):
        rgb, gray = baseline(), baseline(channels=1)
    stem = convolutions(rgb)[0]
    assert count(rgb) - count(gray) == stem.weight.numel() * 2 // 3
    assert convolutions(gray)[0].stride == stem.stride and convolutions(gray)[0].kernel_size == stem.kernel_size


@every_baseline
def test_a_stem_of_stride_one_sees_a_small_face_like_one_of_twice_its_size(baseline):
    with torch.device("meta"):
        published, small = baseline(channels=1), baseline(channels=1, stem_stride=1)
    assert convolutions(small)[0].kernel_size == (3, 3) and convolutions(small)[0].stride == (1, 1)
    shapes = map_shapes(small, 48)
    assert shapes == map_shapes(published, 96)
    assert shapes[-1][2:] == (3, 3)


@every_baseline
def test_dropout_drops_what_the_classifier_reads(baseline):
    torch.manual_seed(0)
    network = baseline(channels=1, dropout=1.0)
    x = torch.randn(2, 1, 32, 32)
    (classifier,) = (m for m in network.modules() if isinstance(m, nn.Linear))
    assert torch.equal(network.train()(x), classifier.bias.expand(2, -1))
    assert not torch.allclose(network.eval()(x), classifier.bias.expand(2, -1))


@every_baseline
def test_dropout_is_the_published_one_unless_it_is_chosen(baseline):
    def dropouts(**options) -> list[float]:
        with torch.device("meta"):
            network = baseline(**options)
        assert count(network) == BASELINES[baseline]
        return [m.p for m in network.modules() if isinstance(m, nn.Dropout)]

    assert dropouts() == ([0.2] if baseline is MobileNetV2 else [])
    assert dropouts(dropout=0.35) == [0.35]


@every_baseline
def test_gradients_reach_every_weight_with_the_options(baseline):
    torch.manual_seed(0)
    network = baseline(channels=1, stem_stride=1, dropout=0.3).train()
    network(torch.randn(4, 1, 32, 32)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
