"""What ``benchmarks/run.py`` does with the store of records: keep a run, accept it, compare it."""

import argparse
from pathlib import Path

from benchmarks import environment
from benchmarks.compare import Comparison, compare
from benchmarks.contenders import Earlier
from benchmarks.history import Store
from edgefer.errors import EnvironmentInvalid, UsageError
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
    if accepting and not args.latest and (environment.git(Path(__file__).parent) or {}).get("dirty"):
        raise EnvironmentInvalid(
            "the checkout has uncommitted changes, so nobody could go back to it; commit them first"
        )
    return Store(args.history) if args.history or args.compare or accepting else None


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
    found, baseline = kept.records(record["target"]), kept.baseline(record["target"])
    if baseline is None:
        result = compare(record, None, found.records)
    else:
        result = compare(record, baseline.record, found.records, baseline.entry["reason"])
    result.remarks.extend(found.remarks)
    return result


def earlier(_args: argparse.Namespace, kept: Store | None, target: Target) -> Earlier | None:
    """The accepted baseline's artifact, where there is one."""
    return kept.earlier(target) if kept else None
