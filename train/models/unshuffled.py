"""ShuffleNetV2 stages without channel shuffles: the same function, with the order of channels folded into the weights.

A shuffle only decides which channels the next unit's branch reads. Here every branch leaves its output where it is, a unit
reads slices of the outputs before it, and the weights stand in the order in which channels arrive. Within an output the
channels lie in the order of who reads them, so that each reader takes one piece of memory. What is left of a stage's
transposes is one concatenation at its end.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Channel = tuple[int, int]
"""(output, index): where a channel of the shuffled stage lives. Outputs 0 and 1 are those of the two branches of the first
unit, later ones those of the units that compute, in order."""
Piece = tuple[int, int, int]
"""(output, start, stop): a slice of an output's channels."""
Key = Callable[[int, Channel], tuple]
"""(channel of the trained stage's output, where it lives) → where it sorts among those of the same output."""


def natural(channel: int, _lives: Channel) -> tuple:
    """The trained stage's own order."""
    return (channel,)


class UnshuffledStage(nn.Module):
    """One trained stage: a unit of stride 2, then units of stride 1, some of which may only pass their channels on.

    Args:
        stage: the units; not changed.
        arriving: position in the input → channel of the trained stage's input.
        key: order of the channels that reach the stage's end.

    (B, in, H, W) → (B, out, ⌈H/2⌉, ⌈W/2⌉), whose position i carries the trained stage's output channel ``leaving[i]``.
    """

    def __init__(self, stage: Sequence[nn.Module], arriving: Sequence[int], key: Key = natural):
        super().__init__()
        first, *later = (copy.deepcopy(unit) for unit in stage)
        branches = [first.branch1, first.branch2]
        self.half = half = first.branch2[-3].out_channels  # 1×1, batch norm, ReLU
        state = _shuffled([(0, c) for c in range(half)], [(1, c) for c in range(half)])
        reads: list[list[Channel]] = []
        for unit in later:
            kept, taken = state[:half], state[half:]
            if not isinstance(unit.branch2, nn.Identity):
                reads.append(taken)
                branches.append(unit.branch2)
                taken = [(len(branches) - 1, c) for c in range(half)]
            state = _shuffled(kept, taken)
        orders = _orders(len(branches), half, reads, state, key)
        self.pieces = [_pieces(read, orders) for read in reads]
        self.ending = _pieces(state, orders)
        self.leaving = _positions(self.ending, orders, state)
        for number, branch in enumerate(branches):
            _reorder_output(branch, orders[number])
            read = number - 2
            _reorder_input(branch, arriving if read < 0 else _positions(self.pieces[read], orders, reads[read]))
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [branch(x) for branch in self.branches[:2]]
        for branch, pieces in zip(self.branches[2:], self.pieces, strict=True):
            outputs.append(branch(self._gathered(outputs, pieces)))
        return self._gathered(outputs, self.ending)

    def _gathered(self, outputs: list[Tensor], pieces: list[Piece]) -> Tensor:
        whole = (0, self.half)
        parts = [outputs[i] if (start, stop) == whole else outputs[i][:, start:stop] for i, start, stop in pieces]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def reordered(module: nn.Conv2d | nn.BatchNorm2d, order: Sequence[int]) -> None:
    """Put the output channels of a layer into another order: position → channel so far."""
    index = torch.as_tensor(order)
    names = ("weight", "bias", "running_mean", "running_var")
    for tensor in (getattr(module, name, None) for name in names):
        if tensor is not None:
            tensor.data = tensor.data[index]


def reordered_input(convolution: nn.Conv2d, order: Sequence[int]) -> None:
    """Let a convolution that is not grouped read its input channels in another order: position → channel so far."""
    convolution.weight.data = convolution.weight.data[:, torch.as_tensor(order)]


def _reorder_output(branch: nn.Sequential, order: Sequence[int]) -> None:
    for layer in branch[-3:-1]:
        reordered(layer, order)


def _reorder_input(branch: nn.Sequential, order: Sequence[int]) -> None:
    if branch[0].groups == 1:
        reordered_input(branch[0], order)
        return
    for layer in branch[:2]:  # depthwise, batch norm
        reordered(layer, order)
    reordered_input(branch[2], order)


def _shuffled(first: list[Channel], second: list[Channel]) -> list[Channel]:
    """Channel shuffle of two groups."""
    return [channel for pair in zip(first, second, strict=True) for channel in pair]


def _orders(outputs: int, half: int, reads: list[list[Channel]], state: list[Channel], key: Key) -> list[list[int]]:
    """Of every output its channels by who reads them: the next unit first, the stage's end last."""
    reader = {channel: (number,) for number, read in enumerate(reads) for channel in read}
    end = {channel: (len(reads), *key(position, channel)) for position, channel in enumerate(state)}
    rank = end | reader
    return [sorted(range(half), key=lambda c: (rank[output, c], c)) for output in range(outputs)]


def _pieces(channels: list[Channel], orders: list[list[int]]) -> list[Piece]:
    """The fewest slices that hold just these channels, by output."""
    found: list[Piece] = []
    for output in sorted({output for output, _ in channels}):
        wanted = {c for o, c in channels if o == output}
        for position in (i for i, c in enumerate(orders[output]) if c in wanted):
            if found and found[-1][0] == output and found[-1][2] == position:
                found[-1] = (output, found[-1][1], position + 1)
            else:
                found.append((output, position, position + 1))
    return found


def _positions(pieces: list[Piece], orders: list[list[int]], channels: list[Channel]) -> list[int]:
    """For every channel that the pieces bring, its place among ``channels``."""
    place = {channel: i for i, channel in enumerate(channels)}
    return [place[output, orders[output][i]] for output, start, stop in pieces for i in range(start, stop)]
