"""Imponderous Net and MicroExpNet beside paper 000: counts, branches, the mirror, every ablation of Table 8."""

import pytest
import torch
import torch.nn.functional as F

from train.models.__main__ import describe, macs
from train.models.imponderous import ChannelAttention, ImponderousNet, adaptive_kernel, base, patches
from train.models.microexpnet import MicroExpNet


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def network(**options) -> ImponderousNet:
    torch.manual_seed(0)
    return ImponderousNet(**options).eval()


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 1_453_551),
        ({"mirror": False}, 1_444_591),
        ({"eca_kernel": None}, 1_453_561),
        ({"eca": None}, 1_453_536),
        ({"eca": "map"}, 1_453_539),
        ({"ensemble": False}, 1_453_551),
        ({"global_context": False}, 1_453_551 - (192 + 1) * 256 - 512 * 7 - 3),
        ({"num_classes": 8, "mirror": False}, 1_444_591 + 5 * 256),
    ],
)
def test_parameters(options, parameters):
    assert count(ImponderousNet(**options)) == parameters


def test_parameters_of_the_base():
    assert count(base(1)) == 1_188_576


def test_the_mirror_doubles_the_compute():
    assert describe("imponderous")["macs"] == 3_552_042_112
    assert macs(ImponderousNet(mirror=False), (1, 1, 128, 128)) == 1_776_021_056


def test_base_gives_table_2s_map():
    assert base(1)(torch.zeros(1, 1, 128, 128)).shape == (1, 192, 16, 16)


@pytest.mark.parametrize(("channels", "kernel"), [(64, 3), (192, 5), (256, 5), (512, 5)])
def test_adaptive_kernel(channels, kernel):
    assert adaptive_kernel(channels) == kernel


def test_attending_the_means_is_attending_the_map():
    """ECA as its paper writes it weights the map and averages afterwards."""
    torch.manual_seed(0)
    eca, x = ChannelAttention(5), torch.randn(2, 192, 8, 8)
    weights = torch.sigmoid(eca.conv(F.adaptive_avg_pool2d(x, 1).squeeze(-1).transpose(1, 2))).transpose(1, 2)
    expected = (x * weights.unsqueeze(-1)).mean((2, 3))
    means = x.mean((2, 3))
    assert torch.allclose(means * eca(means), expected, atol=1e-6)


