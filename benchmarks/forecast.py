"""``--dry-run``: what a run would measure, how often, and about how long it takes. Nothing is started, built or written."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import agreement, camera, contenders, whole
from benchmarks.interleave import Plan
from benchmarks.reach import about
from benchmarks.session import Effort
from edgefer import engines
from edgefer.bundle import PRECISIONS, Bundle
from edgefer.errors import EdgeferError
from edgefer.files import read_json
from edgefer.targets import Target

START_S, EAGER_START_S = 0.6, 6.0
"""A worker until it is ready: an engine's, and PyTorch's."""
BUILD_S = 240.0
"""Compressing and exporting a bundle that is not there yet."""
EMULATED_START_S, EMULATED_CROPS_S = 10.0, 90.0
CROPS_S, READING_S = 5.0, 5.0
"""Predictions of an evaluation set through one artifact, and reading the set."""

STUDIES = {
    "peers": ("what people deploy, in turns with the target, and the machine's peak", 680.0),
    "benchmark_app": ("OpenVINO's own benchmark_app in turns with us, on the same file", 45.0),
    "growth": ("input sizes, faces in a frame, threads and batches, exported where there is no file yet", 270.0),
    "factors": (
        "from the paper's setting to the artifact, one change a step; exported where there is no file yet",
        120.0,
    ),
}
"""What each study measures, and seconds as they were on two cores."""


@dataclass(frozen=True)
class Pass:
    """One part of a run."""

    name: str
    what: str
    seconds: float
    source: str
    """Where the seconds come from: "estimate", or "last run"."""


def passes(
    target: Target,
    opened: Bundle | None,
    effort: Effort,
    every: bool,
    beside: bool,
    studies: tuple[str, ...],
    last: dict | None,
) -> list[Pass]:
    """The parts of a run in their order.

    Args:
        target: to be measured.
        opened: its bundle; None where it would have to be built first.
        effort: of the run.
        every: each artifact of the bundle as well.
        beside: the accepted baseline's artifact as well.
        studies: names of those that were asked for.
        last: see ``last_run``.
    """
    kind = target.reach["kind"]
    timed, here = kind != "emulated", kind == "local"
    found = [] if opened else [_pass("bundle", "compress and export: there is none yet", BUILD_S, None)]
    if timed:
        found.append(_speed(effort.plan, _roles(target, opened, every, beside), last))
        starts = effort.cold_starts * (2 if beside else 1)
        what, runs = f"{effort.memory_runs} and {starts} fresh processes", effort.memory_runs + starts
        found.append(_pass("memory and cold start", what, runs * START_S, last))
        found.append(_pipeline(effort, last))
    else:
        runs = effort.memory_runs
        found.append(_pass("memory", f"{runs} fresh processes", runs * EMULATED_START_S, None))
    crops = f"{agreement.CROPS_EMULATED} crops" if not timed else "every evaluation crop"
    seconds = READING_S + 2 * (CROPS_S if timed else EMULATED_CROPS_S)
    found.append(_pass("agreement", f"{crops} through the artifact and its fp32; golden vectors", seconds, last))
    if every and timed:
        artifacts = len(opened.artifacts) if opened else 6
        seconds = artifacts * (START_S * (1 + effort.cold_starts) + 2 * CROPS_S)
        found.append(_pass("every engine", f"memory, cold start and agreement of {artifacts} artifacts", seconds, last))
    if effort.sustained_s and timed:
        found.append(_pass("sustained", "work without a pause", effort.sustained_s + START_S, None))
    return found + [_pass(name, *STUDIES[name], last) for name in studies if here]


def _speed(plan: Plan, roles: list[str], last: dict | None) -> Pass:
    eager = sum(role == contenders.EAGER for role in roles)
    starts, turn = START_S * (len(roles) - eager) + EAGER_START_S * eager, plan.block_s + plan.settle_s
    what = f"{plan.rounds} rounds of fresh processes × {plan.blocks} blocks of {', '.join(roles)}"
    return _pass("speed", what, plan.rounds * (starts + len(roles) * (plan.warm_s + plan.blocks * turn)), last)


def _pipeline(effort: Effort, last: dict | None) -> Pass:
    pace = f"{camera.FRAMES} frames at a camera's {camera.FPS} a second"
    what = f"{effort.pipeline_runs} fresh processes; frame to label as fast as frames go, then {pace}"
    each = START_S + whole.LIMIT_S + camera.FRAMES / camera.FPS
    return _pass("pipeline", what, effort.pipeline_runs * each, last)


def _pass(name: str, what: str, seconds: float, last: dict | None) -> Pass:
    known = (last or {}).get(name)
    return Pass(name, what, seconds if known is None else known, "estimate" if known is None else "last run")


def _roles(target: Target, opened: Bundle | None, every: bool, beside: bool) -> list[str]:
    here = target.reach["kind"] == "local"
    if opened and here:
        roles = list(contenders.field(opened, target, about.here(), every).jobs)
    else:
        roles = [contenders.TARGET, *([contenders.EAGER] if here else []), contenders.ORT, contenders.SAME]
        roles += [f"{engine}/{precision}" for engine in engines.installed() for precision in PRECISIONS if every]
    return roles + ([contenders.BASELINE] if beside else [])


def readable(read: Callable[[], Any]) -> Any:
    """What ``read`` gives; None where it is refused: the run itself would make it anew, or say why not."""
    try:
        return read()
    except EdgeferError:
        return None


def last_run(file: Path, target: Target, effort: Effort, every: bool, beside: bool) -> dict | None:
    """``took_s`` of the record in ``file``, where that was a run of the same target, plan and extent; else None."""
    record = readable(lambda: read_json(file))
    if record is None:
        return None
    run, samples = record["environment"]["run"], record["samples"]
    extent = run.get("plan"), bool(samples.get("engines")), bool(samples.get("cold_start_baseline"))
    alike = record["target"] == target.name and extent == (asdict(effort.plan), every, beside)
    return run.get("took_s") if alike else None


def told(target: Target, found: list[Pass]) -> list[str]:
    """The plan in lines for a person."""
    width = max(len(each.name) for each in found)
    lines = [f"dry run: target {target.name}, {target.engine} {target.precision}, threads {target.threads}"]
    lines += [f"  {each.name:<{width}}  {each.seconds:6.0f} s  {each.what} ({each.source})" for each in found]
    total = sum(each.seconds for each in found)
    return [
        *lines,
        f"  {'in all':<{width}}  {total:6.0f} s  about {max(1, round(total / 60))} min; nothing was measured",
    ]


def to_json(target: Target, found: list[Pass]) -> dict:
    """The plan for programs."""
    total = sum(each.seconds for each in found)
    return {"target": target.name, "dry_run": True, "passes": [asdict(each) for each in found], "seconds": total}
