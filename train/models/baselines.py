"""Baselines of all five papers: torchvision's networks, unchanged but for input channels, classes and, as an option, the stem.

Shapes for an input of side S, batch B:
    x        B, channels, S, S      normalised to about [−1, 1]
    logits   B, num_classes

The published stems divide the side by four before the first stage, which leaves little of a 48² face: ``stem_stride=1`` starts
with a 3×3 convolution of stride 1 and keeps the pooling, so that a face of 48² is seen like one of 96².
"""

from torch import Tensor, nn
from torchvision import models as published


class Baseline(nn.Module):
    """A torchvision classifier with its own stem convolution.

    Args:
        num_classes: number of expressions.
        channels: 3 for RGB as published, 1 for gray.
        stem_stride: None for the published stem, or the stride of a 3×3 one.
        dropout: probability of dropping a feature before the classifier, in training; None for the published one.
    """

    PAPER = "baseline"
    INPUT_SIZE = 224
    CHANNELS = 3

    def __init__(
        self, num_classes: int = 7, channels: int = 3, stem_stride: int | None = None, dropout: float | None = None
    ):
        super().__init__()
        self.network = self.published(num_classes=num_classes)
        self._replace_stem(channels, stem_stride)
        if dropout is not None:
            self._classifier_dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, S, S) float, normalised, S ≥ 32 → (B, num_classes) logits."""
        return self.network(x)

    def _replace_stem(self, channels: int, stride: int | None) -> None:
        holder, name = self.network, self.STEM
        if "." in name:
            holder, name = self.network.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]
        old = holder.get_submodule(name)
        if stride is None and channels == old.in_channels:
            return
        kernel, step = (old.kernel_size, old.stride) if stride is None else ((3, 3), (stride, stride))
        padding = tuple(k // 2 for k in kernel)
        setattr(holder, name, nn.Conv2d(channels, old.out_channels, kernel, step, padding, bias=False))

    def _classifier_dropout(self, dropout: float) -> None:
        parts = [nn.Dropout(dropout), next(m for m in self.network.modules() if isinstance(m, nn.Linear))]
        setattr(self.network, self.CLASSIFIER, nn.Sequential(*parts))


class ShuffleNetV2(Baseline):
    """ShuffleNetV2 ×1.0, what EfficientFace starts from (paper 001)."""

    published, STEM, CLASSIFIER = staticmethod(published.shufflenet_v2_x1_0), "conv1.0", "fc"


class MobileNetV2(Baseline):
    """MobileNetV2 ×1.0."""

    published, STEM, CLASSIFIER = staticmethod(published.mobilenet_v2), "features.0.0", "classifier"


class ResNet18(Baseline):
    """ResNet-18."""

    published, STEM, CLASSIFIER = staticmethod(published.resnet18), "conv1", "fc"


class ResNet50(Baseline):
    """ResNet-50, which fine-tuned with single labels is paper 001's label distribution generator (LDG)."""

    published, STEM, CLASSIFIER = staticmethod(published.resnet50), "conv1", "fc"
