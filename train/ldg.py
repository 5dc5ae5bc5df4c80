"""Label distribution generator (LDG): frozen networks whose softmax a lighter one learns (LDL, paper 001, Section 3.3).

The paper's LDG is a ResNet-50 fine-tuned with single labels. Any checkpoints serve here; several are averaged. They judge the
very crop that the student sees, augmented and mixed, so that their distribution fits that view of the face. The paper divides
the loss of Equation 5 by the number of classes; here it stays a plain mean over the batch, which scales the learning rate only.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from edgefer.errors import InputRejected
from edgefer.spec import ModelSpec
from train import checkpoint


class LabelDistributionGenerator(nn.Module):
    """Frozen networks that give a label distribution for normalised crops of any side.

    Args:
        networks: with the ModelSpec of each; all must know the same labels and channels.
        precision: torch dtype in which they run under autocast, None for float32.
    """

    def __init__(self, networks: Sequence[tuple[nn.Module, ModelSpec]], precision: torch.dtype | None = None):
        super().__init__()
        self.networks = nn.ModuleList(
            convert_conv2d_weight_memory_format(network.eval().requires_grad_(False), torch.channels_last)
            for network, _ in networks
        )
        self.sizes = [spec.input_size for _, spec in networks]
        self.precision = precision

    def train(self, mode: bool = True) -> "LabelDistributionGenerator":
        """Stays in evaluation mode: batch statistics of a frozen network are those it was trained to."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Normalised (B, C, S, S) → float32 distributions (B, classes)."""
        with torch.autocast(x.device.type, self.precision, enabled=self.precision is not None):
            said = [network(_sized(x, side)) for network, side in zip(self.networks, self.sizes, strict=True)]
        return torch.stack([logits.float().softmax(1) for logits in said]).mean(0)


def load(folders: Sequence[Path], labels: tuple[str, ...], channels: int, bf16: bool) -> LabelDistributionGenerator:
    """The checkpoints in ``folders`` as one LDG for a student with these labels and channels.

    Raises:
        InputRejected: a checkpoint is damaged, or knows other labels or channels than the student.
    """
    loaded = [checkpoint.load(folder) for folder in folders]
    for folder, (_, spec) in zip(folders, loaded, strict=True):
        if (spec.labels, spec.channels) != (labels, channels):
            raise InputRejected(
                f"{folder} knows {len(spec.labels)} labels on {spec.channels} channels and cannot teach a network of "
                f"{len(labels)} on {channels}; train an LDG with the same classes and channels as the recipe"
            )
    return LabelDistributionGenerator(loaded, torch.bfloat16 if bf16 else None)


def _sized(x: Tensor, side: int) -> Tensor:
    if x.shape[2] == side:
        return x
    shrinks = x.shape[2] > side
    return F.interpolate(x, (side, side), mode="bilinear", align_corners=False, antialias=shrinks)
