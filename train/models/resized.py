"""Layers of other sizes than their network's class gives them: how a pruned network is written down and built again.

The sizes travel in ``ModelSpec.options["resized"]``: name of the layer → its size. A convolution's is [out, in, groups], a
linear layer's [out, in], a batch norm's [channels].
"""

from torch import nn

OPTION = "resized"
Sizes = dict[str, list[int]]


def sizes(network: nn.Module) -> Sizes:
    """The sizes of all layers that can have another."""
    found = {name: _size(layer) for name, layer in network.named_modules()}
    return {name: size for name, size in found.items() if size}


def differing(network: nn.Module, built: nn.Module) -> Sizes:
    """The sizes in which a network differs from one as built."""
    before = sizes(built)
    return {name: size for name, size in sizes(network).items() if before.get(name) != size}


def resize(network: nn.Module, wanted: Sizes) -> None:
    """Put untrained layers of other sizes in the place of a network's own.

    Raises:
        ValueError: the network has no such layer, or the layer no such size.
    """
    for name, size in wanted.items():
        parent, _, last = name.rpartition(".")
        try:
            layer = network.get_submodule(name)
        except AttributeError:
            raise ValueError(f"there is no layer '{name}' to resize") from None
        good = isinstance(size, list) and all(type(n) is int and n > 0 for n in size)
        if not good or len(size) != len(_size(layer)):
            raise ValueError(f"{size} is no size of layer '{name}'")
        setattr(network.get_submodule(parent), last, _with_size(layer, size))


def _size(layer: nn.Module) -> list[int]:
    if isinstance(layer, nn.Conv2d):
        return [layer.out_channels, layer.in_channels, layer.groups]
    if isinstance(layer, nn.Linear):
        return [layer.out_features, layer.in_features]
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return [layer.num_features]
    return []


def _with_size(layer: nn.Module, size: list[int]) -> nn.Module:
    if isinstance(layer, nn.Conv2d):
        out, inp, groups = size
        form = {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation")}
        return nn.Conv2d(inp, out, groups=groups, bias=layer.bias is not None, padding_mode=layer.padding_mode, **form)
    if isinstance(layer, nn.Linear):
        return nn.Linear(size[1], size[0], bias=layer.bias is not None)
    return type(layer)(size[0], eps=layer.eps, momentum=layer.momentum, affine=layer.affine)
