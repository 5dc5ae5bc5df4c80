"""``python -m export.rehearse``: does an untrained network go through every format in fp32 and still say what torch says?

For a network that is being added, before it is trained, and for one too large to be trained here. Its weights are random, but
made to answer differently to different crops: plain random weights answer nearly the same to all, and then any export agrees.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from compress.toollog import tool_output
from edgefer import engines
from edgefer.errors import BudgetBroken, exit_with
from edgefer.files import write_json
from edgefer.spec import FERPLUS_LABELS
from export import build
from export.ladder import FP32_TOLERANCE
from train import models, recipe
from train.evaluate import engine_probabilities
from train.graph import DeployedGraph

CROPS, SPREAD = 8, 2.0
"""Crops of noise, and the standard deviation of a logit over them."""


class Rung(NamedTuple):
    """What one format made of a network."""

    engine: str
    difference: float
    """Largest difference of a probability from torch's."""
    seconds: float
    """Taken to write and compare."""


class Spread(nn.Module):
    """A network whose logits are shifted and scaled: (B, channels, S, S) → (B, classes)."""

    def __init__(self, network: nn.Module, mean: Tensor, scale: Tensor):
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        return (self.network(x) - self.mean) * self.scale


class Neutral:
    """The normalisation every network here is trained with, as ``DeployedGraph`` reads it from a ModelSpec."""

    mean, scale = 128.0, 128.0


def noise(size: int, channels: int) -> np.ndarray:
    """Coarse noise uint8 (8, size, size, channels): blocks of an eighth of the side, so that no network averages it away."""
    blocks = np.random.default_rng(0).integers(0, 256, (CROPS, 8, 8, channels), dtype=np.uint8)
    rows = np.arange(size) * 8 // size
    return blocks[:, rows][:, :, rows]


def sensitive(network: nn.Module, size: int, channels: int) -> DeployedGraph:
    """The deployed graph of an untrained network whose probabilities differ between crops of ``noise``.

    Batch normalisations take their statistics from the noise; each logit is shifted and scaled to spread over it.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics are those of the one batch below
    x = torch.from_numpy(noise(size, channels)).permute(0, 3, 1, 2).float().sub(128).div(128)
    with torch.no_grad():
        network.train()(x)
        logits = network.eval()(x)
    graph = DeployedGraph(network, Neutral).eval()
    graph.network = Spread(graph.network, logits.mean(0), SPREAD / logits.std(0))
    return graph.eval()


def differences(graph: DeployedGraph, size: int, channels: int, folder: Path, formats=build.FORMATS) -> Iterator[Rung]:
    """Write every format into ``folder`` and compare it with torch on the noise that the graph was made sensitive to."""
    crops = noise(size, channels)
    with torch.inference_mode():
        expected = np.concatenate([graph(torch.from_numpy(crop[None])).numpy() for crop in crops])
    for format in formats:
        start = time.monotonic()
        names = format.write_fp32(graph, (1, size, size, channels), folder)
        found = engine_probabilities(engines.load(format.ENGINE, folder / names[0], 1), crops)
        yield Rung(format.ENGINE, float(np.abs(found - expected).max()), time.monotonic() - start)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m export.rehearse", description=__doc__)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--system", help="a network as its paper builds it")
    chosen.add_argument("--recipe", help="the network, size and channels of a recipe")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write {engine: largest difference} to FILE")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    torch.manual_seed(0)
    if args.system:
        network = models.paper_network(args.system, len(FERPLUS_LABELS))
        size, channels = network.INPUT_SIZE, network.CHANNELS
    else:
        chosen = recipe.load(args.recipe)
        network = models.build(chosen.system, len(FERPLUS_LABELS), chosen.channels, chosen.options)
        size, channels = chosen.input_size, chosen.channels
    found = {}
    with tempfile.TemporaryDirectory() as folder, tool_output(Path("build/rehearse.log")) as say:
        for engine, difference, seconds in differences(
            sensitive(network, size, channels), size, channels, Path(folder)
        ):
            found[engine] = difference
            say(f"{engine}: probabilities within {difference:.1e} of torch, written in {seconds:.0f} s")
    if args.json:
        write_json(args.json, found)
    broken = [engine for engine, difference in found.items() if not difference <= FP32_TOLERANCE]
    if broken:
        raise BudgetBroken(
            f"{', '.join(broken)}: differs from torch by more than {FP32_TOLERANCE:.0e}; see the lines above"
        )
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
