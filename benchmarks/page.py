"""A bundle measured by the page in a browser: it is sent its work, hands in raw samples, and is judged here.

python benchmarks/run.py --target android               # in the browser of a phone that adb sees
python benchmarks/run.py --target android --emulate     # in Chromium here: agreement and size, no phone's times
python -m benchmarks.page --bundle DIR [--threads 1] [--precision int8] [--json FILE]     # the page beside native LiteRT
"""

import argparse
import hashlib
import json
import os
import queue
import secrets
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmarks import agreement, browsers, contenders, environment, figures, session, stats, verdict
from benchmarks.forecast import BUILD_S, Pass
from benchmarks.interleave import Plan, block_size
from benchmarks.processes import Worker
from benchmarks.session import Effort
from benchmarks.stats import Estimate
from edgefer import bundle as bundles
from edgefer import parity
from edgefer.browser import server, site
from edgefer.bundle import Bundle
from edgefer.errors import EnvironmentInvalid, InputRejected, Unreachable, UsageError, exit_with
from edgefer.files import write_json
from edgefer.targets import Target

ENGINE = "litert"
LIMIT_S = 900
FIRST_WARM_S = 2.0
"""A browser compiles WebAssembly twice, quickly and then well; until it is through, times fall."""
NOTES = session.NOTES | {
    "latency_ms": "network alone, median; a round is a model compiled anew in one page",
    "pipeline_fps": "the bundle's golden frames: detector own, alignment, network, smoothing; as fast as frames go",
}
EMULATED = "emulated: no time counts"


def wanted(target: Target, emulate: bool) -> bool:
    """Whether a target is measured in a browser: an Android device whose reach names no Python, or any by --emulate.

    Raises:
        UsageError: --emulate for a target that no browser stands for, or another engine than LiteRT.
    """
    android = target.reach["kind"] == "adb"
    if emulate and not android:
        raise UsageError(f"--emulate opens the page of an Android target in Chromium; {target.name} is none")
    chosen = emulate or (android and "python" not in target.reach)
    if chosen and target.engine != ENGINE:
        raise UsageError(
            f"a browser runs {ENGINE} only, not {target.engine}; for that, name a Python as reach.python of {target.name}"
        )
    return chosen


def left_out(every: bool, sustained_s: float, studies) -> list[str]:
    """A remark on what was asked for and a browser does not measure."""
    asked = [*(["engines"] if every else []), *(["sustained"] if sustained_s else []), *studies]
    return [f"{', '.join(asked)}: not measured in a browser"] if asked else []


def passes(effort: Effort, opened: Bundle | None) -> list[Pass]:
    """What a run would do, for ``--dry-run``; ``opened`` is None where the bundle would have to be built first."""
    plan = effort.plan
    speed = FIRST_WARM_S + plan.rounds * 2 * (0.8 + plan.blocks * (plan.block_s + plan.settle_s))
    parts = [] if opened else [("bundle", "compress and export: there is none yet", BUILD_S)]
    parts += [
        ("start", "the browser opens the page; golden vectors of finder and network", 10.0),
        ("speed", f"{plan.rounds} rounds of freshly compiled models × {plan.blocks} blocks of target and fp32", speed),
        ("pipeline", "the bundle's golden frames, as fast as they go", 6.0),
        ("agreement", "every evaluation crop through the artifact and its fp32", 30.0),
    ]
    return [Pass(name, what, seconds, "estimate") for name, what, seconds in parts]


def record(
    opened: Bundle,
    target: Target,
    data: str | None,
    effort: Effort,
    say: Callable[[str], None],
    emulate: bool,
    left_out: list[str],
) -> dict:
    """Have the page measure a bundle, and judge it: ``{schema, target, verdict, metrics, environment, samples}``.

    Args:
        opened: verified.
        target: with engine, precision and threads to measure.
        data: as ``train.evaluate.crops`` takes it.
        effort: FULL or QUICK.
        say: told what starts.
        emulate: in Chromium here instead of on the target's device.
        left_out: flags that a browser cannot serve, for a remark.

    Raises:
        EnvironmentInvalid: LiteRT's web runtime, adb or Chromium is missing.
        Unreachable: the device does not answer, or the page hands nothing in.
    """
    files = site.files(opened, site.litert_folder())
    here = environment.fingerprint()
    say("agreement with fp32: reading the crops")
    crops = agreement.evaluation_crops(opened.spec, data)
    plan = {**asdict(effort.plan), "warm_s": 0.3, "first_warm_s": FIRST_WARM_S}
    task = {"precision": target.precision, "threads": target.threads, "plan": plan, "crops": list(crops.crops.shape)}
    say(f"the page measures in {'Chromium here' if emulate else f'the browser of {target.name}'}: keep it in sight")
    found = ask(files, task, crops.crops, None if emulate else target)
    page = {} if emulate else browsers.about_phone(target)
    return judged(found, opened, target, crops, effort, here, page, emulate, left_out)


