"""``python benchmarks/run.py --target i7``: measure what a target's bundle does, and judge it by the target's budgets.

Exit codes: 0 pass, 1 a budget or parity is broken, 2 usage, 3 invalid (too noisy to time), 4 inconclusive, 5 unreachable.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import benchmark_app, factors, forecast, growth, nights, page, peers, reach, verdict
from benchmarks.session import FULL, QUICK, Effort, Session
from edgefer import bundle, engines, targets
from edgefer.errors import EdgeferError, EnvironmentInvalid, Unreachable, UsageError, exit_with
from edgefer.files import check_writable, write_json
from edgefer.spec import ModelSpec

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "train" / "checkpoints" / "efficientface"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--target", required=True, help="entry of devices.yaml: its engine, precision, threads and budgets")
    add("--engine", help="measure this engine instead of the target's")
    add("--precision", choices=bundle.PRECISIONS, help="measure this precision instead of the target's")
    add("--engines", action="store_true", help="measure every artifact of the bundle in the same run as well")
    add(
        "--peers",
        action="store_true",
        help="measure what people deploy, and the machine's peak, in the same run as well",
    )
    add(
        "--benchmark-app", action="store_true", help="hold our figures of the OpenVINO artifact against benchmark_app's"
    )
    add(
        "--growth", action="store_true", help="measure how cost grows with input size, faces, threads and batch as well"
    )
    add("--factors", action="store_true", help="measure what engine, input size and int8 each gave as well")
    add("--pruned", type=Path, metavar="DIR", help="with --factors: a pruned checkpoint as its last step")
    add("--json", type=Path, metavar="FILE", help="write the record to FILE as well")
    add("--bundle", type=Path, metavar="DIR", help="measure this bundle as it is, instead of building one")
    add("--checkpoint", type=Path, default=CHECKPOINT, metavar="DIR", help="what a bundle is built from")
    add("--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA, else synthetic)")
    add("--devices", type=Path, metavar="FILE", help="targets and budgets (default: devices.yaml)")
    add("--quick", action="store_true", help="few rounds, for a first look; the report says so")
    add("--sustained", type=float, default=0.0, metavar="SECONDS", help="work so long without a pause as well (0: not)")
    add("--emulate", action="store_true", help="an Android target: the page in Chromium here, where no phone is")
    add("--dry-run", action="store_true", help="say what would be measured and how long it takes, and measure nothing")
    nights.flags(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    target, asked = named_target(args), studies(args)
    check_writable(args.json)
    store = nights.store(args)
    if args.latest:
        print(nights.told(store.accept(target.name, args.accept, store.latest_of(target))))
        return 0
    effort = replace(QUICK if args.quick else FULL, sustained_s=args.sustained)
    if args.dry_run:
        return forecast_only(args, target, effort, tuple(asked), store)
    in_browser = page.wanted(target, args.emulate)
    if not args.emulate and (reason := targets.unreachable_reason(target)):
        raise Unreachable(reason)
    progress, table = reporting()
    if in_browser:
        opened = open_bundle(args)
        left_out = page.left_out(args.engines, effort.sustained_s, asked)
        with progress() as say:
            record = page.record(opened, target, args.data, effort, say, args.emulate, left_out)
    else:
        earlier = nights.earlier(args, store, target)
        with reach.opened(target) as device:
            opened = open_bundle(args)
            with progress() as say:
                session = Session(opened, target, args.data, effort, say, device, earlier)
                record = session.record(every=args.engines, studies=asked)
    files = [record_file(target), *([args.json] if args.json else [])]
    write(record, files)
    table.show(record, str(files[-1]), table.console())
    if kept := nights.keep(args, store, record, opened.folder):
        print(kept)
    return verdict.EXIT_CODES[compared(record, store, files, table) if args.compare else record["verdict"]]


def compared(record: dict, store: nights.Store, files: list[Path], table) -> str:
    """The worse of the record's verdict and the comparison's, which is written beside it and printed."""
    try:
        comparison = nights.against(store, record).to_json()
    except EdgeferError as error:  # such as the baseline of another machine: the record stands all the same
        print(f"error: {error}", file=sys.stderr)
        return verdict.worst(record["verdict"], "invalid")
    write(record | {"comparison": comparison}, files)
    table.show_comparison(comparison, table.console())
    return verdict.worst(record["verdict"], comparison["verdict"])


def record_file(target: targets.Target) -> Path:
    """Where a target's latest record lies."""
    return ROOT / "build" / "bench" / f"{target.name}.json"


