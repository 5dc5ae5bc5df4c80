"""``python benchmarks/run.py --target i7``: measure what a target's bundle does, and judge it by the target's budgets.

Exit codes: 0 pass, 1 a budget or parity is broken, 2 usage, 3 invalid (too noisy to time), 4 inconclusive, 5 unreachable.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import benchmark_app, growth, peers, verdict
from benchmarks.session import FULL, QUICK, Session
from edgefer import bundle, targets
from edgefer.errors import EnvironmentInvalid, Unreachable, exit_with
from edgefer.files import write_json

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
    add("--json", type=Path, metavar="FILE", help="write the record to FILE as well")
    add("--bundle", type=Path, metavar="DIR", help="measure this bundle as it is, instead of building one")
    add("--checkpoint", type=Path, default=CHECKPOINT, metavar="DIR", help="what a bundle is built from")
    add("--data", help="folder or zip with FER+, or 'synthetic' (default: EDGEFER_DATA, else synthetic)")
    add("--devices", type=Path, metavar="FILE", help="targets and budgets (default: devices.yaml)")
    add("--quick", action="store_true", help="few rounds, for a first look; the report says so")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    target, asked = reachable_target(args), studies(args)
    progress, table = reporting()
    opened = open_bundle(args, target)
    with progress() as say:
        session = Session(opened, target, args.data, QUICK if args.quick else FULL, say)
        record = session.record(every=args.engines, studies=asked)
    files = [ROOT / "build" / "bench" / f"{target.name}.json", *([args.json] if args.json else [])]
    for file in files:
        write_json(file, record)
    table.show(record, str(files[-1]), table.console())
    return verdict.EXIT_CODES[record["verdict"]]


def reporting():
    """The modules that talk to people; asked for before the measuring, so that a missing package does not show after it."""
    try:
        from benchmarks import table
        from benchmarks.progress import progress
    except ModuleNotFoundError as error:
        raise EnvironmentInvalid(f"benchmarks need {error.name}; run: pip install 'edgefer[workshop]'") from None
    return progress, table


def studies(args: argparse.Namespace) -> tuple:
    """The studies that were asked for, in the order they run.

    Raises:
        EnvironmentInvalid: a package is missing that one of them cannot do without.
    """
    if args.peers:
        peers.check_packages()
    asked = {
        peers.study: args.peers,
        benchmark_app.study: args.benchmark_app,
        partial(growth.study, checkpoint=args.checkpoint): args.growth,
    }
    return tuple(study for study, wanted in asked.items() if wanted)


def reachable_target(args: argparse.Namespace) -> targets.Target:
    """The target with the engine and precision that were asked for.

    Raises:
        UsageError: no such target, or a budget of it is for no metric.
        Unreachable: nothing can be measured on it from here.
    """
    target = targets.get(args.target, args.devices)
    verdict.check_budgets(target)
    if reason := targets.unreachable_reason(target):
        raise Unreachable(reason)
    return replace(target, engine=args.engine or target.engine, precision=args.precision or target.precision)


def open_bundle(args: argparse.Namespace, target: targets.Target) -> bundle.Bundle:
    """The bundle that was named, or the target's own, which export builds or finds unchanged."""
    if args.bundle:
        return bundle.load(args.bundle)
    from export.build import bundle as build

    return bundle.load(build(args.checkpoint, target, args.data, ROOT / "build" / "bundles" / target.name))


if __name__ == "__main__":
    sys.exit(exit_with(main))
