"""What ``benchmarks/run.py`` does with the store of records: keep a run, accept it, compare it."""

import argparse
import sys
from pathlib import Path

from benchmarks import environment
from benchmarks.compare import WINDOW, Comparison, compare
from benchmarks.contenders import Earlier
from benchmarks.history import Store
from edgefer import targets
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from edgefer.targets import Target


def flags(parser: argparse.ArgumentParser) -> None:
    """The options that have to do with earlier runs."""
    group = parser.add_argument_group(
        "earlier runs", "any of these keeps the record in the history; --quick never does"
    )
    add = group.add_argument
    add("--history", metavar="DIR", help="where records are kept (default: EDGEFER_HISTORY, else history/)")
    add("--compare", action="store_true", help="judge the run by the accepted baseline as well")
    add("--accept", metavar="REASON", help="make this run the baseline, and say why; needs a clean checkout")
    add("--latest", action="store_true", help="with --accept: take the latest kept record instead of measuring")


def store(args: argparse.Namespace) -> Store | None:
    """The history, where an option asks for it. Refuses at once what would be refused after the measuring.

    Raises:
        UsageError: options that make no sense together.
        EnvironmentInvalid: a baseline from a checkout with uncommitted changes.
    """
    accepting = args.accept is not None
    if args.latest and not accepting:
        raise UsageError("--latest says which record to accept; add --accept REASON")
    if accepting and args.compare:
        raise UsageError("--accept and --compare are two runs: compare first, then --accept REASON --latest")
    if accepting and args.quick:
        raise UsageError("a --quick run can never become a baseline; leave out --quick")
    if accepting and not args.accept.strip():
        raise UsageError("accepting a baseline needs a reason; say why: --accept 'new weights'")
    if accepting:
        check_own(args)
    if accepting and not args.latest and (environment.git(Path(__file__).parent) or {}).get("dirty"):
        raise EnvironmentInvalid(
            "the checkout has uncommitted changes, so nobody could go back to it; commit them first"
        )
    return Store(args.history) if args.history or args.compare or accepting else None


def check_own(args: argparse.Namespace) -> None:
    """Refuse a baseline that no later run of the target as devices.yaml has it could be compared with.

    Raises:
        UsageError: another engine or precision than the target's own.
    """
    if not (args.engine or args.precision):
        return
    own = targets.get(args.target, args.devices)
    if (args.engine or own.engine, args.precision or own.precision) != (own.engine, own.precision):
        raise UsageError(
            f"a baseline of target '{own.name}' is of its own {own.engine} {own.precision}; leave out --engine and "
            "--precision, or change the target's entry in devices.yaml"
        )


def earlier(args: argparse.Namespace, kept: Store | None, target: Target) -> Earlier | None:
    """The baseline's artifact, to be timed beside today's; None where there is none to be had.

    A baseline that cannot be read stops a run that is to be judged by it. One that replaces it, or only keeps its record, goes
    on without it and says so.

    Raises:
        InputRejected: with ``--compare``, where the baseline's record or artifact is missing or damaged.
    """
    if kept is None:
        return None
    if args.compare or not (reason := unreadable(kept, target)):
        return kept.earlier(target)
    print(f"remark: nothing is timed beside this run: {reason}", file=sys.stderr)
    return None


def unreadable(kept: Store, target: Target) -> str | None:
    """Why the baseline of a target cannot be compared with; None where it can, or where there is none."""
    try:
        kept.earlier(target)
    except InputRejected as error:
        return str(error)
    return None


def keep(args: argparse.Namespace, kept: Store | None, record: dict, bundle: Path) -> str | None:
    """Store the record and, if asked, make it the baseline; says what became of it."""
    if kept is None or args.quick:
        return None
    path = kept.append(record, bundle)
    if args.accept is None:
        return f"kept: {path}"
    return told(kept.accept(record["target"], args.accept, path))


def told(entry: dict) -> str:
    """One line about a baseline that was accepted."""
    before = f"; before: {entry['before']}" if entry["before"] else ""
    return f"baseline: {entry['record']}, accepted by {entry['by']}: {entry['reason']}{before}"


def against(kept: Store, record: dict) -> Comparison:
    """The record against the store's baseline and history; damaged records are remarked on."""
    found, baseline = kept.records(record["target"], WINDOW), kept.baseline(record["target"])
    if baseline is None:
        result = compare(record, None, found.records)
    else:
        result = compare(record, baseline.record, found.records, baseline.entry["reason"])
    result.remarks.extend(found.remarks)
    return result
