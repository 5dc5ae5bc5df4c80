"""``edgefer service``: the systemd unit that keeps a bundle running."""

import argparse

from edgefer.errors import PASS

EPILOG = "Further flags of `edgefer run` follow after --, such as: -- --http 8080 --detect-every 10"


def add(commands) -> None:
    help_ = "write a systemd unit that keeps a bundle running: watchdog, restarts, health file"
    about = f"{help_[0].upper()}{help_[1:]}."
    command = commands.add_parser("service", help=help_, description=about, epilog=EPILOG)
    command.set_defaults(work=work)
    add = command.add_argument
    add("--bundle", required=True, metavar="DIR", help="the bundle, where it lies on this device")
    add("--source", required=True, metavar="S", help="a camera's number or path, or a stream; see `edgefer run`")
    add("--name", default="edgefer", help="of the unit, of /run/NAME and /var/lib/NAME (default %(default)s)")
    add("--user", help="who runs it (default: a user that systemd makes up)")
    add("--python", metavar="FILE", help="the interpreter that has edgefer (default: this one)")
    add("--memory", type=int, default=256, metavar="MB", help="end it above this (default %(default)s)")
    add("--write", metavar="FILE", help="write the unit to FILE (default: standard output)")
    add("more", nargs="*", metavar="FLAG", help=argparse.SUPPRESS)


def _check(opened, flags: argparse.Namespace) -> None:
    """What ``edgefer run`` would refuse only when it runs; whether the engine is installed, its interpreter knows."""
    from pathlib import Path

    from edgefer import detectors
    from edgefer.bundle import PRECISIONS
    from edgefer.errors import UsageError, unknown
    from edgefer.sources import STDIN, STREAM

    if not flags.source or flags.source == STDIN or flags.pixels or flags.live:
        raise UsageError(
            "a service has no standard input: --source must be a camera or a stream, without --pixels and --live"
        )
    there = Path(flags.source).is_absolute() or Path(flags.source).exists()
    if not (flags.source.isdecimal() or STREAM.match(flags.source) or there):
        raise UsageError(
            f"--source {flags.source} is not there; give a camera's number, or a path from / on, or a stream"
        )
    if flags.window:
        raise UsageError("a service has no display; look at it with --http PORT instead of --window")
    engine = flags.engine or opened.defaults.get("engine")
    if engine:
        opened.artifact(engine, flags.precision or opened.defaults.get("precision", PRECISIONS[0]))
    if flags.detector and flags.detector not in detectors.NAMES:
        raise unknown("detector", flags.detector, detectors.NAMES, "edgefer")
    if flags.yunet and not (Path(flags.yunet).is_absolute() and Path(flags.yunet).is_file()):
        raise UsageError(
            f"--yunet {flags.yunet}: name a file that is there, from / on; a service starts in its own folder"
        )


def work(args: argparse.Namespace) -> int:
    import os
    import sys
    from pathlib import Path

    from edgefer import bundle
    from edgefer.commands import run
    from edgefer.detectors import VARIABLE
    from edgefer.errors import UsageError
    from edgefer.files import write_text
    from edgefer.service import unit

    _check(bundle.load(args.bundle), run.parsed(["--bundle", args.bundle, "--source", args.source, *args.more]))
    yunet, python = os.environ.get(VARIABLE), Path(args.python or sys.executable).absolute()
    for what, file in (("--python", python), *([(VARIABLE, Path(yunet))] if yunet else [])):
        if not file.is_file():
            raise UsageError(f"{what} names {file}, which is not there; correct it")
    text = unit.text(
        unit.Service(
            python=str(python),
            bundle=str(Path(args.bundle).absolute()),  # a link such as current/bundle stays one
            source=args.source if not Path(args.source).exists() else str(Path(args.source).absolute()),
            name=args.name,
            user=args.user,
            memory_mb=args.memory,
            environment={VARIABLE: str(Path(yunet).resolve())} if yunet else {},
            more=tuple(args.more),
        )
    )
    if args.write:
        write_text(Path(args.write), text)
    else:
        print(text, end="")
    return PASS
