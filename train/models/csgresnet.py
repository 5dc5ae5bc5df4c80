"""CS-GResNet: a ResNet of Gabor convolutions whose neighbouring channels are shifted into each other at some positions.

Source: "CS-GResNet: A Simple and Highly Efficient Network for Facial Expression Recognition" (ICASSP 2022), Equations 1 and 2,
Tables 1 and 2, Algorithm 1; the filter bank is that of "Gabor Convolutional Networks" (2018), which it cites.

Shapes for an input of side S (paper: 112), batch B; 64 channels are 16 learned filters × M = 4 orientations, orientation fastest:
    x          B, channels, S, S            normalised to about [−1, 1]
    stem       B, 64, S/2, S/2              5×5 stride 2, no max-pool
    layer 1    B, 64, S/2, S/2
    layer 2    B, 128, S/4, S/4
    layer 3    B, 256, S/8, S/8
    layer 4    B, 512, S/16, S/16           then global average pool
    features   B, 128                       the largest of the M orientations
    logits     B, num_classes
Learned is a quarter of the convolutions' weights; ``folded`` multiplies the bank into them, for a plain ResNet four times the size.
"""

import copy
import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ORIENTATIONS, SCALE = 4, 3
POSITIONS = ("start", "middle", "end", "random")
SHIFTED_LAYERS = (1, 3)


def gabor_bank(kernel: int) -> Tensor:
    """Real Gabor filters (M, k, k) at angles π/4, π/2, 3π/4, π and scale v = 3, each brought to [0, 1]; ones for k = 1.

    The wave number is (π/2) / √2^(v − 1) and σ = π; the filter's mean over the plane, exp(−σ²/2), is taken off its wave.
    """
    if kernel == 1:
        return torch.ones(ORIENTATIONS, 1, 1)
    angle = (math.pi / ORIENTATIONS * torch.arange(1, ORIENTATIONS + 1, dtype=torch.float64)).view(-1, 1, 1)
    y, x = torch.meshgrid(*[torch.arange(kernel, dtype=torch.float64) - (kernel - 1) / 2] * 2, indexing="ij")
    wave_number = math.pi / 2 / math.sqrt(2) ** (SCALE - 1)
    envelope = torch.exp(-(wave_number**2) * (x**2 + y**2) / (2 * math.pi**2))
    wave = torch.cos(wave_number * (x * torch.cos(angle) + y * torch.sin(angle))) - math.exp(-(math.pi**2) / 2)
    bank = envelope * wave
    low, high = bank.amin((1, 2), keepdim=True), bank.amax((1, 2), keepdim=True)
    return ((bank - low) / (high - low)).float()


class GaborConv(nn.Module):
    """Learned filters times the bank: (B, in·M, H, W) → (B, out·M, H/stride, W/stride) (Equations 1 and 2).

    Args:
        inp: channels in, without orientations.
        out: learned filters.
        kernel: side of the filters.
        stride: of the convolution.
        oriented: the input has M orientations. Where it has none, as the picture, each channel stands for M equal ones.
    """

    def __init__(self, inp: int, out: int, kernel: int, stride: int = 1, oriented: bool = True):
        super().__init__()
        self.stride, self.padding, self.oriented = stride, kernel // 2, oriented
        self.weight = nn.Parameter(torch.empty(out, inp, ORIENTATIONS, kernel, kernel))
        nn.init.normal_(self.weight, std=math.sqrt(2 / self.weight[0].numel()))
        self.register_buffer("bank", gabor_bank(kernel), persistent=False)

    def plain_weight(self) -> Tensor:
        """The weight (out·M, in·M, k, k) of the ordinary convolution that this one is; (out·M, in, k, k) for a picture."""
        weight = self.weight.unsqueeze(1) * self.bank[:, None, None]  # out, M, in, M, k, k
        if not self.oriented:
            weight = weight.sum(3, keepdim=True)  # the M copies of a channel are equal
        return weight.flatten(2, 3).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.plain_weight(), stride=self.stride, padding=self.padding)

    def folded(self) -> nn.Conv2d:
        weight = self.plain_weight().detach()
        out, inp, kernel, _ = weight.shape
        plain = nn.Conv2d(inp, out, kernel, self.stride, self.padding, bias=False)
        plain.weight.data = weight.clone()
        return plain


