"""Involution + ViT: the pinned counts, involution by its definition, and a small one through every export format."""

import copy
import types
from pathlib import Path

import pytest
import torch
from torch import nn

from export import build, rehearse
from train import models, recipe
from train.graph import DeployedGraph
from train.models.__main__ import macs
from train.models.involution_vit import GROUP_CHANNELS, Involution, InvolutionViT, PatchTransformer, RedNet

TINY = {
    "image_size": 32,
    "stem_stride": 1,
    "width": 32,
    "blocks": (1, 1),
    "patch": 8,
    "depth": 1,
    "heads": 2,
    "hidden": 32,
}


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def small(**options) -> InvolutionViT:
    """The shipped small recipe's network, seeded."""
    torch.manual_seed(0)
    chosen = recipe.load("involution_vit_small")
    return models.build(chosen.system, 8, chosen.channels, chosen.options | options)


class TestParameters:
    @pytest.fixture(scope="class")
    def full(self) -> InvolutionViT:
        with torch.device("meta"):
            return InvolutionViT()

    def test_rednet_50(self, full):
        assert count(full.involution) == 13_491_806
        assert count(full.involution) + count(nn.Linear(full.involution.out_channels, 1000)) == 15_540_806

    def test_vit_b_16(self, full):
        assert count(full.transformer) == 86_019_840

    def test_the_rest_is_fusion_and_classifier(self, full):
        assert count(full.fusion) == (2048 + 768) * 768 + 2 * 768
        assert count(full.classifier) == 768 * 7 + 7
        assert count(full) == count(full.involution) + 86_019_840 + count(full.fusion) + count(full.classifier)

    def test_maps_of_the_paper(self, full):
        face = torch.empty(1, 3, 352, 352, device="meta")
        assert full.eval().involution(face).shape == (1, 2048, 11, 11)
        assert full.transformer(face).shape == (1, 768, 22, 22)
        assert full(face).shape == (1, 7)

    def test_the_small_one_fits_a_device(self):
        assert 1_000_000 < count(small()) < 3_000_000


def by_definition(layer: Involution, x: torch.Tensor) -> torch.Tensor:
    """Equation 1, place by place: what lies around a place, weighted by the kernel that the place itself gives."""
    pooled = x
    if layer.stride > 1:
        pooled = nn.functional.avg_pool2d(x, layer.stride, ceil_mode=True)
    generated = layer.span(layer.squeeze(pooled))
    batch, channels, _, _ = x.shape
    height, width = generated.shape[2:]
    reach = layer.kernel // 2
    out = torch.zeros(batch, channels, height, width)
    for channel in range(channels):
        group = channel // GROUP_CHANNELS
        for i in range(height):
            for j in range(width):
                for u in range(-reach, reach + 1):
                    for v in range(-reach, reach + 1):
                        row, column = i * layer.stride + u, j * layer.stride + v
                        if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                            place = group * layer.kernel**2 + (u + reach) * layer.kernel + v + reach
                            out[:, channel, i, j] += generated[:, place, i, j] * x[:, channel, row, column]
    return out


class TestInvolution:
    @pytest.mark.parametrize(
        ("kernel", "stride", "height", "width"), [(3, 1, 4, 5), (7, 1, 5, 4), (3, 2, 6, 5), (5, 2, 4, 7)]
    )
    def test_equals_its_definition(self, kernel, stride, height, width):
        torch.manual_seed(0)
        layer = Involution(32, kernel, stride).eval()
        x = torch.randn(2, 32, height, width)
        with torch.inference_mode():
            assert torch.allclose(layer(x), by_definition(layer, x), atol=1e-5)

    def test_channels_last_gives_the_same(self):
        torch.manual_seed(0)
        layer = Involution(32, 7).eval()
        x = torch.randn(2, 32, 6, 6)
        assert torch.allclose(layer(x.to(memory_format=torch.channels_last)), layer(x), atol=1e-6)

    def test_sixteen_channels_share_a_kernel(self):
        with pytest.raises(ValueError, match="multiple of 16 channels, not 24"):
            Involution(24, 3)
        layer = Involution(48, 7)
        assert layer.kernels(torch.randn(2, 48, 4, 4)).shape == (2, 3, 1, 49, 4, 4)


def test_rounding_stays_small_through_an_untrained_rednet_50():
    torch.manual_seed(0)
    network = RedNet(1)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = 1.0
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        network.train()(x)
        single = network.eval()(x)
        double = network.double()(x.double())
    assert (single - double).norm() < 1e-3 * double.norm()


