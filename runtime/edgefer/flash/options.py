"""What ``edgefer flash``, ``rollback`` and ``status`` have in common: their options, what is made of them, what is printed."""

import argparse
import platform
import shlex
from pathlib import Path

from edgefer.errors import UsageError, throw_away_output
from edgefer.files import check_writable, write_json
from edgefer.flash.trial import Watch

HERE = "this machine"
PREFIX = {"local": "~/.local/share/edgefer", "ssh": "~/.local/share/edgefer", "adb": "/data/local/tmp/edgefer"}
"""Kind of reach → where versions lie on the device, unless reach.path or ``--prefix`` says otherwise."""


def parser(commands, name: str, what: str, work):
    """Declare a subcommand with what all three take; its ``add_argument``."""
    command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    command.set_defaults(work=work)
    add = command.add_argument
    add("--target", metavar="NAME", help="entry of devices.yaml (default: this machine)")
    add("--devices", type=Path, metavar="FILE", help="another devices.yaml")
    usual = f"{PREFIX['ssh']}, over adb {PREFIX['adb']}"
    add("--prefix", metavar="DIR", help=f"folder of the versions on the device (default: reach.path, else {usual})")
    add("--json", type=Path, metavar="FILE", help="write what was found or done to FILE")
    return add


def add_watch(add, seconds: float) -> None:
    """Declare what decides whether a version stays."""
    how_long = "watch the version for so long after the switch (default %(default)g)"
    add("--watch", type=float, default=seconds, metavar="SECONDS", help=how_long)
    health = "shell command on the device that ends with 0 while all is well (default: replay the golden vectors)"
    add("--health", default="", metavar="COMMAND", help=health)
    restart = "shell command on the device that restarts the service, after a switch and after going back"
    add("--restart", default="", metavar="COMMAND", help=restart)


def target(args: argparse.Namespace):
    """The target that is named, or one that means this machine.

    Raises:
        UsageError: no such target, or ``--json`` or ``--prefix`` names no place.
    """
    from edgefer import targets

    check_writable(args.json)
    if args.prefix == "":
        raise UsageError("--prefix is empty; name a folder, or leave it out")
    if args.devices and not args.target:
        raise UsageError("--devices is about --target; name one of its entries")
    if args.target:
        return targets.get(args.target, args.devices)
    reach = {"kind": "local", "machine": platform.machine()}
    return targets.Target(HERE, HERE, reach, "", "", 0, False, 0.0)


def watch(args: argparse.Namespace) -> Watch:
    """How a version is watched.

    Raises:
        UsageError: for an impossible time.
    """
    if not 0 <= args.watch < float("inf"):
        raise UsageError(f"--watch must be a number of seconds, 0 or more, not {args.watch}")
    return Watch(args.watch, args.health, args.restart)


def say(step: str, text: str) -> None:
    """One line a step; the work goes on when nobody reads them any more."""
    try:
        print(f"  {step:<10} {text}", flush=True)
    except BrokenPipeError:
        throw_away_output()


def ways_on(args: argparse.Namespace, done: dict, choice: str = "") -> None:
    """Say how to go back, and how to use what runs now with these flags of ``edgefer run``."""
    if done["previous"]:
        given = {"--target": args.target, "--devices": args.devices, "--prefix": args.prefix}
        where = "".join(f" {name} {shlex.quote(str(value))}" for name, value in given.items() if value)
        print(f"to go back to {done['previous']}: edgefer rollback{where}")
    there = f"{done['prefix']}/current"
    print(f"to use it there: {there}/bin/edgefer run --bundle {there}/bundle{choice} --source …")


def write(args: argparse.Namespace, value: dict) -> None:
    """Write ``--json``, if it is asked for."""
    if args.json:
        write_json(args.json, value)
