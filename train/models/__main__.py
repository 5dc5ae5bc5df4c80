"""``python -m train.models``: parameters and multiply–accumulates of every network, as its paper builds it (7 classes)."""

import argparse
import sys

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from edgefer.errors import exit_with
from edgefer.files import write_json
from train.models import SYSTEMS, efficiency, paper_network


def macs(network: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply–accumulates of one forward pass of ``input_shape``: convolutions and matrix products, nothing else.

    Gradients stay on and attention is plain: torch's fused forms of it are unknown to the counter, which would leave it out.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(input_shape))
    return counter.get_total_flops() // 2  # it counts a multiplication and an addition each


def describe(system: str) -> dict:
    """One row of the table: {name, paper, params, macs, input_size, channels}."""
    cls, network = SYSTEMS[system], paper_network(system)
    return {
        "name": system,
        "paper": cls.PAPER,
        "params": sum(p.numel() for p in network.parameters()),
        "macs": macs(network, (1, cls.CHANNELS, cls.INPUT_SIZE, cls.INPUT_SIZE)),
        "input_size": cls.INPUT_SIZE,
        "channels": cls.CHANNELS,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m train.models", description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the table to FILE as well")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="also frames per second in eager torch (batch 1) and peak resident memory",
    )
    args = parser.parse_args()
    rows = [describe(system) | (efficiency.measure(system) if args.measure else {}) for system in SYSTEMS]
    for row in rows:
        print(
            "{name:24} paper {paper}  {params:>11,} parameters  {macs:>14,} MACs  {input_size}² × {channels}".format(
                **row
            )
        )
        if args.measure:
            print(
                f"{'':24} " + "{fps:.1f} fps in eager torch, {threads} threads; peak {peak_rss_mb:.0f} MB".format(**row)
            )
    if args.json:
        write_json(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
