"""FaceFinder: a single-shot, anchor-free face detector with five landmarks, in the manner of BlazeFace and FCOS.

Plain 3×3, depthwise 3×3 and 1×1 convolutions, ReLU6, addition and the doubling of pixels only, so that it quantises well on
every engine. Small faces are found at stride 4, middling ones at stride 8, large ones at stride 16, each by the cells at
their middle; what the coarser levels know is handed down to the finer ones.

Sources: BlazeFace (arXiv:1907.05047) for the separable residual blocks, FCOS (arXiv:1904.01355) for boxes as distances from
a cell, Feature Pyramid Networks (arXiv:1612.03144) for the way down, Generalized Focal Loss (arXiv:2006.04388) for scores
that say how well the box will fit.

Shapes for an input of side S, batch B, N = (S/4)² + (S/8)² + (S/16)² cells, row by row, stride 4 first:
    x            B, 1, S, S         normalised to [−1, 1)
    stem         B, 16, S/2, S/2
    fine         B, 32, S/4, S/4
    middle       B, 64, S/8, S/8
    coarse       B, 128, S/16, S/16
    scores       B, N, 1            logits
    boxes        B, N, 4            distances from the cell's centre to left, top, right, bottom, in the level's units
    landmarks    B, N, 10           offsets x, y of five points from the cell's centre, in the level's units
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (4, 8, 16)
UNITS = (8.0, 16.0, 64.0)
"""Pixels of the input that 1 stands for in boxes and landmarks of each level: about the half of a middling face there."""
KINDS = {"scores": 1, "boxes": 4, "landmarks": 10}
"""Output → numbers a cell."""
PRIOR = -4.0
"""Logit of the scores before training: faces are rare."""


class Block(nn.Module):
    """Depthwise 3×3, 1×1, batch normalisation, activation; the input is added before it where its shape allows."""

    def __init__(self, inp: int, out: int, stride: int = 1):
        super().__init__()
        self.depthwise = nn.Conv2d(inp, inp, 3, stride, 1, groups=inp, bias=False)
        self.pointwise = nn.Conv2d(inp, out, 1, bias=False)
        self.norm = nn.BatchNorm2d(out)
        self.adds = stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.pointwise(self.depthwise(x)))
        return F.relu6(x + y if self.adds else y)


class Head(nn.Module):
    """Blocks, then one 1×1 convolution for each kind of output."""

    def __init__(self, channels: int, depth: int):
        super().__init__()
        self.blocks = _stage(channels, channels, depth, halves=False)
        self.outputs = nn.ModuleDict({kind: nn.Conv2d(channels, width, 1) for kind, width in KINDS.items()})
        nn.init.constant_(self.outputs["scores"].bias, PRIOR)
        nn.init.constant_(self.outputs["boxes"].bias, 1.0)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Kind → (B, cells, width)."""
        x = self.blocks(x)
        found = {kind: conv(x) for kind, conv in self.outputs.items()}
        return {kind: y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, KINDS[kind]) for kind, y in found.items()}


class FaceFinder(nn.Module):
    """See the module.

    Args:
        channels: of the picture: 1 gray, 3 RGB.
        widths: channels at strides 2, 4, 8 and 16.
        depths: blocks at those strides, besides the one that halves the resolution.
        heads: blocks of the heads at strides 4, 8 and 16.
    """

    def __init__(self, channels: int = 1, widths=(16, 32, 64, 128), depths=(0, 2, 4, 4), heads=(2, 1, 1)):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU6()
        )
        inputs = (widths[0], *widths[:-1])
        self.stages = nn.ModuleList(
            _stage(inp, out, depth, halves=level > 0)
            for level, (inp, out, depth) in enumerate(zip(inputs, widths, depths, strict=True))
        )
        self.ways_down = nn.ModuleList(_way_down(inp, out) for inp, out in zip(widths[2:], widths[1:], strict=False))
        self.heads = nn.ModuleDict({str(s): Head(w, d) for s, w, d in zip(STRIDES, widths[1:], heads, strict=True)})

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, channels, S, S) normalised → scores (B, N, 1) as logits, boxes (B, N, 4), landmarks (B, N, 10)."""
        x, features = self.stages[0](self.stem(x)), []
        for stage in self.stages[1:]:
            x = stage(x)
            features.append(x)
        for level in reversed(range(len(self.ways_down))):
            features[level] = F.relu6(features[level] + self.ways_down[level](features[level + 1]))
        levels = [head(y) for head, y in zip(self.heads.values(), features, strict=True)]
        scores, boxes, landmarks = (torch.cat([level[kind] for level in levels], 1) for kind in KINDS)
        return scores, boxes, landmarks


def _stage(inp: int, out: int, depth: int, halves: bool) -> nn.Sequential:
    first = [Block(inp, out, 2)] if halves else []
    return nn.Sequential(*first, *(Block(out, out) for _ in range(depth)))


def _way_down(inp: int, out: int) -> nn.Sequential:
    """From a coarser level to the next finer one: 1×1, then every pixel four times."""
    doubled = nn.Upsample(scale_factor=2, mode="nearest")
    return nn.Sequential(nn.Conv2d(inp, out, 1, bias=False), nn.BatchNorm2d(out), doubled)


def cells(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of every cell, in the outputs' order: centre (N, 2) in pixels of the input, stride (N,), unit (N,)."""
    centres, strides, units = [], [], []
    for stride, unit in zip(STRIDES, UNITS, strict=True):
        along = (torch.arange(size // stride) + 0.5) * stride
        y, x = torch.meshgrid(along, along, indexing="ij")
        centres.append(torch.stack([x, y], -1).reshape(-1, 2))
        strides.append(torch.full((len(along) ** 2,), float(stride)))
        units.append(torch.full((len(along) ** 2,), unit))
    return torch.cat(centres), torch.cat(strides), torch.cat(units)
