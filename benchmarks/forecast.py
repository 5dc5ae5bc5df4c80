"""``--dry-run``: what a run would measure, how often, and about how long it takes. Nothing is started, built or written."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import camera, contenders, whole
from benchmarks.reach import about
from benchmarks.session import Effort
from edgefer import engines
from edgefer.bundle import PRECISIONS, Bundle
from edgefer.targets import Target

START_S, EAGER_START_S = 0.6, 6.0
"""A worker until it is ready: an engine's, and PyTorch's."""
BUILD_S = 240.0
"""Compressing and exporting a bundle that is not there yet."""
CROPS_S, READING_S = 5.0, 5.0
"""Predictions of an evaluation set through one artifact, and reading the set."""

STUDIES = {
    "peers": ("what people deploy, in turns with the target, and the machine's peak", 300.0),
    "benchmark_app": ("OpenVINO's own benchmark_app in turns with us, on the same file", 60.0),
    "growth": ("input sizes, faces in a frame, threads and batches, exported where there is no file yet", 420.0),
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
    target: Target, opened: Bundle | None, effort: Effort, every: bool, studies: tuple[str, ...], last: dict | None
) -> list[Pass]:
    """The parts of a run in their order.

    Args:
        target: to be measured.
        opened: its bundle; None where it would have to be built first.
        effort: of the run.
        every: each artifact of the bundle as well.
        studies: names of those that were asked for.
        last: ``took_s`` of an earlier run with the same plan and contenders; None without one.
    """
    roles = _roles(target, opened, every)
    eager = sum(role == contenders.EAGER for role in roles)
    plan, starts = effort.plan, START_S * (len(roles) - eager) + EAGER_START_S * eager
    turn = plan.block_s + plan.settle_s
    found = [] if opened else [_pass("bundle", "compress and export: there is none yet", BUILD_S, None)]
    found += [
        _pass(
            "speed",
            f"{plan.rounds} rounds of fresh processes × {plan.blocks} blocks of {', '.join(roles)}",
            plan.rounds * (starts + len(roles) * (plan.warm_s + plan.blocks * turn)),
            last,
        ),
        _pass(
            "memory and cold start",
            f"{effort.memory_runs} and {effort.cold_starts} fresh processes",
            (effort.memory_runs + effort.cold_starts) * START_S,
            last,
        ),
        _pass(
            "pipeline",
            f"{effort.pipeline_runs} fresh processes; frame to label as fast as frames go, then {camera.FRAMES} frames at a "
            f"camera's {camera.FPS} a second",
            effort.pipeline_runs * (START_S + whole.LIMIT_S + camera.FRAMES / camera.FPS),
            last,
        ),
        _pass("agreement", "every evaluation crop through the artifact and its fp32", READING_S + 2 * CROPS_S, last),
    ]
    if every:
        artifacts = len(opened.artifacts) if opened else 6
        seconds = artifacts * (START_S * (1 + effort.cold_starts) + 2 * CROPS_S)
        found.append(_pass("every engine", f"memory, cold start and agreement of {artifacts} artifacts", seconds, last))
    if effort.sustained_s:
        found.append(_pass("sustained", "work without a pause", effort.sustained_s + START_S, last))
    return found + [_pass(name, STUDIES[name][0], STUDIES[name][1], last) for name in studies]


def _pass(name: str, what: str, seconds: float, last: dict | None) -> Pass:
    known = (last or {}).get(name)
    return Pass(name, what, seconds if known is None else known, "estimate" if known is None else "last run")


def _roles(target: Target, opened: Bundle | None, every: bool) -> list[str]:
    here = target.reach["kind"] == "local"
    if opened and here:
        return list(contenders.field(opened, target, about.here(), every).jobs)
    roles = [contenders.TARGET, *([contenders.EAGER] if here else []), contenders.ORT, contenders.SAME]
    return roles + [f"{engine}/{precision}" for engine in engines.installed() for precision in PRECISIONS if every]


def last_run(file: Path, target: Target, effort: Effort, every: bool, read: Callable[[Path], dict]) -> dict | None:
    """``took_s`` of the record in ``file`` where it was of the same target, plan and extent; else None."""
    if not file.is_file():
        return None
    record = read(file)
    run = record["environment"]["run"]
    alike = (record["target"], run.get("plan"), bool(record["samples"].get("engines")))
    return run.get("took_s") if alike == (target.name, asdict(effort.plan), every) else None


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
