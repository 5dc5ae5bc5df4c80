"""The networks, by name. A new one is a file here, a line in ``SYSTEMS`` and a recipe."""

from torch import nn

from edgefer.errors import unknown
from train.models import resized
from train.models.baselines import MobileNetV2, ResNet18, ResNet50, ShuffleNetV2
from train.models.csgresnet import CSGResNet18, CSGResNet34
from train.models.efficientface import EfficientFace
from train.models.imponderous import ImponderousNet
from train.models.involution_vit import InvolutionViT
from train.models.microexpnet import MicroExpNet

SYSTEMS: dict[str, type[nn.Module]] = {
    "efficientface": EfficientFace,
    "imponderous": ImponderousNet,
    "csgresnet18": CSGResNet18,
    "csgresnet34": CSGResNet34,
    "microexpnet": MicroExpNet,
    "shufflenetv2": ShuffleNetV2,
    "mobilenetv2": MobileNetV2,
    "resnet18": ResNet18,
    "resnet50": ResNet50,
    "involution_vit": InvolutionViT,
}
"""Each class has PAPER, INPUT_SIZE and CHANNELS (the paper's), and takes num_classes and channels beside its own options."""


def build(system: str, num_classes: int, channels: int, options: dict | None = None) -> nn.Module:
    """An untrained network.

    Args:
        system: name in ``SYSTEMS``.
        num_classes: of the logits.
        channels: of the input.
        options: the network's own, and "resized": layers whose sizes pruning changed.

    Raises:
        UsageError: no such system.
        ValueError, TypeError: options the network does not take.
    """
    if system not in SYSTEMS:
        raise unknown("system", system, SYSTEMS, "train/models/")
    own = dict(options or {})
    other = own.pop(resized.OPTION, {})
    network = SYSTEMS[system](num_classes=num_classes, channels=channels, **own)
    resized.resize(network, other)
    return network


def paper_network(system: str, num_classes: int = 7) -> nn.Module:
    """The network as its paper builds it."""
    if system not in SYSTEMS:
        raise unknown("system", system, SYSTEMS, "train/models/")
    return build(system, num_classes, SYSTEMS[system].CHANNELS)
