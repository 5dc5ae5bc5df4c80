"""Interleaved measuring: contenders take turns in blocks of random order, and every round starts them in fresh processes.

Knows nothing of engines or processes: a contender is started by a function and answers ``warm_up`` and ``block``. Only the one
whose turn it is runs; the others wait.
"""

import math
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class Runner(Protocol):
    """One contender in one process. Times are nanoseconds, one number an inference."""

    def warm_up(self, seconds: float) -> list[int]: ...

    def block(self, n: int) -> list[int]: ...


@dataclass(frozen=True)
class Plan:
    """How long and how often to measure."""

    rounds: int = 7
    """Process restarts; they are the repeats. With 7 × 7, 99 of 100 simulated slowdowns of 20 % are caught; 3 × 10 caught 77
    with the baseline timed in the same run and 54 without (``python -m benchmarks.simulate``)."""
    blocks: int = 7
    """Turns of each contender in a round."""
    block_s: float = 0.03
    """A block lasts about so long …"""
    min_n: int = 5
    """… but never fewer inferences …"""
    max_n: int = 400
    """… nor more, which keeps records of tiny models small."""
    warm_s: float = 0.2
    """Inferences before a round's first block: recorded, not counted."""
    settle_s: float = 0.01
    """Pause before a block: the threads of the contender before spin for a few milliseconds before they sleep."""
    seed: int = 0
    """Of the order of the blocks."""


@dataclass
class Interleaved:
    """Raw samples of one run, nanoseconds."""

    blocks: dict[str, np.ndarray]
    """Contender → int64 (rounds, blocks, n)."""
    warm_up: dict[str, list[list[int]]] = field(default_factory=dict)
    """Contender → its uncounted samples of each round."""
    order: list[list[str]] = field(default_factory=list)
    """Names in the order they ran, one list for each turn."""

    def to_json(self) -> dict:
        blocks = {name: samples.tolist() for name, samples in self.blocks.items()}
        shape = "round, block, inference"
        return {"unit": "ns", "shape": shape, "blocks": blocks, "warm_up": self.warm_up, "order": self.order}


def measure(
    starters: dict[str, Callable[[], AbstractContextManager[Runner]]],
    plan: Plan,
    say: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Interleaved:
    """Run every contender ``plan.rounds`` × ``plan.blocks`` times, in turns.

    The number of inferences in a block is fixed for a contender by its first warm-up, so that every sample weighs the same.
    """
    shuffle, sizes = random.Random(plan.seed).shuffle, {}
    result = Interleaved({}, {name: [] for name in starters})
    collected: dict[str, list[list[list[int]]]] = {name: [] for name in starters}
    for number in range(plan.rounds):
        say(f"speed: round {number + 1} of {plan.rounds}, {len(starters)} contenders in fresh processes")
        with ExitStack() as stack:
            running = {name: stack.enter_context(start()) for name, start in starters.items()}
            for name, runner in running.items():
                result.warm_up[name].append(runner.warm_up(plan.warm_s))
                sizes.setdefault(name, block_size(result.warm_up[name][0], plan))
                collected[name].append([])
            for _ in range(plan.blocks):
                turn = list(starters)
                shuffle(turn)
                for name in turn:
                    sleep(plan.settle_s)
                    collected[name][-1].append(running[name].block(sizes[name]))
                result.order.append(turn)
    result.blocks = {name: np.array(rounds, np.int64) for name, rounds in collected.items()}
    return result


def block_size(warm_up: list[int], plan: Plan) -> int:
    """Inferences that fill ``plan.block_s``, by the later half of the warm-up: the first ones still pay for caches."""
    typical = float(np.median(warm_up[len(warm_up) // 2 :]))
    return min(plan.max_n, max(plan.min_n, math.ceil(plan.block_s * 1e9 / max(typical, 1.0))))
