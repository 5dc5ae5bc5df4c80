"""``edgefer flash``, ``edgefer rollback`` and ``edgefer status``."""

import argparse
import platform
from pathlib import Path

from edgefer import bundle as bundles
from edgefer import engines, targets
from edgefer.errors import BROKEN, ENVIRONMENT, PASS, UsageError
from edgefer.files import write_json
from edgefer.flash import client
from edgefer.flash.trial import Run, Watch
from edgefer.targets import Target

HERE = "this machine"


def add(commands) -> None:
    """Declare the three subcommands."""
    _add_flash(commands)
    _add_rollback(commands)
    _add_status(commands)


def _add_flash(commands) -> None:
    add = _parser(
        commands,
        "flash",
        "put a bundle on a device, check it there, switch to it, watch it, go back if it is not well",
        _flash,
    )
    add("--bundle", required=True, type=Path, metavar="DIR", help="the bundle, as `python -m export` wrote it")
    real = [name for name, row in engines.ENGINES.items() if row.packages]
    add("--engine", help=f"{', '.join(real)} (default: the target's)")
    add("--precision", help=f"{' or '.join(bundles.PRECISIONS)} (default: the target's)")
    add("--threads", type=int, metavar="N", help="threads of the engine (default: the target's)")
    add(
        "--allowed-signers",
        type=Path,
        metavar="FILE",
        help="from now on, let the device take only bundles signed by a key in FILE",
    )
    _add_watch(add, 60.0)


def _add_rollback(commands) -> None:
    add = _parser(commands, "rollback", "go back to the version that ran before", _rollback)
    _add_watch(add, 0.0)


def _add_status(commands) -> None:
    add = _parser(commands, "status", "say which version runs on a device, and whether it is well", _status)
    add("--no-test", action="store_true", help="do not replay the golden vectors")


def _parser(commands, name: str, what: str, work):
    command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    command.set_defaults(work=work)
    add = command.add_argument
    add("--target", metavar="NAME", help="entry of devices.yaml (default: this machine)")
    add("--devices", type=Path, metavar="FILE", help="another devices.yaml")
    usual = f"{client.PREFIX['ssh']}, over adb {client.PREFIX['adb']}"
    add("--prefix", metavar="DIR", help=f"folder of the versions on the device (default: reach.path, else {usual})")
    add("--json", type=Path, metavar="FILE", help="write what was found or done to FILE")
    return add


def _add_watch(add, seconds: float) -> None:
    add(
        "--watch",
        type=float,
        default=seconds,
        metavar="SECONDS",
        help="watch the version for so long after the switch (default %(default)g)",
    )
    add(
        "--health",
        default="",
        metavar="COMMAND",
        help="shell command on the device that ends with 0 while all is well (default: replay the golden vectors)",
    )
    add(
        "--restart",
        default="",
        metavar="COMMAND",
        help="shell command on the device that restarts the service, after a switch and after going back",
    )


def _flash(args: argparse.Namespace) -> int:
    target = _target(args)
    opened = bundles.load(args.bundle, verify=False)
    run = _run(args, target, opened)
    order = client.Order(target, args.bundle, run, client.prefix_of(target, args.prefix), _watch(args), _signers(args))
    print(f"flashing {opened.name} to {target.name}", flush=True)
    done = client.flash(order, _say)
    before = done["before"]
    changed = f"(before: {before})" if before != done["version"] else "(as before)"
    print(f"{done['version']} runs now on {target.name} {changed if before else '(the first one there)'}")
    _ways_on(args, done, "" if run.engine == opened.defaults.get("engine") else f" --engine {run.engine}")
    return _told(args, done)


def _rollback(args: argparse.Namespace) -> int:
    target = _target(args)
    print(f"going back on {target.name}", flush=True)
    done = client.rollback(target, client.prefix_of(target, args.prefix), _watch(args), _say)
    print(f"{done['version']} runs now on {target.name} (before: {done['before']})")
    _ways_on(args, done)
    return _told(args, done)


def _ways_on(args: argparse.Namespace, done: dict, choice: str = "") -> None:
    if done["previous"]:
        print(f"to go back to {done['previous']}: edgefer rollback{_where(args)}")
    there = f"{done['prefix']}/current"
    print(f"to use it there: {there}/bin/edgefer run --bundle {there}/bundle{choice} --source …")


def _status(args: argparse.Namespace) -> int:
    target = _target(args)
    found = client.status(target, client.prefix_of(target, args.prefix), not args.no_test)
    health, current = found.get("health"), found["current"]
    rows = {"current": f"{current} ({_state(found)})" if current else f"nothing was flashed to {found['prefix']}"}
    rows |= {"health": f"{'good' if health['ok'] else 'BAD'}: {health['told']}"} if health else {}
    rows["previous"] = found["previous"] or "none"
    failed, flashing = found.get("failed"), found.get("flashing")
    rows |= {"failed": f"{failed['version']}, on {failed['time']}: {failed['reason']}"} if failed else {}
    rows |= {"flashing": f"{flashing.get('owner')}, since {flashing.get('since')}"} if flashing else {}
    rows |= {"signatures": "asked for"} if found.get("signed_only") else {}
    rows["free"] = f"{found['free_bytes'] / 1e6:.0f} MB at {found['prefix']}"
    for name, text in rows.items():
        _say(name, text)
    _told(args, found)
    if not current:
        return ENVIRONMENT
    return BROKEN if health and not health["ok"] else PASS


def _state(found: dict) -> str:
    facts = found["facts"]
    since = f", since {facts['switched']}" if "switched" in facts else ""
    if found["confirmed"]:
        return f"confirmed{since}"
    return (
        f"unconfirmed: {'its first minute goes on' if found['flashing'] else 'its first minute was cut short'}{since}"
    )


def _target(args: argparse.Namespace) -> Target:
    if args.target:
        return targets.get(args.target, args.devices)
    reach = {"kind": "local", "machine": platform.machine()}
    return Target(HERE, HERE, reach, "", "", 0, False, 0.0)


def _run(args: argparse.Namespace, target: Target, opened: bundles.Bundle) -> Run:
    """What the user names, else the target's choice, else the bundle's."""
    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads must be at least 1, not {args.threads}")
    own = opened.defaults
    engine = args.engine or target.engine or own.get("engine", "")
    precision = args.precision or target.precision or own.get("precision", bundles.PRECISIONS[0])
    engines.row_of(engine)
    opened.artifact(engine, precision)
    return Run(engine, precision, args.threads or target.threads or own.get("threads", 1))


def _watch(args: argparse.Namespace) -> Watch:
    if not 0 <= args.watch < float("inf"):
        raise UsageError(f"--watch must be a number of seconds, 0 or more, not {args.watch}")
    return Watch(args.watch, args.health, args.restart)


def _signers(args: argparse.Namespace) -> Path | None:
    if args.allowed_signers and not args.allowed_signers.is_file():
        raise UsageError(
            f"{args.allowed_signers} is no file; it holds a name and a public key a line, as ssh-keygen's manual says"
        )
    return args.allowed_signers


def _where(args: argparse.Namespace) -> str:
    given = {"--target": args.target, "--devices": args.devices, "--prefix": args.prefix}
    return "".join(f" {name} {value}" for name, value in given.items() if value)


def _say(step: str, text: str) -> None:
    print(f"  {step:<10} {text}", flush=True)


def _told(args: argparse.Namespace, value: dict) -> int:
    if args.json:
        write_json(args.json, value)
    return PASS