class TestPatches:
    def test_an_even_map_is_partitioned(self):
        x = torch.arange(2 * 3 * 16 * 16.0).view(2, 3, 16, 16)
        upper_left, upper_right, lower_left, lower_right = patches(x)
        upper, lower = torch.cat([upper_left, upper_right], 3), torch.cat([lower_left, lower_right], 3)
        assert torch.equal(torch.cat([upper, lower], 2), x)

    @pytest.mark.parametrize("side", [1, 2, 5, 7, 13])
    def test_all_have_the_same_size_and_mirror_into_each_other(self, side):
        x = torch.rand(1, 2, side, side + 1)
        assert {p.shape[2:] for p in patches(x)} == {((side + 1) // 2, (side + 2) // 2)}
        flipped = patches(x.flip(3))
        for patch, other in zip(patches(x), [flipped[i] for i in (1, 0, 3, 2)], strict=True):
            assert torch.equal(patch.flip(3), other)


class TestBranches:
    def test_five_and_their_mean(self):
        model, x = network(), torch.randn(2, 1, 64, 64)
        branches = model.branch_logits(x)
        assert [tuple(b.shape) for b in branches] == [(2, 7)] * 5
        assert torch.allclose(model(x), sum(branches) / 5, atol=1e-7)

    @pytest.mark.parametrize(("options", "branches"), [({"global_context": False}, 4), ({"ensemble": False}, 1)])
    def test_ablations_have_fewer(self, options, branches):
        assert len(network(**options).branch_logits(torch.randn(1, 1, 32, 32))) == branches

    def test_a_patch_branch_does_not_see_the_far_corner(self):
        """The base's receptive field ends before it: only the whole map's branch changes with it, and the corner's own."""
        model, x = network(mirror=False), torch.randn(1, 1, 192, 192)
        changed = x.clone()
        changed[:, :, -16:, -16:] += 1
        pairs = zip(model.branch_logits(x), model.branch_logits(changed), strict=True)
        differences = [(a - b).abs().max().item() for a, b in pairs]
        assert differences[:3] == [0, 0, 0]
        assert min(differences[3:]) > 0

    def test_attention_before_partition_lets_every_patch_see_the_map(self):
        model, x = network(mirror=False, eca="map"), torch.randn(1, 1, 192, 192)
        changed = x.clone()
        changed[:, :, -16:, -16:] += 1
        pairs = zip(model.branch_logits(x), model.branch_logits(changed), strict=True)
        assert min((a - b).abs().max().item() for a, b in pairs) > 0

    def test_features_are_normalised(self):
        """Logits cannot grow with the features: their bound is the classifier's norm, times the scale."""
        model, x = network(scale=30.0), torch.randn(4, 1, 32, 32)
        for logits, classify in zip(model.branch_logits(x), model.classify, strict=True):
            assert (logits.abs() <= 30 * classify.weight.norm(dim=1) + 1e-5).all()
        for logits, unscaled in zip(model.branch_logits(x), self._with_scale(model, 1.0, x), strict=True):
            assert torch.allclose(logits, 30 * unscaled, atol=1e-5)

    @staticmethod
    def _with_scale(model: ImponderousNet, scale: float, x: torch.Tensor) -> list[torch.Tensor]:
        model.scale = scale
        try:
            return model.branch_logits(x)
        finally:
            model.scale = 30.0


class TestMirror:
    def test_a_mirrored_face_swaps_the_views(self):
        """The features of the two views change places, so a classifier with its halves swapped answers alike."""
        model, swapped, x = network(), network(), torch.randn(2, 1, 40, 40)
        with torch.no_grad():
            for classify in swapped.classify:
                classify.weight.copy_(classify.weight.roll(256, dims=1))
        assert torch.allclose(model(x), swapped(x.flip(3)), atol=1e-6)
        assert not torch.allclose(model(x), model(x.flip(3)), atol=1e-5)

    def test_equal_halves_make_it_invariant(self):
        model, x = network(), torch.randn(2, 1, 40, 40)
        with torch.no_grad():
            for classify in model.classify:
                classify.weight[:, 256:] = classify.weight[:, :256]
        assert torch.allclose(model(x), model(x.flip(3)), atol=1e-6)

    def test_one_view_has_no_mirror(self, monkeypatch):
        model, x = network(mirror=False), torch.randn(1, 1, 32, 32)
        monkeypatch.setattr(torch.Tensor, "flip", None)
        assert model(x).shape == (1, 7)


@pytest.mark.parametrize("options", [{"eca": "region"}, {"eca": "map"}, {"eca": None}, {"ensemble": False}])
def test_the_sum_of_the_branches_losses_reaches_every_weight(options):
    model = network(**options).train()
    targets = torch.tensor([0, 3, 6])
    sum(F.cross_entropy(b, targets) for b in model.branch_logits(torch.randn(3, 1, 32, 32))).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("options", [{"eca": "everywhere"}, {"eca_kernel": 4}])
def test_bad_options(options):
    with pytest.raises(ValueError, match="eca"):
        ImponderousNet(**options)


class TestMicroExpNet:
    def test_parameters_of_table_5(self):
        assert count(MicroExpNet(num_classes=8)) == 65_000

    def test_another_size_is_resized(self):
        torch.manual_seed(0)
        model, x = MicroExpNet().eval(), torch.randn(2, 1, 48, 48)
        resized = F.interpolate(x, (84, 84), mode="bilinear", align_corners=False)
        assert torch.equal(model(x), model(resized))