def forecast_only(
    args: argparse.Namespace,
    target: targets.Target,
    effort: Effort,
    asked: tuple[str, ...],
    store: nights.Store | None,
) -> int:
    """Print what would be measured, and write it where ``--json`` says. No device is asked anything."""
    folder = args.bundle or ROOT / "build" / "bundles" / target.name
    opened = bundle.load(folder) if args.bundle else forecast.readable(lambda: bundle.load(folder, verify=False))
    if page.wanted(target, args.emulate):
        return told_forecast(args, target, page.passes(effort, opened))
    beside = bool(store and forecast.readable(lambda: nights.earlier(args, store, target)))
    last = forecast.last_run(record_file(target), target, effort, args.engines, beside)
    return told_forecast(args, target, forecast.passes(target, opened, effort, args.engines, beside, asked, last))


def told_forecast(args: argparse.Namespace, target: targets.Target, found: list[forecast.Pass]) -> int:
    print("\n".join(forecast.told(target, found)))
    if args.json:
        write_json(args.json, forecast.to_json(target, found))
    return 0


def write(record: dict, files: list[Path]) -> None:
    for file in files:
        write_json(file, record)


def reporting():
    """The modules that talk to people; asked for before the measuring, so that a missing package does not show after it."""
    try:
        from benchmarks import table
        from benchmarks.progress import progress
    except ModuleNotFoundError as error:
        raise EnvironmentInvalid(f"benchmarks need {error.name}; run: pip install 'edgefer[workshop]'") from None
    return progress, table


def studies(args: argparse.Namespace) -> dict[str, Callable[[Session], dict]]:
    """The studies that were asked for, by name, in the order they run.

    Raises:
        EnvironmentInvalid: a package is missing that one of them cannot do without.
        UsageError, InputRejected: a pruned checkpoint that no study asks for, or that is none.
    """
    for study in [name for name in ("peers", "factors") if getattr(args, name)]:
        peers.check_packages(study)
    if args.pruned and not args.factors:
        raise UsageError("--pruned is the last step of --factors; give both")
    if args.pruned:
        ModelSpec.load(args.pruned / "model.json")
    known = {
        "peers": (peers.study, args.peers),
        "benchmark_app": (benchmark_app.study, args.benchmark_app),
        "growth": (partial(growth.study, checkpoint=args.checkpoint), args.growth),
        "factors": (partial(factors.study, pruned=args.pruned), args.factors),
    }
    return {name: study for name, (study, wanted) in known.items() if wanted}


def named_target(args: argparse.Namespace) -> targets.Target:
    """The target with the engine and precision that were asked for.

    Raises:
        UsageError: no such target or engine, a budget of it is for no metric, or a sustained run of negative length.
    """
    target = targets.get(args.target, args.devices)
    verdict.check_budgets(target)
    engines.row_of(args.engine or target.engine)
    if not 0 <= args.sustained < float("inf"):
        raise UsageError(f"--sustained takes seconds, at least 0, not {args.sustained:g}")
    return replace(target, engine=args.engine or target.engine, precision=args.precision or target.precision)


def open_bundle(args: argparse.Namespace) -> bundle.Bundle:
    """The bundle that was named, or the target's own, which export builds or finds unchanged."""
    if args.bundle:
        return bundle.load(args.bundle)
    from export.build import bundle as build

    own = targets.get(args.target, args.devices)  # another --engine runs from it, and does not make it another bundle
    return bundle.load(build(args.checkpoint, own, args.data, ROOT / "build" / "bundles" / own.name))


if __name__ == "__main__":
    sys.exit(exit_with(main))
