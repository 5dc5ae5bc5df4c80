"""RedNet-50 and ViT-B/16 side by side, their feature maps fused by a 1×1 convolution.

Source: "Using Transformer and Involution for facial expression recognition", Section 3.1, Figure 1 and Equations 1–6. RedNet is
ResNet with involutions in place of the 3×3 convolutions of its bottlenecks and of its stem's second layer.

Shapes for an input of side S (paper: 352), batch B, at the paper's options:
    x             B, channels, S, S          normalised to about [−1, 1]
    stem          B, 64, S/4, S/4            3×3 stride 2, involution 3×3, 3×3, max-pool stride 2
    stages        B, 256 · 512 · 1024 · 2048, S/4 · S/8 · S/16 · S/32
    tokens        B, 1 + (S/16)², 768        a class token and one token a patch, through 12 layers
    patches       B, 768, S/16, S/16         the patches' tokens as a map, averaged onto the stages' S/32 × S/32
    fused         B, 768, S/32, S/32         1×1 convolution of all 2816 channels; then global average pool
    logits        B, num_classes

What the paper leaves open, and how it is read here:
- "Hybrid architecture is used before vision transformer" could mean a convolutional network whose feature map is cut into
  patches. But the two branches are said to be parallel, and a hybrid's patch projection would not have the size of ViT-B/16's:
  here the pair of branches is the hybrid, and the transformer cuts its 16×16 patches from the image itself.
- The maps differ in size (11² and 22² at 352²): the transformer's is averaged over 2×2 patches. The class token is not fused.
- The fused map's width (768 here), and what follows the 1×1 convolution (batch normalisation and ReLU here).
Its ImageNet weights are not used: training starts from scratch.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VisionTransformer

GROUP_CHANNELS, REDUCTION, EXPANSION = 16, 4, 4
"""Channels that share one involution kernel, bottleneck of the kernels' generator, bottleneck of a block (RedNet)."""


