"""``edgefer rollback``: have a device run the version before."""

import argparse

from edgefer.errors import PASS
from edgefer.flash import options


def add(commands) -> None:
    options.add_watch(options.parser(commands, "rollback", "go back to the version that ran before", work), 0.0)


def work(args: argparse.Namespace) -> int:
    from edgefer.flash import client

    target = options.target(args)
    print(f"going back on {target.name}", flush=True)
    done = client.rollback(target, client.prefix_of(target, args.prefix), options.watch(args), options.say)
    print(f"{done['version']} runs now on {target.name} (before: {done['before']})")
    options.ways_on(args, done)
    options.write(args, done)
    return PASS
