"""The graph as deployed: uint8 crop in, float probabilities out. Preprocessing belongs to the model, so it lives in here."""

import numpy as np
import torch
from torch import Tensor, nn

from edgefer.spec import ModelSpec


class DeployedGraph(nn.Module):
    """uint8 (1, S, S, C) grey levels → float32 (1, classes) probabilities: cast, layout, normalisation, network, softmax.

    A network that can be folded into a plain one is, so that no device computes what never changes; ``fold=False`` keeps it.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec, fold: bool = True):
        super().__init__()
        self.network = network.folded() if fold and hasattr(network, "folded") else network
        self.mean, self.scale = spec.mean, spec.scale

    def forward(self, crop: Tensor) -> Tensor:
        x = (crop.permute(0, 3, 1, 2).float() - self.mean) / self.scale
        return torch.softmax(self.network(x), dim=1)


def network_input(spec: ModelSpec, crops: np.ndarray) -> Tensor:
    """uint8 crops (N, S, S, C) → what the network takes, float32 (N, C, S, S)."""
    return (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - spec.mean) / spec.scale


def probabilities(network: nn.Module, spec: ModelSpec, crops: np.ndarray, batch: int = 256) -> np.ndarray:
    """What fp32 torch says of uint8 crops (N, S, S, C): float32 (N, classes). The reference of the parity ladder.

    The network is as trained, not folded, so that the ladder sees a fold that changes it.
    """
    graph = DeployedGraph(network, spec, fold=False).eval()
    with torch.inference_mode():
        parts = [graph(torch.from_numpy(crops[i : i + batch])) for i in range(0, len(crops), batch)]
    return torch.cat(parts).numpy()