def ask(files: dict[str, Path], task: dict, crops: np.ndarray | None, phone: Target | None) -> dict:
    """Give a page its work, in a phone's browser or in Chromium here, and wait for what it hands in."""
    sent = {"task.json": json.dumps(task).encode()}
    sent |= {} if crops is None else {"crops.bin": np.ascontiguousarray(crops).tobytes()}
    desk = server.Desk(secrets.token_urlsafe(16), sent)
    served = server.Server(files, desk=desk)
    try:
        with browsers.phone(phone, served.port) if phone else browsers.emulated() as show:
            show(f"{served.address}?task={desk.token}")
            handed_in = desk.handed_in.get(timeout=LIMIT_S)
    except queue.Empty:
        raise (Unreachable if phone else EnvironmentInvalid)(
            f"the page handed nothing in within {LIMIT_S} s; keep the browser in sight and the screen unlocked, and try again"
        ) from None
    finally:
        served.close()
    return checked(handed_in)


def checked(handed_in: bytes) -> dict:
    """What a page handed in, if it is a record."""
    try:
        found = json.loads(handed_in)
    except ValueError:
        found = None
    if isinstance(found, dict) and "error" in found:
        raise InputRejected(f"the page could not measure: {found['error']}")
    if not (isinstance(found, dict) and found.get("schema") == 1 and {"samples", "environment"} <= found.keys()):
        raise InputRejected("what the page handed in is no record; close the page in the browser, and try again")
    return found


def judged(
    found: dict,
    opened: Bundle,
    target: Target,
    crops: agreement.Crops,
    effort: Effort,
    here: dict,
    phone: dict,
    emulate: bool,
    left_out: list[str],
) -> dict:
    """The page's samples as a record of the target, judged by its budgets."""
    samples, run = found["samples"], found["environment"]["run"]
    blocks = {role: np.maximum(np.array(ns, np.int64), 1) for role, ns in samples["interleaved"]["blocks"].items()}
    measured = figures.speed(blocks) | {"pipeline_fps": pipeline_fps(samples["pipeline"])}
    measured = {name: value for name, value in measured.items() if value is not None}
    artifact = opened.artifact(target.engine, target.precision)
    measured["artifact_mb"] = Estimate(artifact.bytes / 1e6)
    paired, agreed, kept = compared(samples.pop("predictions"), crops, opened)
    measured |= {name: value for name, value in agreed.items() if value is not None or name == "accuracy_drop_points"}
    samples |= {"predictions": kept, "parity": paired.to_json()}
    notes = NOTES | agreement.notes(paired, target)
    noise = stats.spread(blocks[contenders.TARGET])
    remarks, spoiling = [*run["remarks"], *left_out], []
    if emulate:
        timed = [name for name, kind in verdict.KINDS.items() if kind.timed and name in measured]
        measured |= dict.fromkeys(timed)
        notes |= dict.fromkeys(timed, EMULATED)
        remarks.append(
            "emulated: Chromium on this machine, no phone; its times are this machine's and in the samples only"
        )
    elif noise > verdict.NOISE_BOUND:
        spoiling.append(f"noise: the target's own blocks differ by {noise:.0%}; {verdict.NOISE_BOUND:.0%} is allowed")
    problems = [f"parity: {p}" for p in parity.problems(paired, target.margin_points)]
    problems += [f"golden vectors: {p}" for p in run["problems"]]
    rows = verdict.metrics(measured, target.budgets, bool(spoiling), notes)
    unanswered = verdict.unanswered(rows, not emulate)
    remarks += [*spoiling, *(f"{name} was not measured and nothing stands in for it" for name in unanswered)]
    described = {
        "contenders": {role: contender(found, run, role) for role in blocks},
        "contender_files": contenders.files(opened, target),
        "crops": f"{len(crops.crops)} of {crops.source}, {'with labels' if crops.labels is not None else 'without labels'}",
        "quick": effort.quick,
        "noise": noise,
        "noise_bound": verdict.NOISE_BOUND,
        "spoiling": spoiling,
        "doubtful_roles": [],
        "runtime": page_sha256(),
        "emulated": emulate,
        "problems": problems,
        "remarks": remarks,
    }
    return {
        "schema": found["schema"],
        "target": target.name,
        "verdict": verdict.overall(rows, problems, bool(spoiling), not emulate),
        "metrics": {row.name: row.to_json() for row in rows},
        "environment": {**surroundings(found["environment"], here, phone, emulate), "run": {**run, **described}},
        "samples": samples,
    }


def pipeline_fps(runs: list[dict]) -> Estimate | None:
    """Frames a second; None where no face was found."""
    if not any(any(run["faces"]) for run in runs):
        return None
    return stats.repeats([1e9 * len(run["ns"]) / sum(run["ns"]) for run in runs])


