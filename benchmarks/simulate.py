"""``python -m benchmarks.simulate``: how often the harness is right, counted on a machine whose truth is known.

A fake clock and contenders of known speed go through the real code: ``interleave.measure``, ``figures``, ``verdict`` and
``compare``. Only the processes are invented, and what disturbs them: see ``Noise``. Nothing sleeps.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from benchmarks import changepoints, contenders, figures, interleave, stats, verdict
from benchmarks.compare import compare
from benchmarks.interleave import Interleaved, Plan
from benchmarks.session import FULL, SCHEMA
from edgefer import parity
from edgefer.errors import UsageError, exit_with
from edgefer.spec import FERPLUS_LABELS

SECONDS = {
    contenders.TARGET: 0.002,
    contenders.BASELINE: 0.002,
    contenders.SAME: 0.003,
    contenders.ORT: 0.004,
    contenders.EAGER: 0.04,
}
"""True time of one inference of each contender."""
PROCESS_S, COLD_MS, PEAK_BYTES = 0.5, 250.0, 60e6
FACES, ACCURACY, FLIPS = 3191, 0.865, 0.01
THROUGH_OUR_CODE = (contenders.TARGET, contenders.BASELINE, contenders.SAME, contenders.ORT)
"""Contenders that our own engines run: what slows those down slows all of these, and not eager PyTorch."""
FIRST_NIGHT = datetime(2026, 1, 1, 2)
SLOWDOWN, LOSS_POINTS, CREEP, NIGHTS = 1.2, 2.0, 0.006, 30


@dataclass(frozen=True)
class Noise:
    """What disturbs a machine. Fractions of the time an inference takes; sd: standard deviation of its logarithm."""

    jitter: float = 0.03
    """sd from one inference to the next."""
    spikes: float = 0.01
    """Share of inferences that take three times as long."""
    restart: float = 0.02
    """sd from one process to the next of the same thing: one start in eight is off by more than 3 %."""
    drift: float = 0.10
    """Slow wave of the whole machine during a run, amplitude; its period is 10 to 60 s."""
    burst: float = 1.6
    """Everything takes so many times as long during a burst of other work …"""
    burst_s: float = 0.4
    """… of this length …"""
    every_s: float = 4.0
    """… which come so far apart on average."""
    night: float = 0.10
    """sd of the whole machine's speed from night to night."""
    taste: float = 0.01
    """sd of each contender's own reaction to a night, which no repeat within it shows; the same network's is the same."""


class Machine:
    """A clock that only contenders and pauses move."""

    def __init__(self, seed: int, noise: Noise):
        self.random, self.noise, self.now = np.random.default_rng(seed), noise, 0.0
        self.night = self.random.lognormal(0, noise.night)
        self.period, self.phase = self.random.uniform(10, 60), self.random.uniform(0, 2 * np.pi)
        self.bursts = np.cumsum(self.random.exponential(noise.every_s, 1000))
        tastes = {role: self.random.lognormal(0, noise.taste) for role in SECONDS}
        self.tastes = tastes | {contenders.BASELINE: tastes[contenders.TARGET]}

    def pace(self) -> float:
        """How many times as long everything takes now."""
        last = np.searchsorted(self.bursts, self.now) - 1
        busy = last >= 0 and self.now - self.bursts[last] < self.noise.burst_s
        wave = 1 + self.noise.drift * np.sin(2 * np.pi * self.now / self.period + self.phase)
        return self.night * wave * (self.noise.burst if busy else 1)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @contextmanager
    def start(self, role: str, seconds: float) -> Iterator["Runner"]:
        """A contender in a fresh process, which has its own pace."""
        self.now += PROCESS_S
        yield Runner(self, seconds * self.tastes[role] * self.random.lognormal(0, self.noise.restart))


class Runner:
    """One contender in one process."""

    def __init__(self, machine: Machine, seconds: float):
        self.machine, self.seconds = machine, seconds

    def warm_up(self, seconds: float) -> list[int]:
        return self.block(max(5, int(seconds / self.seconds)))

    def block(self, n: int) -> list[int]:
        """n inferences at the pace of the block's start; nanoseconds of each."""
        random, noise = self.machine.random, self.machine.noise
        spikes = np.where(random.random(n) < noise.spikes, 3, 1)
        taken = self.seconds * self.machine.pace() * random.lognormal(0, noise.jitter, n) * spikes
        self.machine.now += float(taken.sum())
        return (taken * 1e9).astype(np.int64).tolist()


