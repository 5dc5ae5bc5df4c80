"""The networks of the peers, built from their published architectures with random weights.

What a dense network computes, and so how long it takes, does not depend on the values of its weights, with one exception:
values so small that they are denormal are slow. ``build`` therefore sets the batch normalisations from random pictures, which
keeps activations near one, as they are in a trained network.
"""

from collections.abc import Callable

CALIBRATION_PICTURES = 4
MOBILEFACENET = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Bottlenecks of MobileFaceNet's Table 1: expansion, channels, repeats, stride of the first."""
MOBILEFACENET_EMBEDDING = 512
"""The paper's embedding has 128 values. With 512 the fp32 weights take the 4.79 MB of OpenCV's file."""


def build(name: str, classes: int, side: int):
    """A network in evaluation mode: float32 (1, 3, side, side) → (1, classes).

    Raises:
        ModuleNotFoundError: the package that has the architecture is not installed; ``error.name`` is it.
    """
    import torch

    torch.manual_seed(0)
    network = BUILDERS[name](classes)
    settle_normalisation(network, torch.randn(CALIBRATION_PICTURES, 3, side, side))
    return network.eval()


def settle_normalisation(network, pictures) -> None:
    """Let every batch normalisation see the statistics of its own input once."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = None  # the plain mean of what it sees
            module.reset_running_stats()
    with torch.no_grad():
        network.train()(pictures)


def mobilefacenet(classes: int):
    """MobileFaceNet (Chen et al. 2018) for 112² RGB, with a linear classifier over its embedding."""
    from torch import nn

    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1, act=True):
        layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)]
        return [*layers, nn.BatchNorm2d(outputs), *([nn.PReLU(outputs)] if act else [])]

    def bottleneck(inputs: int, outputs: int, expansion: int, stride: int):
        wide = expansion * inputs
        layers = [*conv(inputs, wide, 1), *conv(wide, wide, 3, stride, 1, wide), *conv(wide, outputs, 1, act=False)]
        return (Residual if stride == 1 and inputs == outputs else nn.Sequential)(*layers)

    layers, channels = [*conv(3, 64, 3, 2, 1), *conv(64, 64, 3, 1, 1, 64)], 64
    for expansion, outputs, repeats, first in MOBILEFACENET:
        for index in range(repeats):
            layers.append(bottleneck(channels, outputs, expansion, 1 if index else first))
            channels = outputs
    layers += [*conv(128, 512, 1), *conv(512, 512, 7, groups=512, act=False)]
    layers += [*conv(512, MOBILEFACENET_EMBEDDING, 1, act=False), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(MOBILEFACENET_EMBEDDING, classes))


def _torchvision(name: str) -> Callable:
    def builder(classes: int):
        import torchvision

        return torchvision.models.get_model(name, num_classes=classes)

    return builder


def _timm(name: str) -> Callable:
    def builder(classes: int):
        import timm

        return timm.create_model(name, pretrained=False, num_classes=classes)

    return builder


BUILDERS = {
    "shufflenetv2": _torchvision("shufflenet_v2_x1_0"),
    "mobilenetv2": _torchvision("mobilenet_v2"),
    "resnet18": _torchvision("resnet18"),
    "resnet50": _torchvision("resnet50"),
    "efficientnet_b0": _torchvision("efficientnet_b0"),
    "efficientnet_b2": _torchvision("efficientnet_b2"),
    "mobilevit_s": _timm("mobilevit_s"),
    "mobilefacenet": mobilefacenet,
}
"""Name → function of the number of classes."""
