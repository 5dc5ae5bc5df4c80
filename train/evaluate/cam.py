"""Class-activation maps: where in a face the evidence for an answer lies (Grad-CAM, Selvaraju et al. 2017).

A network may say which of its modules gives the map to look at, by a method ``cam_layer() -> nn.Module``: one whose output is
(B, channels, H, W), or (B, channels, orientations, H, W). Without it the last part of the network that has a map is taken.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgefer.errors import InputRejected
from edgefer.spec import ModelSpec

SMALLEST_MAP = 4
"""Side below which a map hardly says where; taken only when the network has none larger."""


def cam_layer(network: nn.Module, spec: ModelSpec) -> nn.Module:
    """The module whose output is looked at: the network's own ``cam_layer()``, else the last that gives a map of at least 4×4.

    Raises:
        InputRejected: nothing in the network has a feature map.
    """
    if hasattr(network, "cam_layer"):
        return network.cam_layer()
    seen: list[tuple[nn.Module, int]] = []

    def note(module: nn.Module, _inputs, output) -> None:
        if isinstance(output, Tensor) and output.ndim in (4, 5):
            seen.append((module, min(output.shape[-2:])))

    hooks = [part.register_forward_hook(note) for part in parts(network)]
    with torch.inference_mode():
        network(torch.zeros(1, spec.channels, spec.input_size, spec.input_size))
    for hook in hooks:
        hook.remove()
    for smallest in (SMALLEST_MAP, 2):
        if found := [module for module, side in seen if side >= smallest]:
            return found[-1]
    raise InputRejected(f"{type(network).__name__} has no feature map; give it a method cam_layer()")


def parts(network: nn.Module) -> list[nn.Module]:
    """What a network is made of: sequences and a lone wrapped network are looked into, blocks are not.

    A convolution inside a block may see only one of its branches; the block's output is what the rest of the network sees.
    """
    children, found = list(network.children()), []
    for child in children:
        found.append(child)
        if len(children) == 1 or isinstance(child, nn.Sequential | nn.ModuleList):
            found += parts(child)
    return found


def name_of(network: nn.Module, layer: nn.Module) -> str:
    """The path of a module within its network."""
    return next(name for name, module in network.named_modules() if module is layer)


def class_activation(
    network: nn.Module, layer: nn.Module, spec: ModelSpec, crops: np.ndarray, classes: np.ndarray
) -> np.ndarray:
    """Grad-CAM of each crop for a class: float32 (N, S, S), 0…1; all 0 where nothing speaks for the class.

    Args:
        network: in evaluation mode.
        layer: of it, whose output is looked at; see ``cam_layer``.
        spec: of the network.
        crops: uint8 (N, S, S, C).
        classes: int (N,), the class whose logit is explained.
    """
    x = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - spec.mean) / spec.scale
    maps = grad_cam(network, layer, x, torch.from_numpy(classes))[:, None]
    maps = F.interpolate(maps, (spec.input_size,) * 2, mode="bilinear", align_corners=False)[:, 0].numpy()
    return maps / np.maximum(maps.max((1, 2), keepdims=True), 1e-12)


def grad_cam(network: nn.Module, layer: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """ReLU(Σ_k α_k A_k), α_k the mean gradient of the class's logit over map A_k (Equations 1 and 2): (B, h, w), detached.

    A layer that runs twice, on the face and on its mirror image, is read where it saw the face; captum's ``LayerGradCam``,
    otherwise the same, reads the last.
    """
    outputs: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        logits = network(x)
    finally:
        hook.remove()
    features = outputs[0]
    (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), features)
    weights = gradient.flatten(2).mean(2)[(..., *[None] * (features.ndim - 2))]
    maps = (weights * features).detach()
    return maps.flatten(1, -3).sum(1).relu()


def chosen(labels: np.ndarray, predicted: np.ndarray, each: int = 3, seed: int = 0) -> dict[int, tuple]:
    """Class with faces → (rows of right faces, rows of wrong ones): up to ``each``, drawn by chance, not picked."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for k in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == k))
        right = predicted[of_class] == k
        drawn[int(k)] = of_class[right][:each], of_class[~right][:each]
    return drawn
