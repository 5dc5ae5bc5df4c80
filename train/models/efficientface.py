"""EfficientFace: ShuffleNetV2 with a local-feature extractor and a channel-spatial modulator after stage 2.

Source: "Robust Lightweight Facial Expression Recognition Network with Label Distribution Training" (AAAI 2021), Figure 3,
Equations 1–3 and Table 1.

Shapes for an input of side S (paper: 224), batch B:
    x        B, channels, S, S          normalised to about [−1, 1]
    conv1    B, 29, S/4, S/4            3×3 stride 2, max-pool stride 2; 29·4 = 116 suits the depthwise extractor
    stage2   B, 116, S/8, S/8           modulated, plus the local features of the same shape
    stage3   B, 232, S/16, S/16
    stage4   B, 464, S/32, S/32
    conv5    B, 1024, S/32, S/32        then global average pool
    logits   B, num_classes
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.shufflenetv2 import InvertedResidual

from train.models.unshuffled import UnshuffledStage, reordered, reordered_input

MODULATORS = ("add", "multiply")


class LocalFeatureExtractor(nn.Module):
    """Four spatial quarters, each with its own two depthwise 3×3 convolutions, stitched back (paper, Figure 3 upper left).

    (B, in, H, W) → (B, out, ⌈H/2⌉, ⌈W/2⌉). The cut lies at H/2, moved to the nearest even row, so that halving both parts
    gives back exactly ⌈H/2⌉ rows at any input size.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.quarters = nn.ModuleList(self._quarter(in_channels, out_channels) for _ in range(4))

    @staticmethod
    def _quarter(inp: int, out: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inp, out, 3, stride=2, padding=1, groups=inp, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, groups=out, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        row, column = (2 * ((side + 2) // 4) for side in x.shape[2:])
        upper_left, upper_right, lower_left, lower_right = self.quarters
        upper = torch.cat([upper_left(x[:, :, :row, :column]), upper_right(x[:, :, :row, column:])], dim=3)
        lower = torch.cat([lower_left(x[:, :, row:, :column]), lower_right(x[:, :, row:, column:])], dim=3)
        return torch.cat([upper, lower], dim=2)


class Modulator(nn.Module):
    """Channel and spatial heatmaps in the manner of BAM, one sigmoid over both (paper, Equations 1 and 2).

    Args:
        channels: of the feature map; the bottleneck keeps a sixteenth of them.
        form: "add" joins the two maps before the sigmoid as Equation 1 does; "multiply" as the authors' code does.
    """

    def __init__(self, channels: int, form: str):
        super().__init__()
        if form not in MODULATORS:
            raise ValueError(f"modulator form {form!r} is none of {MODULATORS}")
        self.form = form
        squeezed = channels // 16
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.BatchNorm2d(squeezed),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
        )
        dilated = [
            layer
            for _ in range(2)
            for layer in (
                nn.Conv2d(squeezed, squeezed, 3, padding=4, dilation=4),
                nn.BatchNorm2d(squeezed),
                nn.ReLU(),
            )
        ]
        self.spatial = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1), nn.BatchNorm2d(squeezed), nn.ReLU(), *dilated, nn.Conv2d(squeezed, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        channel, spatial = self.channel(x), self.spatial(x)
        heat = channel + spatial if self.form == "add" else channel * spatial
        return x * torch.sigmoid(heat)


class EfficientFace(nn.Module):
    """The network of paper 001.

    Args:
        num_classes: number of expressions.
        channels: 3 for RGB as in the paper, 1 for gray.
        local: with the local-feature extractor (Table 1).
        modulator: "add", "multiply", or None for none (Table 1).
        stem_stride: of the first convolution; 2 as in the paper, 1 to see a small face at twice its size.
        bypassed: stage → units of stride 1 (1 is the first) whose branch was pruned away: they only shuffle.
    """

    PAPER = "001"
    INPUT_SIZE = 224
    CHANNELS = 3

    def __init__(
        self,
        num_classes: int = 7,
        channels: int = 3,
        local: bool = True,
        modulator: str | None = "add",
        stem_stride: int = 2,
        bypassed: dict[str, Sequence[int]] | None = None,
    ):
        super().__init__()
        self.conv1 = _conv_bn_relu(channels, 29, 3, stride=stem_stride)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stage2 = _stage(29, 116, 4)
        self.stage3 = _stage(116, 232, 8)
        self.stage4 = _stage(232, 464, 4)
        self.conv5 = _conv_bn_relu(464, 1024, 1)
        self.local = LocalFeatureExtractor(29, 116) if local else None
        self.modulator = Modulator(116, modulator) if modulator else nn.Identity()
        self.fc = nn.Linear(1024, num_classes)
        for stage, units in (bypassed or {}).items():
            for unit in units:
                self.bypass(stage, unit)

    def bypass(self, stage: str, unit: int) -> None:
        """Take the branch of a unit of stride 1 away.

        Raises:
            ValueError: no such unit; or one of stage 2 beside local features, which could then not be put into one order.
        """
        stages = ("stage3", "stage4") if self.local is not None else ("stage2", "stage3", "stage4")
        if stage not in stages or not 1 <= unit < len(getattr(self, stage)):
            raise ValueError(f"there is no unit {unit} of stride 1 to bypass in {stage!r} (of {', '.join(stages)})")
        units = getattr(self, stage)
        units[unit].branch2 = nn.Identity()

    def folded(self) -> nn.Module:
        """The same function in evaluation mode without channel shuffles; see ``UnshuffledEfficientFace``."""
        return UnshuffledEfficientFace(self).eval()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, S, S) float, normalised, S ≥ 32 → (B, num_classes) logits."""
        stem = self.maxpool(self.conv1(x))
        x = self.modulator(self.stage2(stem))
        if self.local is not None:
            x = x + self.local(stem)  # Equation 3
        x = self.conv5(self.stage4(self.stage3(x)))
        return self.fc(x.mean([2, 3]))


class UnshuffledEfficientFace(nn.Module):
    """A trained ``EfficientFace`` whose channel shuffles are folded into the weights of the layers around them.

    The local features are added to stage 2's channels, so both must stand in one order. A quarter's first convolution makes
    four channels of each of the stem's; here the stem's output is repeated four times instead, which puts them into four
    blocks, and stage 2's channels into the same ones. An engine runs that as a plain depthwise convolution.
    """

    def __init__(self, trained: EfficientFace):
        super().__init__()
        network = copy.deepcopy(trained)
        self.conv1, self.maxpool, self.conv5, self.fc = network.conv1, network.maxpool, network.conv5, network.fc
        self.modulator, self.local = network.modulator, network.local
        stem = list(range(self.conv1[0].out_channels))
        if self.local is not None:
            stem = _by_block(UnshuffledStage(network.stage2, stem))
            for layer in self.conv1[:2]:
                reordered(layer, stem)
        rank = {channel: i for i, channel in enumerate(stem)}
        self.stage2 = UnshuffledStage(network.stage2, stem, lambda channel, _lives: (channel % 4, rank[channel // 4]))
        order = self.stage2.leaving
        if self.local is not None:
            self._reorder_local(stem, order)
        if not isinstance(self.modulator, nn.Identity):
            reordered_input(self.modulator.channel[1], order)
            reordered(self.modulator.channel[-1], order)
            reordered_input(self.modulator.spatial[0], order)
        self.stage3 = UnshuffledStage(network.stage3, order)
        self.stage4 = UnshuffledStage(network.stage4, self.stage3.leaving)
        reordered_input(self.conv5[0], self.stage4.leaving)

    def _reorder_local(self, stem: list[int], order: list[int]) -> None:
        assert [channel // 4 for channel in order] == stem * 4, (
            "stage 2's channels lie in four blocks of the stem's order"
        )
        for quarter in self.local.quarters:
            for layer in (*quarter[:2], *quarter[3:5]):
                reordered(layer, order)
            quarter[0].in_channels = quarter[0].groups = len(order)

    def forward(self, x: Tensor) -> Tensor:
        """As ``EfficientFace.forward``."""
        stem = self.maxpool(self.conv1(x))
        x = self.modulator(self.stage2(stem))
        if self.local is not None:
            x = x + self.local(torch.cat([stem] * 4, dim=1))
        x = self.conv5(self.stage4(self.stage3(x)))
        return self.fc(x.mean([2, 3]))


def _by_block(stage: UnshuffledStage) -> list[int]:
    """The stem's channels in the order in which their first channels (4g) lie at the stage's end."""
    return [channel // 4 for channel in stage.leaving if channel % 4 == 0]


def _conv_bn_relu(inp: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inp, out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


def _stage(inp: int, out: int, repeats: int) -> nn.Sequential:
    return nn.Sequential(InvertedResidual(inp, out, 2), *(InvertedResidual(out, out, 1) for _ in range(repeats - 1)))