@dataclass(frozen=True)
class Code:
    """Our own code on a night."""

    version: int = 0
    """What its hash is made of."""
    slowdown: float = 1.0
    """All that it runs takes so many times as long."""


def measured(machine: Machine, slowdown: float, plan: Plan, code: float = 1.0) -> Interleaved:
    """The interleaved run of every contender: the target takes ``slowdown`` times its time, all that our code runs ``code``."""
    seconds = SECONDS | {role: SECONDS[role] * code for role in THROUGH_OUR_CODE}
    seconds |= {contenders.TARGET: seconds[contenders.TARGET] * slowdown}
    starters = {role: partial(machine.start, role, each) for role, each in seconds.items()}
    return interleave.measure(starters, plan, sleep=machine.sleep)


def faces(seed: int, n: int = FACES) -> tuple[np.ndarray, np.ndarray]:
    """True labels of n faces and what the baseline predicts (n,), right for ``ACCURACY`` of them."""
    random = np.random.default_rng(seed)
    labels = random.choice(8, n, p=(0.37, 0.26, 0.12, 0.12, 0.09, 0.02, 0.01, 0.01))
    wrong = (labels + random.integers(1, 8, n)) % 8
    return labels, np.where(random.random(n) < ACCURACY, labels, wrong)


def predictions(seed: int, labels: np.ndarray, before: np.ndarray, loss_points: float) -> np.ndarray:
    """Another model's predictions (n,): ``FLIPS`` of the labels flip, as many to right as to wrong on average, and
    ``loss_points`` more of what was right gets wrong."""
    random, n = np.random.default_rng(seed), len(labels)
    after, flipped = before.copy(), random.choice(n, random.binomial(n, FLIPS), replace=False)
    mended, right = random.random(len(flipped)) < 0.5, before == labels
    wrong, hits = random.permutation(np.flatnonzero(~right)), random.permutation(np.flatnonzero(right))
    after[wrong[: mended.sum()]] = labels[wrong[: mended.sum()]]
    lost = hits[: (~mended).sum() + round(n * loss_points / 100)]
    after[lost] = (labels[lost] + random.integers(1, 8, len(lost))) % 8
    return after


def record(
    seed: int,
    slowdown: float = 1.0,
    loss_points: float = 0.0,
    noise: Noise | None = None,
    plan: Plan = FULL.plan,
    night: int = 0,
    n_faces: int = FACES,
    code: Code | None = None,
) -> dict:
    """A run's record on the simulated machine, made by the real code from invented samples.

    The faces are those of ``seed % 1000``, so that records whose seeds differ by thousands saw the same ones.
    """
    machine, code = Machine(seed, noise or Noise()), code or Code()
    run = measured(machine, slowdown, plan, code.slowdown)
    labels, before = faces(seed % 1000, n_faces)
    after = before if night == 0 else predictions(seed, labels, before, loss_points)
    samples = {
        "interleaved": run.to_json(),
        "cold_start": _colds(machine, slowdown * code.slowdown),
        "cold_start_baseline": _colds(machine, code.slowdown),
        "memory": [{"steady": {"vm_hwm": int(PEAK_BYTES * machine.random.lognormal(0, 0.004))}} for _ in range(3)],
        "predictions": {
            "crops_sha256": f"{seed % 1000:064d}",
            "classes": list(FERPLUS_LABELS),
            "labels": labels.tolist(),
            "target": after.tolist(),
        },
    }
    measured_ = figures.speed(run.blocks) | figures.cold(samples["cold_start"]) | figures.memory(samples["memory"])
    hits = int((after == labels).sum())
    measured_ |= {"artifact_mb": stats.Estimate(1.3)}
    measured_ |= {"accuracy": stats.Estimate(hits / len(labels), parity.wilson(hits, len(labels)))}
    spread = stats.spread(run.blocks[contenders.TARGET])
    rows = verdict.metrics(measured_, {}, spread > verdict.NOISE_BOUND, {})
    return {
        "schema": SCHEMA,
        "target": "simulated",
        "verdict": verdict.overall(rows, [], spread > verdict.NOISE_BOUND),
        "metrics": {row.name: row.to_json() for row in rows},
        "environment": _environment(night, plan, spread, len(labels), code),
        "samples": samples,
    }


