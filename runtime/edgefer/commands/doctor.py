"""``edgefer doctor``: what on this machine hurts a bundle, each with its remedy."""

import argparse

from edgefer.errors import ENVIRONMENT, PASS


def add(commands) -> None:
    help_ = "find what on this machine would stop a bundle or spoil its answers; exit code 3 where something is broken"
    command = commands.add_parser("doctor", help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    command.set_defaults(work=work)
    command.add_argument(
        "--bundle", metavar="DIR", help="a bundle to check as well: its files, and its golden vectors here"
    )
    command.add_argument("--json", metavar="FILE", help="write the findings to FILE")


def work(args: argparse.Namespace) -> int:
    from pathlib import Path

    from edgefer import doctor
    from edgefer.files import write_json

    findings = doctor.examine(args.bundle, on=lambda found: print(found.line(), flush=True))
    broken = [found.check for found in findings if found.status == doctor.BROKEN]
    warned = [found.check for found in findings if found.status == doctor.WARNING]
    verdict = "broken" if broken else "pass"
    if args.json:
        value = {"verdict": verdict, "findings": [found.to_json() for found in findings]}
        write_json(Path(args.json), value)
    print(f"{verdict}: {len(broken)} broken, {len(warned)} warnings, {len(findings) - len(broken) - len(warned)} ok")
    return ENVIRONMENT if broken else PASS
