"""``edgefer flash``: put a bundle on a device and have it run there."""

import argparse
from pathlib import Path

from edgefer.errors import PASS, UsageError
from edgefer.flash import options

SECONDS = 60.0
"""The first minute."""


def add(commands) -> None:
    what = "put a bundle on a device, check it there, switch to it, watch it, go back if it is not well"
    add = options.parser(commands, "flash", what, work)
    add("--bundle", required=True, type=Path, metavar="DIR", help="the bundle, as `python -m export` wrote it")
    add("--engine", metavar="NAME", help="litert, onnxruntime or openvino (default: the target's)")
    add("--precision", metavar="NAME", help="fp32 or int8 (default: the target's)")
    add("--threads", type=int, metavar="N", help="threads of the engine (default: the target's)")
    signers = "from now on, let the device take only bundles signed by a key in FILE"
    add("--allowed-signers", type=Path, metavar="FILE", help=signers)
    options.add_watch(add, SECONDS)


def work(args: argparse.Namespace) -> int:
    from edgefer import bundle
    from edgefer.flash import client

    target, opened = options.target(args), bundle.load(args.bundle, verify=False)
    run = _run(args, target, opened)
    prefix = client.prefix_of(target, args.prefix)
    order = client.Order(target, args.bundle, run, prefix, options.watch(args), _signers(args))
    print(f"flashing {opened.name} to {target.name}", flush=True)
    done = client.flash(order, options.say)
    before = done["before"]
    changed = f"(before: {before})" if before != done["version"] else "(as before)"
    print(f"{done['version']} runs now on {target.name} {changed if before else '(the first one there)'}")
    options.ways_on(args, done, "" if run.engine == opened.defaults.get("engine") else f" --engine {run.engine}")
    options.write(args, done)
    return PASS


def _run(args: argparse.Namespace, target, opened):
    """What the user names, else the target's choice, else the bundle's."""
    from edgefer import engines
    from edgefer.bundle import PRECISIONS
    from edgefer.flash.trial import Run

    if args.threads is not None and args.threads < 1:
        raise UsageError(f"--threads must be at least 1, not {args.threads}")
    own = opened.defaults
    engine = args.engine or target.engine or own.get("engine") or next(iter(engines.ENGINES))
    precision = args.precision or target.precision or own.get("precision", PRECISIONS[0])
    engines.row_of(engine)
    opened.artifact(engine, precision)
    return Run(engine, precision, args.threads or target.threads or own.get("threads", 1))


def _signers(args: argparse.Namespace) -> Path | None:
    path = args.allowed_signers
    if path and not path.is_file():
        raise UsageError(f"{path} is no file; it holds a name and a public key a line, as ssh-keygen's manual says")
    return path