def _colds(machine: Machine, slowdown: float) -> list[dict[str, float]]:
    pace = COLD_MS * machine.night * slowdown
    return [{"total": float(each)} for each in pace * machine.random.lognormal(0, 0.05, FULL.cold_starts)]


def _environment(night: int, plan: Plan, spread: float, n_faces: int, code: Code) -> dict:
    """A fingerprint; the commit is the night's number."""
    return {
        "time": (FIRST_NIGHT + timedelta(days=night)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cpu": {"model": "simulated", "machine": "none", "flags": [], "cores": 2, "affinity": [0, 1], "governor": None},
        "packages": {"numpy": "1.0"},
        "git": {"commit": f"{night:040x}", "dirty": False},
        "run": {
            "artifact": {"name": "litert/int8", "file": "model", "files": {"model": "0" * 64}},
            "system": "simulated", "input_size": 48, "channels": 1,
            "engine": "litert", "precision": "int8", "threads": 2, "quick": False, "plan": asdict(plan),
            "contenders": {role: {"engine": role.removeprefix("baseline") or contenders.TARGET} for role in SECONDS},
            "contender_files": {role: {role: "0" * 64} for role in SECONDS},
            "crops": f"{n_faces} simulated faces, with labels",
            "noise": spread, "noise_bound": verdict.NOISE_BOUND, "runtime": f"{code.version:064x}",
        },
    }  # fmt: skip


def alone(whole: dict) -> dict:
    """The record of the same run if the baseline's artifact had not been timed in it."""
    run = whole["environment"]["run"]
    told = {role: each for role, each in run["contenders"].items() if role != contenders.BASELINE}
    samples = {name: each for name, each in whole["samples"].items() if name != "cold_start_baseline"}
    return {**whole, "environment": {**whole["environment"], "run": {**run, "contenders": told}}, "samples": samples}


@dataclass(frozen=True)
class Scenario:
    """Something that is true of a simulated run, and what the harness ought to say."""

    name: str
    expected: str
    answer: Callable[[int], str]
    """Seed → what it says."""


def _verdict(seed: int, slowdown: float, loss: float, beside: bool, noise: Noise, plan: Plan) -> str:
    before = _cached(seed, 1.0, 0.0, noise, plan, 0)
    now = _cached(seed + 1000, slowdown, loss, noise, plan, 1)
    return compare(now if beside else alone(now), before, []).verdict


@functools.cache
def _cached(
    seed: int, slowdown: float, loss: float, noise: Noise, plan: Plan, night: int, code: Code | None = None
) -> dict:
    """A record that several scenarios look at; its samples are arrays, a tenth of the size of lists."""
    made = record(seed, slowdown, loss, noise, plan, night, code=code)
    run = made["samples"]["interleaved"]
    run["blocks"] = {role: np.array(blocks, np.int64) for role, blocks in run["blocks"].items()}
    return made


def _code(seed: int, code: Code, noise: Noise, plan: Plan) -> str:
    """The verdict where the artifact is the baseline's and the code that runs it is not."""
    before = _cached(seed, 1.0, 0.0, noise, plan, 0)
    return compare(_cached(seed + 1000, 1.0, 0.0, noise, plan, 1, code), before, []).verdict


def _accuracy(seed: int, loss: float, noise: Noise, plan: Plan) -> str:
    """The verdict of the row of accuracy alone."""
    before, now = _cached(seed, 1.0, 0.0, noise, plan, 0), _cached(seed + 1000, 1.0, loss, noise, plan, 1)
    return next(row.verdict for row in compare(now, before, []).rows if row.metric == "accuracy")


def _covered(seed: int, beside: bool, noise: Noise, plan: Plan) -> str:
    """Whether the interval of the speed ratio holds the truth, which is 1."""
    before, now = _cached(seed, 1.0, 0.0, noise, plan, 0), _cached(seed + 1000, 1.0, 0.0, noise, plan, 1)
    found = compare(now if beside else alone(now), before, [])
    low, high = found.rows[0].ratio_ci95
    return "covered" if low <= 1 <= high else "missed"


def _history(seed: int, creep: float) -> str:
    """What the change-point search says of a speed-up over ``NIGHTS`` nights that falls by a fraction each."""
    random = np.random.default_rng(seed)
    values = -creep * np.arange(NIGHTS) + random.normal(0, 0.02, NIGHTS)
    return "found" if changepoints.find(values) else "nothing"


def scenarios(noise: Noise, plan: Plan) -> list[Scenario]:
    """What the harness promises."""
    judged = partial(_verdict, noise=noise, plan=plan)
    slow, loss = f"{SLOWDOWN - 1:.0%} slower", f"{LOSS_POINTS:g} points of accuracy lost"
    return [
        Scenario("the same, baseline timed beside it", "pass", lambda s: judged(s, 1.0, 0.0, True)),
        Scenario(f"{slow}, baseline timed beside it", "fail", lambda s: judged(s, SLOWDOWN, 0.0, True)),
        Scenario("the same, two nights by their ratios", "pass", lambda s: judged(s, 1.0, 0.0, False)),
        Scenario(f"{slow}, two nights by their ratios", "fail", lambda s: judged(s, SLOWDOWN, 0.0, False)),
        Scenario(f"our code is {slow}, the same artifact", "fail", lambda s: _code(s, Code(1, SLOWDOWN), noise, plan)),
        Scenario("our code has changed and is as fast", "pass", lambda s: _code(s, Code(1), noise, plan)),
        Scenario(f"as accurate, {FLIPS:.0%} of labels flip", "pass", lambda s: _accuracy(s, 0.0, noise, plan)),
        Scenario(f"{loss}, {FLIPS:.0%} of labels flip", "fail", lambda s: _accuracy(s, LOSS_POINTS, noise, plan)),
        Scenario("interval holds the truth, baseline beside it", "covered", lambda s: _covered(s, True, noise, plan)),
        Scenario("interval holds the truth, two nights", "covered", lambda s: _covered(s, False, noise, plan)),
        Scenario(f"{NIGHTS} nights without a change", "nothing", lambda s: _history(s, 0.0)),
        Scenario(f"{NIGHTS} nights, {CREEP:.1%} slower each", "found", lambda s: _history(s, CREEP)),
    ]


def count(scenario: Scenario, runs: int) -> dict[str, int]:
    """Answer → how often, most frequent first."""
    answers = [scenario.answer(seed) for seed in range(runs)]
    return dict(sorted(((each, answers.count(each)) for each in set(answers)), key=lambda pair: -pair[1]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, help="seeds of each scenario (default: 100)")
    parser.add_argument("--rounds", type=int, default=FULL.plan.rounds, help="processes of each contender")
    parser.add_argument("--blocks", type=int, default=FULL.plan.blocks, help="turns in each process")
    parser.add_argument("--restart", type=float, default=Noise.restart, help="sd from process to process")
    args = parser.parse_args()
    if min(args.rounds, args.blocks) < 2 or args.runs < 1 or not args.restart >= 0:
        raise UsageError("--rounds and --blocks must be at least 2, --runs at least 1, --restart at least 0")
    noise, plan = replace(Noise(), restart=args.restart), replace(FULL.plan, rounds=args.rounds, blocks=args.blocks)
    print(
        f"{args.runs} runs each; {plan.rounds} processes × {plan.blocks} blocks; processes differ by {noise.restart:.1%}"
    )
    print(f"\n| {'what is true':<52} | {'right answer':<12} | given | otherwise |\n|{'-' * 54}|{'-' * 14}|------:|---|")
    for scenario in scenarios(noise, plan):
        found = count(scenario, args.runs)
        right = found.pop(scenario.expected, 0)
        rest = ", ".join(f"{answer} {times}" for answer, times in found.items()) or "–"
        print(f"| {scenario.name:<52} | {scenario.expected:<12} | {right:>5} | {rest} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
