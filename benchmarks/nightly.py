"""``python -m benchmarks.nightly``: every reachable target measured, compared with its history, and one page about the night.

Exit codes: 0 pass, 1 a budget, parity or a target is broken, 3 invalid, 4 inconclusive, 5 a required target is unreachable.
"""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import environment, junit, lanes, nights, reach
from benchmarks.compare import WINDOW
from benchmarks.history import Store
from benchmarks.outcome import CRASHED, EXIT_CODES, SKIPPED, Outcome, overall
from edgefer import targets
from edgefer.errors import (
    ENVIRONMENT,
    REJECTED,
    UNREACHABLE,
    EdgeferError,
    EnvironmentInvalid,
    InputRejected,
    exit_with,
    unknown,
)
from edgefer.files import read_json, write_json
from edgefer.targets import Target

ROOT = Path(__file__).resolve().parents[1]
MEASURE = [sys.executable, str(ROOT / "benchmarks" / "run.py")]
EXPORT = [sys.executable, "-m", "export"]
CHECKPOINT = ROOT / "train" / "checkpoints" / "efficientface"
ERROR = "error: "
"""How the last line of a program begins that ends with an error of ours."""
LIMIT_MINUTES = 60
PASSED_ON = ("quick", "peers", "benchmark-app", "growth", "factors")
"""Flags that mean the same to ``benchmarks/run.py``."""
SCHEMA = 1


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nightly", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--targets", metavar="A,B", help="only these entries of devices.yaml (default: all)")
    add(
        "--require",
        action="append",
        default=[],
        metavar="NAME",
        help="a target that must be reachable; may be repeated",
    )
    add("--history", metavar="DIR", help="where records are kept (default: EDGEFER_HISTORY, else history/)")
    add("--out", type=Path, default=ROOT / "build" / "nightly", metavar="DIR", help="what is written (build/nightly)")
    add(
        "--accept",
        metavar="REASON",
        help="make tonight's records the baselines, and say why; differences are then meant",
    )
    add("--quick", action="store_true", help="few rounds, for a first look: marked, not kept in the history")
    add("--peers", action="store_true", help="measure what people deploy beside each target as well")
    add(
        "--benchmark-app",
        action="store_true",
        help="hold each target's figures against OpenVINO's benchmark_app as well",
    )
    add("--growth", action="store_true", help="measure how each target's cost grows as well")
    add("--factors", action="store_true", help="measure what engine, input size and int8 each gave as well")
    add("--sustained", type=float, metavar="SECONDS", help="let each target work so long without a pause as well")
    add("--limit", type=float, default=LIMIT_MINUTES, metavar="MINUTES", help="end a target that takes longer (60)")
    add("--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA, else synthetic)")
    add("--bundle", type=Path, metavar="DIR", help="measure this bundle everywhere, instead of building each target's")
    add("--devices", type=Path, metavar="FILE", help="targets and budgets (default: devices.yaml)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    report, progress, night_table = reporting()
    store = opened_store(args)
    began, started = datetime.now(UTC), time.monotonic()
    outcomes = [Outcome(target, required=target.name in args.require) for target in select(args)]
    clear(args.out, targets.load(args.devices))
    with progress() as say:
        measure(outcomes, args, store, say)
    for outcome in outcomes if args.accept else []:
        accept(store, outcome, args.accept)
    kept = {outcome.target.name: history(store, outcome) for outcome in outcomes if outcome.record}
    night = described(outcomes, began, time.monotonic() - started, args)
    write_json(args.out / "nightly.json", night)
    junit.write(args.out / "junit.xml", outcomes, night["time"])
    page = report.write(args.out, kept)
    night_table.show(night, page)
    return EXIT_CODES[night["verdict"]]


def opened_store(args: argparse.Namespace) -> Store:
    """The history. What would be refused when a record is accepted is refused now, before the night's work."""
    absent = {"compare": False, "latest": False, "engine": None, "precision": None}
    return nights.store(argparse.Namespace(**vars(args), **absent)) or Store(args.history)


def reporting():
    """The modules that talk to people; asked for before a night's work, so that a missing package does not show after it."""
    try:
        from benchmarks import night_table, report
        from benchmarks.progress import progress
    except ModuleNotFoundError as error:
        raise EnvironmentInvalid(f"the nightly page needs {error.name}; run: pip install 'edgefer[workshop]'") from None
    return report, progress, night_table


def select(args: argparse.Namespace) -> list[Target]:
    """The targets that were named, and those that are required; all where none was named. In the file's order."""
    known = targets.load(args.devices)
    named = [name.strip() for name in args.targets.split(",")] if args.targets else list(known)
    for name in [*named, *args.require]:
        if name not in known:
            raise unknown("target", name, known, (args.devices or targets.default_path()).name)
    return [target for name, target in known.items() if name in named or name in args.require]


def clear(out: Path, known: Iterable[str]) -> None:
    """Remove what an earlier night left of any known target, so that nothing old is taken for tonight's."""
    logs = [f"logs/{name}{part}.txt" for name in known for part in ("", "-bundle")]
    records = [f"records/{name}.json" for name in known]
    for name in ("nightly.json", "junit.xml", "report.html", *records, *logs):
        (out / name).unlink(missing_ok=True)


def measure(outcomes: list[Outcome], args: argparse.Namespace, store: Store, say: Callable[[str], None]) -> None:
    """Fill in each outcome's record, or why there is none.

    First bundles are built, one after the other: that work is this machine's, and would disturb what is timed on it. So would
    the preparation of a run on another machine; therefore this machine's own targets are measured next, alone, and then those
    of all others, beside each other.
    """
    say("looking who is there")
    with ThreadPoolExecutor() as pool:
        reasons = list(pool.map(lambda o: targets.unreachable_reason(o.target), outcomes))
    for outcome, reason in zip(outcomes, reasons, strict=True):
        outcome.state, outcome.reason = (SKIPPED, reason) if reason else (outcome.state, "")
    stop, there = threading.Event(), [o for o in outcomes if o.state != SKIPPED]
    if not args.bundle:
        lanes.in_lanes(there, lambda _: reach.HERE, lambda o: build(o, args, say, stop), stop)
    machines = lane_names([o.target for o in there])
    built = [o for o in there if o.state != CRASHED]
    for here in (True, False):
        turn = [o for o in built if (machines[o.target.name] == reach.HERE) == here]
        lanes.in_lanes(turn, lambda o: machines[o.target.name], lambda o: run(o, args, store, say, stop), stop)


def lane_names(chosen: list[Target]) -> dict[str, str]:
    """Target → the machine it runs on: targets of one machine must not run beside each other.

    An Android device without a serial may be any of the connected ones, so then all of them count as one machine.
    """
    one_android = any(t.reach["kind"] == "adb" and not t.reach["serial"] for t in chosen)
    return {t.name: "android" if one_android and t.reach["kind"] == "adb" else reach.place(t) for t in chosen}


def build(outcome: Outcome, args: argparse.Namespace, say: Callable[[str], None], stop: threading.Event) -> None:
    """Make the target's bundle, or find it unchanged."""
    name = outcome.target.name
    say(f"{name}: bundle")
    out = ROOT / "build" / "bundles" / name
    command = [*EXPORT, "--checkpoint", str(CHECKPOINT), "--target", name, "--out", str(out), *shared_options(args)]
    ended = lanes.run(command, args.out / "logs" / f"{name}-bundle.txt", 60 * args.limit, stop)
    outcome.seconds["bundle"] = ended.seconds
    if ended.code != 0:
        outcome.code = ended.code
        outcome.state, outcome.reason = CRASHED, f"no bundle: {words(ended, args.limit)}"
        say(f"{name}: {'stopped' if stop.is_set() else outcome.reason}")


def run(
    outcome: Outcome, args: argparse.Namespace, store: Store, say: Callable[[str], None], stop: threading.Event
) -> None:
    """Measure, keep and compare one target by ``benchmarks/run.py``, a program of its own, and read its record."""
    name, file = outcome.target.name, record_of(args.out, outcome.target)
    say(f"{name}: measuring")
    command = [*MEASURE, "--target", name, "--json", str(file), *run_options(args, lost_baseline(outcome, args, store))]
    ended = lanes.run(command, args.out / "logs" / f"{name}.txt", 60 * args.limit, stop)
    outcome.seconds["measuring"], outcome.code = ended.seconds, ended.code
    told = words(ended, args.limit)
    outcome.record = read_record(file)
    refusal = refused(ended, told)
    outcome.comparison = outcome.record and (outcome.record.get("comparison") or refusal)
    expected = outcome.record and {EXIT_CODES[outcome.verdict], *((ENVIRONMENT, REJECTED) if refusal else ())}
    if not expected or ended.code not in expected:
        outcome.record = outcome.comparison = None
        outcome.state, outcome.reason = SKIPPED if ended.code == UNREACHABLE else CRASHED, told
    say(f"{name}: {'stopped' if stop.is_set() else outcome.reason or outcome.verdict}")


def lost_baseline(outcome: Outcome, args: argparse.Namespace, store: Store) -> bool:
    """Whether the baseline cannot be read and tonight's record is to replace it: then there is nothing to compare with."""
    reason = nights.unreadable(store, outcome.target) if args.accept else None
    outcome.remarks += [f"not compared: {reason}"] if reason else []
    return bool(reason)


def refused(ended: lanes.Ended, told: str) -> dict | None:
    """The comparison of a record that was measured and could not be compared: of another machine, or with a damaged store.

    The program then ends with an error's sentence, and by the worse of the record's verdict and "invalid".
    """
    if ended.code not in (*EXIT_CODES.values(), REJECTED) or not ended.last.startswith(ERROR):
        return None
    nothing = {"baseline": None, "rows": [], "changed": {}, "change_points": [], "accuracy": None}
    return {"verdict": "invalid", **nothing, "remarks": [told]}


def read_record(file: Path) -> dict | None:
    """The record; None where the program did not come so far as to write it."""
    try:
        return read_json(file)
    except InputRejected:
        return None


def run_options(args: argparse.Namespace, lost: bool = False) -> list[str]:
    """What ``benchmarks/run.py`` is told beside the target and the record's file; ``lost``: it keeps, and compares nothing."""
    flags = [f"--{name}" for name in PASSED_ON if getattr(args, name.replace("-", "_"))]
    sustained = ["--sustained", str(args.sustained)] if args.sustained else []
    folder = args.history or (Store().folder if lost else None)
    history = ["--history", str(folder)] if folder else []
    bundle = ["--bundle", str(args.bundle)] if args.bundle else []
    compared = [] if lost else ["--compare"]
    return ["--engines", *compared, *flags, *sustained, *history, *bundle, *shared_options(args)]


def shared_options(args: argparse.Namespace) -> list[str]:
    """What ``export`` is told as well."""
    named = {"--data": args.data, "--devices": args.devices}
    return [word for option, value in named.items() if value for word in (option, str(value))]


def words(ended: lanes.Ended, limit_minutes: float) -> str:
    """How a program ended without a result, in one sentence."""
    if ended.code is None:
        return (
            f"it did not end within {limit_minutes:g} minutes and was ended; see its log, or give it more with --limit"
        )
    if ended.last.startswith(ERROR):
        return ended.last.removeprefix(ERROR)
    how = f"it was killed by signal {-ended.code}" if ended.code < 0 else f"it ended with code {ended.code}"
    return f"{how}: {ended.last or 'it said nothing'}"


def record_of(out: Path, target: Target) -> Path:
    """Where a target's record goes."""
    return out / "records" / f"{target.name}.json"


def accept(store: Store, outcome: Outcome, reason: str) -> None:
    """Make tonight's record the baseline, and no other; where it may not be one, its remarks say why."""
    if outcome.record is None:
        return
    try:
        path = store.path_of(outcome.record)
        if path is None:
            raise InputRejected(f"tonight's record is not in {store.folder}; see the target's log")
        outcome.accepted = store.accept(outcome.target.name, reason, path)["reason"]
    except EdgeferError as error:
        outcome.remarks.append(f"not accepted as a baseline: {error}")


def history(store: Store, outcome: Outcome) -> list[dict]:
    """A target's latest records; none, with a remark, where they cannot be read."""
    try:
        return store.records(outcome.target.name, WINDOW).records
    except EdgeferError as error:
        outcome.remarks.append(f"the page shows this night only: {error}")
        return []


def described(outcomes: list[Outcome], began: datetime, seconds: float, args: argparse.Namespace) -> dict:
    """``nightly.json``."""
    git = environment.git(ROOT) or {}
    return {
        "schema": SCHEMA,
        "time": began.isoformat(timespec="seconds"),
        "verdict": overall(outcomes),
        "quick": args.quick,
        "commit": git.get("commit"),
        "dirty": git.get("dirty", False),
        "seconds": round(seconds, 1),
        "targets": [outcome.to_json() for outcome in outcomes],
    }


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a CI system that gives up must not leave programs behind
    sys.exit(exit_with(main))