class OrientedBatchNorm(nn.Module):
    """Batch norm that the M orientations of a learned filter share: its statistics run over them too."""

    def __init__(self, filters: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        stacked = x.reshape(batch, channels // ORIENTATIONS, ORIENTATIONS * height, width)
        return self.norm(stacked).reshape(batch, channels, height, width)

    def folded(self) -> nn.BatchNorm2d:
        plain = nn.BatchNorm2d(self.norm.num_features * ORIENTATIONS, self.norm.eps)
        state = self.norm.state_dict()
        tracked = state.pop("num_batches_tracked")
        repeated = {name: value.repeat_interleave(ORIENTATIONS) for name, value in state.items()}
        plain.load_state_dict({**repeated, "num_batches_tracked": tracked})
        return plain


class ChannelShift(nn.Module):
    """At P/σ positions a channel takes its left neighbour's value, at as many its right one's; elsewhere its own (Algorithm 1).

    Positions are those of all orientations, P = M·H·W, and channels the learned filters: so the authors' code has it, and so
    Table 2 counts (3·P = 37,632 frozen weights in layer 1). Outside the channels lies 0.

    Args:
        sigma: the two blocks are P/σ positions each.
        position: of the blocks: "start", "middle" or "end" of the positions, or "random" positions, always the same for a P.
    """

    def __init__(self, sigma: int, position: str):
        super().__init__()
        if position not in POSITIONS:
            raise ValueError(f"position {position!r} is none of {POSITIONS}")
        if sigma < 2:
            raise ValueError(
                f"sigma must be at least 2, not {sigma}: two blocks of a σ-th of the positions are shifted"
            )
        self.sigma, self.position = sigma, position

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        rows = x.reshape(batch, channels // ORIENTATIONS, ORIENTATIONS * height * width)
        if self.position == "random":
            order = random_order(int(rows.shape[2]))
            rows = self._shifted(rows[:, :, torch.tensor(order)])[:, :, torch.tensor(np.argsort(order))]
        else:
            rows = self._shifted(rows)
        return rows.reshape(batch, channels, height, width)

    def first(self) -> int:
        """i of Algorithm 1: the blocks begin at position i·P/σ."""
        return {"start": 0, "middle": self.sigma // 2 - 1, "end": self.sigma - 2, "random": 0}[self.position]

    def _shifted(self, rows: Tensor) -> Tensor:
        size = rows.shape[2] // self.sigma
        start = self.first() * size
        before, right, left, after = rows.tensor_split([start, start + size, start + 2 * size], dim=2)
        right = F.pad(right[:, :-1], (0, 0, 1, 0))
        left = F.pad(left[:, 1:], (0, 0, 0, 1))
        return torch.cat([before, right, left, after], 2)


@functools.cache
def random_order(positions: int) -> np.ndarray:
    """A fixed shuffling of 0 … positions − 1. numpy's RandomState is frozen, so a checkpoint finds the same one for ever."""
    return np.random.RandomState(0).permutation(positions)


class Block(nn.Module):
    """ResNet's basic block of two Gabor convolutions, the channel shift, if any, before both branches."""

    def __init__(self, inp: int, out: int, stride: int, shift: nn.Module | None = None):
        super().__init__()
        self.shift = shift or nn.Identity()
        self.conv1, self.norm1 = GaborConv(inp, out, 3, stride), OrientedBatchNorm(out)
        self.conv2, self.norm2 = GaborConv(out, out, 3), OrientedBatchNorm(out)
        same = inp == out and stride == 1
        self.skip = nn.Identity() if same else nn.Sequential(GaborConv(inp, out, 1, stride), OrientedBatchNorm(out))

    def forward(self, x: Tensor) -> Tensor:
        x = self.shift(x)
        inner = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(inner)) + self.skip(x))


class CSGResNet18(nn.Module):
    """CS-GResNet-18 of paper 002; 2,797,479 learned parameters with 7 classes, and the same without the shift.

    The shift comes before the last block of its layer, where Table 2's cost of layer 3 (3·14·14·256 operations) puts it and
    the authors' code has it; the text says "the beginning" of the layer.

    Args:
        num_classes: number of expressions.
        channels: 3 for RGB as in the paper, 1 for gray.
        position: of the shifted blocks: "start", "middle", "end", "random"; None for no shift, which is the paper's GResNet.
        sigma: each of the two shifted blocks is a σ-th of the positions; 8, 16 or 32 in Figure 4, 16 the best.
        layer: the shift is in layer 1 or 3 (Figure 4: 3 the better).
    """

    PAPER = "002"
    INPUT_SIZE = 112
    CHANNELS = 3
    BLOCKS = (2, 2, 2, 2)

    def __init__(
        self, num_classes: int = 7, channels: int = 3, position: str | None = "start", sigma: int = 16, layer: int = 3
    ):
        super().__init__()
        if layer not in SHIFTED_LAYERS:
            raise ValueError(f"layer {layer!r} is none of {SHIFTED_LAYERS}")
        shift = ChannelShift(sigma, position) if position else None
        self.stem, self.norm = GaborConv(channels, 16, 5, stride=2, oriented=False), OrientedBatchNorm(16)
        widths = (16, 16, 32, 64, 128)
        self.layers = nn.Sequential(
            *(
                _layer(
                    widths[i], widths[i + 1], count, stride=1 if i == 0 else 2, shift=shift if i + 1 == layer else None
                )
                for i, count in enumerate(self.BLOCKS)
            )
        )
        self.fc = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, S, S) float, normalised, S ≥ 32 → (B, num_classes) logits."""
        x = self.layers(F.relu(self.norm(self.stem(x))))
        oriented = x.mean((2, 3)).unflatten(1, (-1, ORIENTATIONS))
        return self.fc(oriented.amax(2))

    def folded(self) -> nn.Module:
        """A copy, in evaluation mode, of plain convolutions and batch norms: equal outputs, 11.2 M parameters of CS-GResNet-18."""
        network = copy.deepcopy(self).eval()
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, GaborConv | OrientedBatchNorm):
                    setattr(module, name, child.folded())
        return network.eval()


class CSGResNet34(CSGResNet18):
    """CS-GResNet-34, of which the paper reports the form without shift; 5.33 M learned parameters."""

    BLOCKS = (3, 4, 6, 3)


def _layer(inp: int, out: int, count: int, stride: int, shift: nn.Module | None) -> nn.Sequential:
    shapes = [(inp, out, stride)] + [(out, out, 1)] * (count - 1)
    return nn.Sequential(*(Block(*shape, shift if i == count - 1 else None) for i, shape in enumerate(shapes)))
