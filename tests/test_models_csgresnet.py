"""CS-GResNet beside paper 002: counts, the Gabor bank, the fold, and the channel shift against the paper's own construction."""

import math

import pytest
import torch
from torch import nn

from train.models.__main__ import macs
from train.models.csgresnet import (
    ORIENTATIONS,
    POSITIONS,
    ChannelShift,
    CSGResNet18,
    CSGResNet34,
    GaborConv,
    OrientedBatchNorm,
    gabor_bank,
    random_order,
)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (CSGResNet18, 2_797_479),
        (CSGResNet34, 5_324_519),
        (lambda: CSGResNet18(position=None), 2_797_479),
        (lambda: CSGResNet18(num_classes=8, channels=1), 2_797_479 - 2 * 16 * 4 * 25 + 129),
        (lambda: CSGResNet18().folded(), 11_172_807),
    ],
)
def test_parameters(network, parameters):
    assert count(network()) == parameters


@pytest.mark.parametrize("shape", [(1, 3, 112, 112)])
def test_the_fold_changes_no_compute(shape):
    network = CSGResNet18()
    assert macs(network, shape) == macs(network.folded(), shape) == 1_710_601_088


class TestGaborBank:
    @pytest.mark.parametrize("kernel", [3, 5])
    def test_each_filter_spans_zero_to_one(self, kernel):
        bank = gabor_bank(kernel)
        assert bank.shape == (ORIENTATIONS, kernel, kernel)
        assert torch.equal(bank.amin((1, 2)), torch.zeros(4))
        assert torch.equal(bank.amax((1, 2)), torch.ones(4))

    @pytest.mark.parametrize("kernel", [3, 5])
    def test_orientations_are_turns_of_each_other(self, kernel):
        """π/4 and 3π/4 mirror each other; π/2 and π are a quarter turn apart; none equals another."""
        diagonal, horizontal, other_diagonal, vertical = gabor_bank(kernel)
        assert torch.allclose(diagonal.flip(1), other_diagonal, atol=1e-6)
        assert torch.allclose(horizontal.T, vertical, atol=1e-6)
        assert not torch.allclose(diagonal, horizontal, atol=0.1)

    def test_one_value_by_hand(self):
        """Horizontal waves, one row above the middle of a 3×3 filter: cos(k) e^(−k²/2σ²) between its extremes."""
        k, mean = math.pi / 4, math.exp(-(math.pi**2) / 2)
        value = {(x, y): math.exp(-(k**2) * (x * x + y * y) / (2 * math.pi**2)) * (math.cos(k * y) - mean)
                 for x in (-1, 0, 1) for y in (-1, 0, 1)}  # fmt: skip
        low, high = min(value.values()), max(value.values())
        assert float(gabor_bank(3)[1, 0, 1]) == pytest.approx((value[0, -1] - low) / (high - low), abs=1e-6)

    def test_one_by_one_is_ones(self):
        assert torch.equal(gabor_bank(1), torch.ones(4, 1, 1))


class TestGaborConv:
    def test_equals_the_definition(self):
        """Output (o, m) sums input (i, n) over W[o, i, n] · G[m]."""
        torch.manual_seed(0)
        conv, x = GaborConv(2, 3, 3), torch.randn(1, 8, 6, 6)
        found = conv(x).view(1, 3, 4, 6, 6)
        for o in range(3):
            for m in range(4):
                kernel = (conv.weight[o] * conv.bank[m]).flatten(0, 1)
                expected = nn.functional.conv2d(x, kernel[None], padding=1)[:, 0]
                assert torch.allclose(found[:, o, m], expected, atol=1e-5)

    def test_a_picture_stands_for_equal_orientations(self):
        torch.manual_seed(0)
        conv, x = GaborConv(3, 4, 5, stride=2, oriented=False), torch.randn(2, 3, 16, 16)
        oriented = GaborConv(3, 4, 5, stride=2)
        oriented.load_state_dict(conv.state_dict())
        assert torch.allclose(conv(x), oriented(x.repeat_interleave(4, 1)), atol=1e-5)


