"""The finder as deployed: uint8 gray square in; scores as probabilities, boxes and landmarks out, all float."""

import numpy as np
import torch
from torch import Tensor, nn

from edgefer.finder_spec import OUTPUTS, FinderSpec


class DeployedFinder(nn.Module):
    """uint8 (1, S, S, 1) → float32 scores (1, cells, 1), boxes (1, cells, 4), landmarks (1, cells, 10): ``OUTPUTS``."""

    def __init__(self, network: nn.Module, spec: FinderSpec):
        super().__init__()
        self.network, self.mean, self.scale = network, spec.mean, spec.scale

    def forward(self, square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = (square.permute(0, 3, 1, 2).float() - self.mean) / self.scale
        scores, boxes, landmarks = self.network(x)
        return torch.sigmoid(scores), boxes, landmarks


def outputs(network: nn.Module, spec: FinderSpec, squares: np.ndarray, batch: int = 64) -> list[dict[str, np.ndarray]]:
    """What fp32 torch says of uint8 squares (N, S, S), one dictionary a square, as an engine's: the reference of parity."""
    graph = DeployedFinder(network, spec).eval()
    found = []
    with torch.inference_mode():
        for at in range(0, len(squares), batch):
            parts = [part.numpy() for part in graph(torch.from_numpy(squares[at : at + batch, :, :, None]))]
            rows = range(len(parts[0]))
            found += [{k: p[i : i + 1] for k, p in zip(OUTPUTS, parts, strict=True)} for i in rows]
    return found