class Involution(nn.Module):
    """A kernel of its own for every place, generated from that place and shared by 16 channels (paper, Equations 1–3).

    (B, C, H, W) → (B, C, ⌈H/stride⌉, ⌈W/stride⌉), C a multiple of 16. With a stride, kernels come from averaged places.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1):
        super().__init__()
        if channels % GROUP_CHANNELS:
            raise ValueError(f"involution needs a multiple of {GROUP_CHANNELS} channels, not {channels}")
        self.kernel, self.stride, self.groups = kernel, stride, channels // GROUP_CHANNELS
        self.squeeze = _conv_bn_relu(channels, channels // REDUCTION, 1)
        self.span = nn.Conv2d(channels // REDUCTION, kernel * kernel * self.groups, 1)

    def kernels(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, groups, 1, K², H', W'), rows of a kernel one after the other."""
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        kernels = self.span(self.squeeze(x))
        return kernels.view(x.shape[0], self.groups, 1, self.kernel**2, *kernels.shape[2:])

    def forward(self, x: Tensor) -> Tensor:
        kernels = self.kernels(x)
        height, width = kernels.shape[4:]
        neighbours = F.unfold(x, self.kernel, padding=self.kernel // 2, stride=self.stride)
        neighbours = neighbours.view(x.shape[0], self.groups, GROUP_CHANNELS, self.kernel**2, height, width)
        return (kernels * neighbours).sum(3).reshape(x.shape[0], x.shape[1], height, width)


class Bottleneck(nn.Module):
    """1×1, involution, 1×1, and a shortcut: (B, in, H, W) → (B, out, ⌈H/stride⌉, ⌈W/stride⌉).

    The body starts at a quarter of the shortcut's scale. An involution multiplies what it sees by what it sees: through sixteen
    of them at full scale, untrained, a rounding error grows to a hundredth of the signal; at a quarter to a hundred-thousandth.
    """

    def __init__(self, inp: int, out: int, kernel: int, stride: int):
        super().__init__()
        middle = out // EXPANSION
        self.body = nn.Sequential(
            _conv_bn_relu(inp, middle, 1),
            Involution(middle, kernel, stride),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        nn.init.constant_(self.body[-1].weight, 0.25)
        self.shortcut = nn.Identity()
        if stride != 1 or inp != out:
            self.shortcut = nn.Sequential(nn.Conv2d(inp, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class RedNet(nn.Module):
    """RedNet without its classifier: (B, channels, S, S) → (B, 32·width, S/32, S/32) at the stem's stride of 2."""

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        kernel: int = 7,
        stem_stride: int = 2,
    ):
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(
            _conv_bn_relu(channels, half, 3, stem_stride),
            Involution(half, 3),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            _conv_bn_relu(half, width, 3),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        outs = [EXPANSION * width << stage for stage in range(len(blocks))]
        inputs = [width, *outs]
        self.stages = nn.Sequential(
            *(
                _stage(inp, out, count, kernel, 1 if stage == 0 else 2)
                for stage, (inp, out, count) in enumerate(zip(inputs, outs, blocks, strict=False))
            )
        )
        self.out_channels = outs[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(self.stem(x))


class PatchTransformer(nn.Module):
    """torchvision's ViT up to its last layer norm, its patches as a map.

    (B, channels, S, S) → (B, hidden, ⌈S/patch⌉, ⌈S/patch⌉). Positions are learned for ``image_size`` and interpolated for any
    other; a side that no whole number of patches fills is continued with zeros.
    """

    def __init__(self, channels: int, image_size: int, patch: int, depth: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.vit = VisionTransformer(image_size, patch, depth, heads, hidden, 4 * hidden, dropout)
        self.vit.heads = nn.Identity()
        if channels != 3:
            self.vit.conv_proj = nn.Conv2d(channels, hidden, patch, patch)
        self.patch, self.grid, self.out_channels = patch, image_size // patch, hidden

    def forward(self, x: Tensor) -> Tensor:
        below, right = (-side % self.patch for side in x.shape[2:])
        patches = self.vit.conv_proj(F.pad(x, (0, right, 0, below)) if below or right else x)
        rows, columns = patches.shape[2:]
        tokens = torch.cat([self.vit.class_token.expand(x.shape[0], -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        encoder = self.vit.encoder
        tokens = encoder.ln(encoder.layers(encoder.dropout(tokens + self.positions(rows, columns))))
        return tokens[:, 1:].transpose(1, 2).reshape(x.shape[0], self.out_channels, rows, columns)

    def positions(self, rows: int, columns: int) -> Tensor:
        """(1, 1 + rows·columns, hidden): the class token's, then one a patch."""
        learned = self.vit.encoder.pos_embedding
        if (rows, columns) == (self.grid, self.grid):
            return learned
        grid = learned[:, 1:].transpose(1, 2).reshape(1, self.out_channels, self.grid, self.grid)
        resized = F.interpolate(grid, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([learned[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


class InvolutionViT(nn.Module):
    """The network of paper 004; the options' defaults are its RedNet-50 and ViT-B/16.

    Args:
        num_classes: number of expressions.
        channels: 3 for RGB as in the paper, 1 for gray.
        image_size: side the transformer's positions are learned for, a multiple of ``patch``; other sides are accepted.
        stem_stride: of RedNet's first convolution; 1 keeps twice the rows of a small face.
        width: channels of RedNet's stem, a multiple of 32; its four stages have 4, 8, 16 and 32 times as many.
        blocks: bottlenecks of each stage.
        kernel: side of the bottlenecks' involutions, odd.
        patch: side of the transformer's patches.
        depth: its layers.
        heads: of each layer's attention.
        hidden: width of its tokens; the multilayer perceptrons are four times as wide.
        fused: channels of the fused map.
        dropout: probability, in training, of dropping a feature in the transformer and before the classifier.
    """

    PAPER = "004"
    INPUT_SIZE = 352
    CHANNELS = 3

    def __init__(
        self,
        num_classes: int = 7,
        channels: int = 3,
        image_size: int = 352,
        stem_stride: int = 2,
        width: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        kernel: int = 7,
        patch: int = 16,
        depth: int = 12,
        heads: int = 12,
        hidden: int = 768,
        fused: int = 768,
        dropout: float = 0.0,
    ):
        super().__init__()
        if image_size % patch:
            raise ValueError(f"image_size {image_size} is no multiple of patch {patch}")
        self.involution = RedNet(channels, width, blocks, kernel, stem_stride)
        self.transformer = PatchTransformer(channels, image_size, patch, depth, heads, hidden, dropout)
        self.fusion = _conv_bn_relu(self.involution.out_channels + hidden, fused, 1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(fused, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, S, S) float, normalised, S ≥ 32 → (B, num_classes) logits."""
        stages = self.involution(x)
        patches = F.adaptive_avg_pool2d(self.transformer(x), stages.shape[2:])
        fused = self.fusion(torch.cat([stages, patches], dim=1))
        return self.classifier(fused.mean([2, 3]))

    def cam_layer(self) -> nn.Module:
        """Where class-activation maps are taken: both branches' joint map."""
        return self.fusion


def _conv_bn_relu(inp: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inp, out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


def _stage(inp: int, out: int, repeats: int, kernel: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(out, out, kernel, 1) for _ in range(repeats - 1))
    return nn.Sequential(Bottleneck(inp, out, kernel, stride), *rest)
