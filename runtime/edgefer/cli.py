"""The ``edgefer`` command. Each subcommand is a module of ``edgefer.commands``."""

import argparse
import sys

from edgefer import __version__, commands
from edgefer.errors import exit_with


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code (``edgefer.errors``)."""
    return exit_with(lambda: _command(argv))


def _command(argv: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="edgefer", description="Recognise facial expressions on a device.")
    parser.add_argument("--version", action="version", version=f"edgefer {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    argv = sys.argv[1:] if argv is None else argv
    for module in commands.modules(argv[0] if argv else None):
        module.add(subparsers)
    args = parser.parse_args(argv)
    return args.work(args)