def test_batch_norm_is_shared_over_orientations():
    torch.manual_seed(0)
    norm, x = OrientedBatchNorm(3), torch.randn(5, 12, 4, 4) * 3 + 1
    by_filter = norm(x).view(5, 3, 4, 4, 4)
    assert torch.allclose(by_filter.mean((0, 2, 3, 4)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(by_filter.var((0, 2, 3, 4), correction=0), torch.ones(3), atol=1e-3)
    assert by_filter.mean((0, 3, 4)).abs().min() > 1e-3, "each orientation was normalised alone"


class PapersShift(nn.Module):
    """Algorithm 1: a depthwise convolution over channels, one frozen kernel a position, on positions of all orientations."""

    def __init__(self, positions: int, size: int, shifted_right: list[int], shifted_left: list[int]):
        super().__init__()
        self.conv = nn.Conv1d(positions, positions, 3, padding=1, groups=positions, bias=False)
        self.conv.weight.requires_grad = False
        self.conv.weight.zero_()
        self.conv.weight[:, 0, 1] = 1
        for rows, tap in ((shifted_right, 0), (shifted_left, 2)):
            self.conv.weight[rows, 0, 1] = 0
            self.conv.weight[rows, 0, tap] = 1
        assert len(shifted_right) == len(shifted_left) == size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        rows = x.reshape(batch, channels // ORIENTATIONS, ORIENTATIONS * height * width).permute(0, 2, 1)
        return self.conv(rows).permute(0, 2, 1).reshape(batch, channels, height, width)


class TestChannelShift:
    @pytest.mark.parametrize("side", [4, 7])
    @pytest.mark.parametrize("sigma", [8, 16, 32])
    @pytest.mark.parametrize("position", POSITIONS)
    @torch.no_grad()
    def test_slicing_equals_the_papers_convolution(self, position, sigma, side):
        positions = ORIENTATIONS * side * side
        size = positions // sigma
        i = {"start": 0, "middle": sigma // 2 - 1, "end": sigma - 2, "random": 0}[position]
        order = random_order(positions).tolist() if position == "random" else list(range(positions))
        right, left = order[i * size : (i + 1) * size], order[(i + 1) * size : (i + 2) * size]
        x = torch.randn(2, 12, side, side, generator=torch.Generator().manual_seed(0))
        found = ChannelShift(sigma, position)(x)
        assert torch.equal(found, PapersShift(positions, size, right, left)(x))
        assert not torch.equal(found, x)

    def test_cost_of_table_2(self):
        """3.8 · 10⁻² M frozen weights in layer 1: three for every position of every orientation of a 56² map."""
        network, seen = CSGResNet18(layer=1), []
        shift = next(m for m in network.modules() if isinstance(m, ChannelShift))
        shift.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].shape))
        network.eval()(torch.zeros(1, 3, 112, 112))
        assert seen == [(1, 64, 56, 56)]
        assert PapersShift(4 * 56 * 56, 0, [], []).conv.weight.numel() == 37_632

    def test_layer_3_is_shifted_where_table_2_counts_it(self):
        network, seen = CSGResNet18(), []
        shift = next(m for m in network.modules() if isinstance(m, ChannelShift))
        shift.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].shape))
        network.eval()(torch.zeros(1, 3, 112, 112))
        assert seen == [(1, 256, 14, 14)]

    def test_every_option_changes_the_answer(self):
        x, answers = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)), []
        choices = [{"position": p} for p in (*POSITIONS, None)] + [{"sigma": 8}, {"sigma": 32}, {"layer": 1}]
        backbone = used(CSGResNet18()).state_dict()
        for options in choices:
            network = CSGResNet18(**options)
            network.load_state_dict(backbone)  # a GResNet's weights fit a CS-GResNet, as the paper fine-tunes it
            answers.append(network.eval()(x))
        assert all(not torch.equal(a, b) for i, a in enumerate(answers) for b in answers[:i])

    @pytest.mark.parametrize("options", [{"position": "top"}, {"layer": 2}, {"sigma": 1}])
    def test_bad_options(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            CSGResNet18(**options)


def used(network: nn.Module) -> nn.Module:
    """The network in evaluation mode with batch norms of other statistics and weights than the first."""
    generator = torch.Generator().manual_seed(1)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
        nn.init.uniform_(norm.bias, -0.5, 0.5, generator=generator)
        norm.momentum = 1.0
    network.train()(torch.randn(4, network.stem.weight.shape[1], 32, 32, generator=generator))
    return network.eval()


class TestFold:
    @pytest.mark.parametrize("options", [{}, {"position": "random", "layer": 1}, {"position": None, "channels": 1}])
    @torch.no_grad()
    def test_equal_outputs(self, options):
        torch.manual_seed(0)
        network = used(CSGResNet18(**options))
        folded = network.folded()
        for batch in (1, 3):
            x = torch.randn(batch, network.stem.weight.shape[1], 32, 32)
            assert torch.allclose(folded(x), network(x), atol=1e-5)

    def test_is_a_plain_copy(self):
        network = CSGResNet18().train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        folded = network.folded()
        kinds = {type(m) for m in folded.modules()}
        assert kinds.isdisjoint({GaborConv, OrientedBatchNorm})
        assert not folded.training
        assert network.training
        with torch.no_grad():
            for parameter in folded.parameters():
                parameter.zero_()
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_bank_is_not_learned_and_not_stored():
    network = CSGResNet18()
    assert [name for name in network.state_dict() if "bank" in name] == []
    assert sum(b.numel() for name, b in network.named_buffers() if name.endswith("bank")) > 0
