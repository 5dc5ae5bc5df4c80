"""Interleaving, driven by a fake clock: fake contenders advance it, nobody waits."""

from contextlib import contextmanager
from functools import partial

from benchmarks import interleave
from benchmarks.interleave import Plan


class FakeMachine:
    """A clock that only contenders and pauses move, and a log of what ran when."""

    def __init__(self):
        self.now, self.log, self.alive = 0, [], set()

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)
        self.log.append(("sleep", seconds))

    @contextmanager
    def start(self, name: str, cost_ns: int):
        self.alive.add(name)
        self.log.append(("start", name))
        yield FakeRunner(self, name, cost_ns)
        self.alive.remove(name)


class FakeRunner:
    """A contender whose every inference takes the same time, after one slow first one."""

    def __init__(self, machine: FakeMachine, name: str, cost_ns: int):
        self.machine, self.name, self.cost_ns = machine, name, cost_ns

    def warm_up(self, seconds: float) -> list[int]:
        return [50 * self.cost_ns, *self._run(max(5, int(seconds * 1e9 / self.cost_ns)))]

    def block(self, n: int) -> list[int]:
        self.machine.log.append(("block", self.name))
        return self._run(n)

    def _run(self, n: int) -> list[int]:
        self.machine.now += n * self.cost_ns
        return [self.cost_ns] * n


def measured(plan: Plan, **costs_ns: int):
    machine = FakeMachine()
    starters = {name: partial(machine.start, name, cost) for name, cost in costs_ns.items()}
    return interleave.measure(starters, plan, sleep=machine.sleep), machine


PLAN = Plan(rounds=3, blocks=6, block_s=0.02, min_n=5, max_n=50, settle_s=0.01, seed=4)


def test_samples_have_one_row_for_each_round_and_block_and_hold_the_true_times():
    run, _ = measured(PLAN, fast=1_000_000, slow=10_000_000)
    assert run.blocks["fast"].shape == (3, 6, 20)
    assert run.blocks["slow"].shape == (3, 6, 5)
    assert (run.blocks["fast"] == 1_000_000).all()


def test_the_slow_first_inference_is_recorded_and_not_counted():
    run, _ = measured(PLAN, fast=1_000_000)
    assert [samples[0] for samples in run.warm_up["fast"]] == [50_000_000] * 3
    assert run.blocks["fast"].max() == 1_000_000


def test_every_round_starts_fresh_processes_and_ends_them():
    _, machine = measured(PLAN, a=1_000_000, b=1_000_000)
    assert [entry for entry in machine.log if entry[0] == "start"] == [("start", "a"), ("start", "b")] * 3
    assert not machine.alive


def test_blocks_alternate_each_contender_once_a_turn_after_a_pause():
    run, machine = measured(PLAN, a=1_000_000, b=2_000_000, c=3_000_000)
    assert all(sorted(turn) == ["a", "b", "c"] for turn in run.order)
    assert len(run.order) == 18
    blocks = [i for i, entry in enumerate(machine.log) if entry[0] == "block"]
    assert all(machine.log[i - 1] == ("sleep", 0.01) for i in blocks)


def test_the_order_is_random_by_its_seed():
    costs = {"a": 1_000_000, "b": 1_000_000, "c": 1_000_000}
    first, again, other = (measured(Plan(seed=seed), **costs)[0].order for seed in (4, 4, 5))
    assert first == again != other
    assert len({tuple(turn) for turn in first}) > 1


def test_block_sizes_keep_their_bounds():
    assert interleave.block_size([10**9] * 4, PLAN) == PLAN.min_n
    assert interleave.block_size([10] * 4, PLAN) == PLAN.max_n
    assert interleave.block_size([0] * 4, PLAN) == PLAN.max_n


def test_raw_samples_survive_as_json():
    run, _ = measured(PLAN, a=1_000_000)
    value = run.to_json()
    assert value["unit"] == "ns"
    assert value["blocks"]["a"] == run.blocks["a"].tolist()
    assert len(value["order"]) == 18