def compared(predicted: dict, crops: agreement.Crops, opened: Bundle) -> tuple[parity.Paired, dict, dict]:
    """The paired result, its metrics, and the predictions as a record keeps them."""
    own, fp32 = (np.array(predicted[role], np.int64) for role in ("target", "fp32"))
    if not len(own) == len(fp32) == len(crops.crops):
        raise InputRejected("the page did not predict every crop; close the page in the browser, and try again")
    paired, metrics = agreement.compare(fp32, own, crops, opened.spec)
    return paired, metrics, agreement.kept(own, fp32, crops, opened.spec.labels)


def contender(found: dict, run: dict, role: str) -> dict:
    """What a role ran, as far as a browser tells."""
    version = found["environment"]["packages"].get(site.LITERT)
    precision = run["precision"] if role == contenders.TARGET else "fp32"
    return {"engine": f"{site.LITERT} {version}", "threads": run["threads"], "precision": precision}


def surroundings(told: dict, here: dict, phone: dict, emulate: bool) -> dict:
    """The fingerprint: what the browser told, what adb knows better, and this machine's with the checkout's state."""
    cpu = {**told["cpu"], **{name: phone[name] for name in ("model", "machine") if phone.get(name)}}
    cpu = here["cpu"] if emulate else cpu
    return {
        **told,
        "time": here["time"],
        "device_time": told["time"],
        "cpu": cpu,
        "kernel": phone.get("kernel") or told["kernel"],
        "load_average_at_start": here["load_average_at_start"] if emulate else None,
        "reach": "emulated browser" if emulate else "browser",
        "git": here["git"],
        "workstation": here,
    }


def page_sha256() -> str:
    """Hex SHA-256 of the code that is timed: the page's modules."""
    digest = hashlib.sha256()
    for path in sorted(site.page_folder().glob("*.js")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


# --- the page beside native LiteRT -------------------------------------------------------------------------------------------


def beside_native(opened: Bundle, precision: str, threads: int, plan: Plan, say: Callable[[str], None]) -> dict:
    """Latency of one artifact in a page and in native LiteRT, a fresh browser and a fresh process in turn.

    Returns:
        page_ms, native_ms, times (page over native): ``{value, ci95}``; threads, precision; samples in nanoseconds.
    """
    files = site.files(opened, site.litert_folder())
    job = contenders.artifact_job(opened, ENGINE, precision, threads)
    one = {**asdict(replace(plan, rounds=1)), "first_warm_s": FIRST_WARM_S}
    task = {"precision": precision, "threads": threads, "plan": one, "only_speed": True}
    blocks: dict[str, list] = {"page": [], "native": []}
    agent = None
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}")
        found = ask(files, task, None, None)
        run = found["environment"]["run"]
        if run["threads"] != threads:
            raise UsageError(
                f"the page may have {run['threads']} threads here, not {threads}; name as many with --threads"
            )
        agent = found["environment"]["browser"]["agent"]
        blocks["page"].append([block[: plan.min_n] for block in found["samples"]["interleaved"]["blocks"]["target"][0]])
        with Worker(job) as worker:
            worker.start()
            size = block_size(worker.warm_up(plan.warm_s), plan)
            blocks["native"].append([worker.block(size)[: plan.min_n] for _ in range(plan.blocks)])
    arrays = {name: np.array(rounds, np.int64) for name, rounds in blocks.items()}
    estimates = {f"{name}_ms": stats.median(ns / 1e6) for name, ns in arrays.items()}
    estimates["times"] = stats.ratio(arrays["page"], arrays["native"])
    told = {name: {"value": found.value, "ci95": list(found.ci95)} for name, found in estimates.items()}
    machine = environment.fingerprint()
    return {
        **told,
        "precision": precision,
        "threads": threads,
        "agent": agent,
        "environment": machine,
        "samples": blocks,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description="The page beside native LiteRT.")
    add = parser.add_argument
    add("--bundle", required=True, type=Path, metavar="DIR")
    add("--precision", choices=bundles.PRECISIONS, help="default: both")
    add("--threads", type=int, default=1, metavar="N", help="of both (default %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write what was measured to FILE")
    args = parser.parse_args()
    opened = bundles.load(args.bundle)
    found = []
    for precision in [args.precision] if args.precision else bundles.PRECISIONS:
        plan = Plan(min_n=20, block_s=0.05)
        result = beside_native(
            opened, precision, args.threads, plan, lambda text: print(text, file=sys.stderr, flush=True)
        )
        found.append(result)
        ends = {
            name: "–".join(f"{end:.2f}" for end in result[name]["ci95"]) for name in ("page_ms", "native_ms", "times")
        }
        print(
            f"{precision}, {args.threads} threads: page {result['page_ms']['value']:.2f} ms [{ends['page_ms']}], "
            f"native {result['native_ms']['value']:.2f} ms [{ends['native_ms']}], "
            f"{result['times']['value']:.2f} times [{ends['times']}]; load {os.getloadavg()[0]:.1f}"
        )
    if args.json:
        write_json(args.json, {"results": found})
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
