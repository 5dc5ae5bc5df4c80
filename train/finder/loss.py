"""What the finder's outputs should be, and how far off they are.

Assignment: a face belongs to the level of its size, or to two where they meet, and there to the cells about its middle. Loss:
quality focal loss of the scores, generalised IoU of the boxes, absolute distance of the landmarks in the face's size.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from train.finder import network

RANGES = ((0.0, 24.0), (18.0, 48.0), (36.0, 1e9))
"""Sizes √(width·height) in pixels of the faces of each level, stride 4 first."""
NEAR = 1.35
"""Faces up to this factor outside a level's range are neither faces nor background to it."""
RADIUS, RADIUS_PART = 0.75, 0.15
"""Cells within so many strides, or that fraction of the face's size, of its middle in x and in y find it."""
RING = 0.6
"""Strides around those cells in which cells are neither."""
BOX_WEIGHT, LANDMARK_WEIGHT = 1.5, 20.0


class Targets(NamedTuple):
    """What every cell should find."""

    positive: Tensor
    """bool (B, N)."""
    ignored: Tensor
    """bool (B, N): neither face nor background."""
    boxes: Tensor
    """(B, N, 4): left, top, right, bottom edge in pixels; of use where positive."""
    landmarks: Tensor
    """(B, N, 10): pixels."""


class Losses(NamedTuple):
    """Scalars, each a mean over faces' cells."""

    score: Tensor
    box: Tensor
    landmarks: Tensor

    @property
    def total(self) -> Tensor:
        return self.score + BOX_WEIGHT * self.box + LANDMARK_WEIGHT * self.landmarks


class FinderLoss(torch.nn.Module):
    """Loss for an input of side ``size``."""

    def __init__(self, size: int):
        super().__init__()
        centres, strides, units = network.cells(size)
        level = torch.tensor(network.STRIDES).float()[:, None].eq(strides).float().argmax(0)
        limits = torch.tensor(RANGES)[level]
        for name, value in {"centres": centres, "strides": strides, "units": units, "limits": limits}.items():
            self.register_buffer(name, value, persistent=False)

    def targets(self, boxes: Tensor, landmarks: Tensor, there: Tensor) -> Targets:
        """Assign cells.

        Args:
            boxes: (B, M, 4) x, y, width, height in pixels.
            landmarks: (B, M, 5, 2).
            there: bool (B, M), which of the M rows are faces.
        """
        sides = boxes[..., 2:].clamp(min=1e-3)
        middle, size = boxes[..., :2] + sides / 2, sides.prod(-1).sqrt()
        distance = (self.centres[None, None] - middle[:, :, None]).abs().amax(-1)  # (B, M, N)
        reach = torch.maximum(RADIUS * self.strides[None, None], RADIUS_PART * size[..., None])
        low, high = self.limits[:, 0], self.limits[:, 1]
        fits = (size[..., None] >= low) & (size[..., None] <= high) & there[..., None]
        nearly = (size[..., None] >= low / NEAR) & (size[..., None] <= high * NEAR) & there[..., None]
        finds = fits & (distance <= reach)
        around = nearly & (distance <= reach + RING * self.strides)
        chosen = torch.where(finds, size[..., None], torch.inf).argmin(1)  # of several faces the smallest
        positive = finds.any(1)
        edges = torch.cat([boxes[..., :2], boxes[..., :2] + sides], -1)
        return Targets(
            positive, around.any(1) & ~positive, _picked(edges, chosen), _picked(landmarks.flatten(2), chosen)
        )

    def forward(self, outputs: tuple[Tensor, Tensor, Tensor], targets: Targets) -> Losses:
        """Outputs as the network gives them → losses."""
        scores, boxes, landmarks = outputs[0][..., 0], *outputs[1:]
        positive = targets.positive
        count = positive.sum().clamp(min=1)
        _, cell = positive.nonzero(as_tuple=True)
        centre, unit = self.centres[cell], self.units[cell, None]
        found = decoded_edges(boxes[positive], centre, unit)
        wanted = targets.boxes[positive]
        iou, giou = overlaps(found, wanted)
        quality = torch.zeros_like(scores)
        quality[positive] = iou.detach().clamp(0.0025, 1).sqrt()  # a small face's box is seldom exact
        score = _quality_focal(scores, quality)[~targets.ignored].sum() / count
        size = (wanted[:, 2:] - wanted[:, :2]).prod(1).sqrt()[:, None]
        points = landmarks[positive] * unit + centre.repeat(1, 5)
        off = ((points - targets.landmarks[positive]) / size).abs()
        return Losses(score, (1 - giou).sum() / count, off.mean(1).sum() / count)


def decoded_edges(distances: Tensor, centres: Tensor, units: Tensor) -> Tensor:
    """(n, 4) distances in units → left, top, right, bottom in pixels."""
    return torch.cat([centres - distances[:, :2] * units, centres + distances[:, 2:] * units], 1)


def overlaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union of pairs of boxes (n, 4) given by their edges, and its generalised form (arXiv:1902.09630)."""
    common = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(1) for box in (a, b)]
    union = (areas[0] + areas[1] - common).clamp(min=1e-6)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(1).clamp(min=1e-6)
    return common / union, common / union - (hull - union) / hull


def _quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """|y − σ|² times the binary cross-entropy against y (arXiv:2006.04388, Equation 6 with β = 2)."""
    entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (quality - logits.sigmoid()).abs().pow(2) * entropy


def _picked(values: Tensor, chosen: Tensor) -> Tensor:
    """(B, M, K) values of the face that each cell (B, N) has chosen: (B, N, K)."""
    return values.gather(1, chosen[..., None].expand(-1, -1, values.shape[-1]))