class TestTransformer:
    def test_patches_keep_their_place(self):
        """Without layers, a place of the map is its own patch's projection and position alone."""
        torch.manual_seed(0)
        transformer = PatchTransformer(1, 24, 8, depth=0, heads=2, hidden=16, dropout=0).eval()
        x = torch.randn(1, 1, 24, 24)
        changed = x.clone()
        changed[:, :, 8:16, 16:] += 1
        difference = (transformer(changed) - transformer(x)).abs().sum(1)[0]
        assert difference[1, 2] > 0 and torch.count_nonzero(difference) == 1

    def test_positions_at_another_size_are_interpolated(self):
        torch.manual_seed(0)
        transformer = PatchTransformer(1, 24, 8, depth=1, heads=2, hidden=16, dropout=0)
        learned = transformer.vit.encoder.pos_embedding
        assert transformer.positions(3, 3) is learned
        with torch.no_grad():
            learned[:, 1:] = torch.arange(3.0).repeat(3)[:, None]  # the column's number, in every feature
        resized = transformer.positions(3, 6)
        assert resized.shape == (1, 1 + 18, 16) and torch.equal(resized[:, :1], learned[:, :1])
        across = resized[0, 1:7, 0]
        assert (across.diff() > 0).all() and torch.allclose(across + across.flip(0), torch.tensor(2.0))

    def test_attention_is_counted_in_multiply_accumulates(self):
        transformer = PatchTransformer(1, 24, 8, depth=2, heads=2, hidden=16, dropout=0)
        tokens, hidden = 1 + 9, 16
        layer = (
            tokens * 12 * hidden**2 + 2 * tokens**2 * hidden
        )  # queries, keys, values, output, two of 4·hidden; attention
        assert macs(transformer, (1, 1, 24, 24)) == 9 * 8 * 8 * hidden + 2 * layer

    def test_size_and_patch_must_agree(self):
        with pytest.raises(ValueError, match="image_size 50 is no multiple of patch 16"):
            InvolutionViT(image_size=50)


@pytest.mark.parametrize("size", [32, 44, 48, 64, 97])
def test_any_input_size(size):
    assert small().eval()(torch.rand(1, 1, size, size)).shape == (1, 8)


def test_gradients_reach_every_weight():
    network = small().train()
    network(torch.randn(4, 1, 48, 48)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_both_branches_decide():
    """What one branch sees changes the answer while the other's map stays."""
    network = small().eval()
    x = torch.randn(1, 1, 48, 48)
    with torch.inference_mode():
        before = network(x)
        for branch in (network.involution, network.transformer):
            hook = branch.register_forward_hook(lambda _module, _inputs, output: output + 1)
            assert not torch.allclose(network(x), before)
            hook.remove()


def test_dropout_acts_in_training_alone():
    network = small(dropout=0.5)
    x = torch.randn(4, 1, 48, 48)
    assert torch.equal(network.eval()(x), network(x))
    assert count(network) == count(small(dropout=0.0))


class TestExport:
    """A tiny one, with weights that answer differently to different faces, in every format."""

    @pytest.fixture(scope="class")
    def graph(self) -> DeployedGraph:
        torch.manual_seed(0)
        return rehearse.sensitive(InvolutionViT(8, 1, fused=32, **TINY), 32, 1)

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory) -> Path:
        return tmp_path_factory.mktemp("formats")

    @pytest.fixture(scope="class")
    def rungs(self, graph, folder) -> dict[str, rehearse.Rung]:
        return {rung.engine: rung for rung in rehearse.differences(graph, 32, 1, folder)}

    def test_the_weights_are_sensitive(self, graph):
        with torch.inference_mode():
            answers = [graph(torch.from_numpy(crop[None])) for crop in rehearse.noise(32, 1)]
        assert torch.cat(answers).std(0).max() > 0.1

    @pytest.mark.parametrize("engine", [format.ENGINE for format in build.FORMATS])
    def test_agrees_with_torch(self, rungs, engine):
        assert rungs[engine].difference <= 2e-5

    def test_a_format_that_differs_is_told(self, graph, rungs, folder):
        changed = copy.deepcopy(graph)
        changed.network.mean += 0.1 * torch.arange(8)
        written = types.SimpleNamespace(ENGINE="onnxruntime", write_fp32=lambda *_: ["fp32.onnx"])
        (rung,) = rehearse.differences(changed, 32, 1, folder, [written])
        assert rung.difference > 1e-3
