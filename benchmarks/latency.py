"""``python -m benchmarks.latency``: the latency of one checkpoint's network on a target, timed in turns with another's.

For searches, which ask it hundreds of times: seconds instead of minutes, no bundle, no parity, no verdict. Where the target
cannot be reached, or its times mean nothing, the same engine is timed on this machine and the answer says ``"proxy": true``.
"""

import argparse
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import interleave, reach, stats
from edgefer import targets
from edgefer.bundle import PRECISIONS
from edgefer.errors import PASS, Unreachable, exit_with
from edgefer.files import write_json
from edgefer.spec import ModelSpec
from edgefer.targets import Target

ROOT = Path(__file__).resolve().parents[1]
PLAN = interleave.Plan(rounds=3, blocks=5)
CACHE = ROOT / "build" / "latency"
CANDIDATE, AGAINST = "candidate", "against"


def measured(target: Target, checkpoint: Path, precision: str, against: Path | None, cache: Path = CACHE) -> dict:
    """``{latency_ms: {value, ci95}, against_ms, speedup, artifact_mb, target, device, proxy}``; see ``main``'s flags.

    ``precision`` is the candidate's; what it is timed against runs in the target's own.

    Raises:
        InputRejected: a checkpoint is damaged.
        EnvironmentInvalid: the engine is not there.
    """
    asked = {CANDIDATE: (checkpoint, precision)} | ({AGAINST: (against, target.precision)} if against else {})
    with tempfile.TemporaryDirectory() as copies, ExitStack() as stack:
        device, proxy = _device(target, stack)
        jobs = {
            role: job(replace(target, precision=p), folder, role, cache, Path(copies))
            for role, (folder, p) in asked.items()
        }
        run = interleave.measure({role: partial(started, device, its) for role, its in jobs.items()}, PLAN)
        blocks = {role: samples / 1e6 for role, samples in run.blocks.items()}
        speedup = stats.ratio(blocks[AGAINST], blocks[CANDIDATE]) if against else None
        return {
            "schema": 1,
            "target": target.name,
            "engine": target.engine,
            "precision": precision,
            "threads": target.threads,
            "device": device.name,
            "proxy": bool(proxy),
            "why_proxy": proxy,
            "latency_ms": told(stats.median(blocks[CANDIDATE])),
            "against_ms": told(stats.median(blocks[AGAINST])) if against else None,
            "speedup": told(speedup) if speedup else None,
            "artifact_mb": sum(p.stat().st_size for p in Path(copies).glob(f"{CANDIDATE}.*")) / 1e6,
        }


def told(estimate: stats.Estimate) -> dict:
    return {"value": estimate.value, "ci95": list(estimate.ci95)}


def _device(target: Target, stack: ExitStack) -> tuple[reach.Device, str | None]:
    """The target's device, open as long as the stack; or this machine, and why the target itself cannot be timed."""
    why = reason(target)
    if not why:
        try:
            return stack.enter_context(reach.opened(target)), None
        except Unreachable as error:
            why = str(error)
    here = replace(target, reach={"kind": "local", "machine": platform.machine()})
    return stack.enter_context(reach.opened(here)), why


def reason(target: Target) -> str | None:
    """Why there is no use in asking the target; None when it may answer."""
    if target.reach["kind"] == "emulated":
        return "emulated: no time counts"
    return targets.unreachable_reason(target)


def job(target: Target, checkpoint: Path, role: str, cache: Path, copies: Path) -> dict:
    """What the worker is told; the files lie in ``copies`` under the role's name, since a device keeps files by name."""
    from export.study import artifact

    spec = ModelSpec.load(checkpoint / "model.json")
    model = artifact(checkpoint, target.engine, target.precision, spec.input_size, 1, cache)
    for file in {model, *([model.with_suffix(".bin")] if model.suffix == ".xml" else [])}:
        shutil.copyfile(file, copies / f"{role}{file.suffix}")
    there = copies / f"{role}{model.suffix}"
    return {
        "kind": "artifact",
        "engine": target.engine,
        "model": str(there),
        "threads": target.threads,
        "shape": list(spec.crop_shape),
    }


@contextmanager
def started(device: reach.Device, job_: dict) -> Iterator[interleave.Runner]:
    """A worker of the device, ready to be timed."""
    with device.worker(job_) as worker:
        worker.start()
        yield worker


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--target", required=True, help="entry of devices.yaml: its engine, precision and threads")
    add("--checkpoint", required=True, type=Path, metavar="DIR", help="whose network is timed")
    add("--against", type=Path, metavar="DIR", help="a checkpoint timed in turns with it, for a ratio")
    add("--engine", help="time this engine instead of the target's")
    add("--precision", choices=PRECISIONS, help="time the checkpoint in this precision instead of the target's")
    add("--devices", type=Path, metavar="FILE", help="another devices.yaml")
    add("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    args = parser.parse_args()
    target = targets.get(args.target, args.devices)
    target = replace(target, engine=args.engine or target.engine)
    found = measured(target, args.checkpoint, args.precision or target.precision, args.against)
    low, high = found["latency_ms"]["ci95"]
    print(
        f"{found['latency_ms']['value']:.3f} ms [{low:.3f}, {high:.3f}], {found['artifact_mb']:.2f} MB, {found['device']}"
    )
    if found["speedup"]:
        low, high = found["speedup"]["ci95"]
        print(f"{found['speedup']['value']:.2f} times as fast as {args.against} [{low:.2f}, {high:.2f}]")
    if found["proxy"]:
        print(f"a proxy, not {target.name}: {found['why_proxy']}")
    if args.json:
        write_json(args.json, found)
    return PASS


if __name__ == "__main__":
    sys.exit(exit_with(main))
