"""Imponderous Net: the first half of LightCNN-29, four patches and the whole map, each attended, described and classified alone.

Source: "Imponderous Net for Facial Expression Recognition in the Wild" (2021), Tables 2 and 8, Figure 2, Sections 3 and 4.2.

Shapes for an input of side S (paper: 128), batch B, two views with the mirror and one without:
    x            B, channels, S, S        normalised to about [−1, 1]; a view is x, or x mirrored left to right
    stage 1      B, 48, S/2, S/2          5×5 convolution, MFM, pool
    stage 2      B, 96, S/4, S/4          residual block, 1×1 and 3×3 convolutions with MFM, pool
    stage 3      B, 192, S/8, S/8         two residual blocks, likewise
    regions      5 × (B, 192)             means of the four quarters of the map and of the whole map, after attention
    features     5 × (B, 256)             of one view
    joined       5 × (B, 512)             both views, L2-normalised
    logits       5 × (B, num_classes)     one per branch; the prediction is their mean
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAP_CHANNELS, FEATURES = 192, 256
ECA_PLACES = ("region", "map")


class MaxFeatureMap(nn.Module):
    """Convolution to twice the channels, then the larger of the two halves: (B, in, H, W) → (B, out, H, W)."""

    def __init__(self, inp: int, out: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv2d(inp, 2 * out, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.conv(x).chunk(2, dim=1)
        return torch.maximum(first, second)


class Residual(nn.Module):
    """Two 3×3 convolutions, each with MFM, around which the input is added (Table 2: Conv2_x, Conv3_x)."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(MaxFeatureMap(channels, channels, 3), MaxFeatureMap(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class MaxPlusAveragePool(nn.Module):
    """2×2 max-pool plus 2×2 average pool, as in the published LightCNN weights the paper starts from; an odd side loses a row."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) + F.avg_pool2d(x, 2)


def base(channels: int) -> nn.Sequential:
    """LightCNN-29 up to the pool after MFM3 (Table 2); 1,188,576 parameters with one input channel."""
    return nn.Sequential(
        MaxFeatureMap(channels, 48, 5),
        MaxPlusAveragePool(),
        Residual(48),
        MaxFeatureMap(48, 48, 1),
        MaxFeatureMap(48, 96, 3),
        MaxPlusAveragePool(),
        Residual(96),
        Residual(96),
        MaxFeatureMap(96, 96, 1),
        MaxFeatureMap(96, MAP_CHANNELS, 3),
        MaxPlusAveragePool(),
    )


def adaptive_kernel(channels: int, gamma: int = 2, offset: int = 1) -> int:
    """Kernel size of efficient channel attention by its own paper's rule: the odd number at (log₂ C + b) / γ; 5 for 192."""
    size = int(abs(math.log2(channels) + offset) / gamma)
    return size + 1 - size % 2


class ChannelAttention(nn.Module):
    """Efficient channel attention (ECA): weights in (0, 1) from the channels' means, (B, C) → (B, C).

    The weights do not vary over space, so weighting a map and then averaging it is the same as weighting its means.
    """

    def __init__(self, kernel: int):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, means: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(means.unsqueeze(1)).squeeze(1))


class ImponderousNet(nn.Module):
    """The network of paper 000.

    Without the ensemble the branches' features are joined and L2-normalised as one vector for one classifier: the reading of
    "without implicit ensembling", of which the paper gives no layers, that keeps everything but the separate supervision.

    Args:
        num_classes: number of expressions.
        channels: 1 for gray as in the paper, 3 for RGB.
        mirror: join the features of the face and of its mirror image, for twice the cost (Section 4.2); 1,453,551 parameters
            with it and 1,444,591 without, with 7 classes.
        eca: "region" attends each patch and the map alone as in Figure 2, "map" before partition, None not at all (Table 8).
        eca_kernel: 3 as in the authors' later code, with which the counts above are meant; None for ECA's adaptive rule, 5
            here and 10 parameters more.
        ensemble: with a classifier for each branch (Table 8).
        global_context: with the whole map as a fifth branch (Table 8).
        scale: factor on the normalised features. The paper names none; its authors' later code has 30 for the patches.
    """

    PAPER = "000"
    INPUT_SIZE = 128
    CHANNELS = 1

    def __init__(
        self,
        num_classes: int = 7,
        channels: int = 1,
        mirror: bool = True,
        eca: str | None = "region",
        eca_kernel: int | None = 3,
        ensemble: bool = True,
        global_context: bool = True,
        scale: float = 1.0,
    ):
        super().__init__()
        if eca not in (*ECA_PLACES, None):
            raise ValueError(f"eca {eca!r} is none of {(*ECA_PLACES, None)}")
        if eca_kernel is not None and eca_kernel % 2 != 1:
            raise ValueError(f"eca_kernel must be odd, not {eca_kernel}")
        self.mirror, self.eca_place, self.global_context, self.scale = mirror, eca, global_context, scale
        branches, width = 4 + global_context, FEATURES * (1 + mirror)
        self.base = base(channels)
        attentions = {"region": branches, "map": 1, None: 0}[eca]
        kernel = eca_kernel or adaptive_kernel(MAP_CHANNELS)
        self.eca = nn.ModuleList(ChannelAttention(kernel) for _ in range(attentions))
        self.describe = nn.ModuleList(nn.Linear(MAP_CHANNELS, FEATURES) for _ in range(branches))
        widths = [width] * branches if ensemble else [width * branches]
        self.classify = nn.ModuleList(nn.Linear(width, num_classes, bias=False) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, S, S) float, normalised, S ≥ 16 → (B, num_classes) logits, the mean of the branches'.

        The paper does not say what of the branches is averaged; its authors' later code averages the classifiers' outputs.
        """
        return torch.stack(self.branch_logits(x)).mean(0)

    def branch_logits(self, x: Tensor) -> list[Tensor]:
        """The logits (B, num_classes) of each branch: upper left, upper right, lower left, lower right, whole map.

        The loss is the sum of the branches' cross-entropies (Section 3.4).
        """
        features = self._features(x)
        if self.mirror:
            features = [torch.cat(pair, 1) for pair in zip(features, self._features(x.flip(3)), strict=True)]
        if len(self.classify) == 1:
            features = [torch.cat(features, 1)]
        normalised = [self.scale * F.normalize(f, dim=1) for f in features]
        return [classify(f) for classify, f in zip(self.classify, normalised, strict=True)]

    def _features(self, view: Tensor) -> list[Tensor]:
        """One view → (B, 256) of each branch."""
        whole = self.base(view)
        means = [region.mean((2, 3)) for region in patches(whole)]
        if self.global_context or self.eca_place == "map":
            mean = whole.mean((2, 3))
        if self.global_context:
            means.append(mean)
        if self.eca_place == "region":
            means = [m * eca(m) for m, eca in zip(means, self.eca, strict=True)]
        elif self.eca_place == "map":
            weights = self.eca[0](mean)
            means = [m * weights for m in means]
        return [F.relu(describe(m)) for m, describe in zip(means, self.describe, strict=True)]


def patches(x: Tensor) -> list[Tensor]:
    """The four quarters of a map (B, C, H, W), all of the same size: the middle row or column of an odd side is in both halves."""
    height, width = ((side + 1) // 2 for side in x.shape[2:])
    upper, lower = x[:, :, :height], x[:, :, x.shape[2] - height :]
    left, right = slice(width), slice(x.shape[3] - width, None)
    return [half[..., columns] for half in (upper, lower) for columns in (left, right)]
