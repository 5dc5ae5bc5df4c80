"""``edgefer status``: what runs on a device."""

import argparse

from edgefer.errors import BROKEN, ENVIRONMENT, PASS
from edgefer.flash import options


def add(commands) -> None:
    add = options.parser(commands, "status", "say which version runs on a device, and whether it is well", work)
    add("--no-test", action="store_true", help="do not replay the golden vectors")


def work(args: argparse.Namespace) -> int:
    from edgefer.flash import client

    target = options.target(args)
    found = client.status(target, client.prefix_of(target, args.prefix), not args.no_test)
    for name, text in _rows(found).items():
        options.say(name, text)
    options.write(args, found)
    if not found["current"]:
        return ENVIRONMENT
    health = found["health"]
    return BROKEN if health and not health["ok"] else PASS


def _rows(found: dict) -> dict[str, str]:
    """What is printed: name → text."""
    current, health = found["current"], found.get("health")
    rows = {"current": f"{current} ({_state(found)})" if current else f"nothing was flashed to {found['prefix']}"}
    rows |= {"health": f"{'good' if health['ok'] else 'BAD'}: {health['told']}"} if health else {}
    rows["previous"] = found["previous"] or "none"
    failed, flashing = found.get("failed"), found.get("flashing")
    rows |= {"failed": f"{failed['version']}, on {failed['time']}: {failed['reason']}"} if failed else {}
    rows |= {"flashing": f"{flashing.get('owner')}, since {flashing.get('since')}"} if flashing else {}
    rows |= {"signatures": "asked for"} if found.get("signed_only") else {}
    rows["free"] = f"{found['free_bytes'] / 1e6:.0f} MB at {found['prefix']}"
    return rows


def _state(found: dict) -> str:
    facts = found["facts"]
    since = f", since {facts['switched']}" if "switched" in facts else ""
    if found["confirmed"]:
        return f"confirmed{since}"
    return (
        f"unconfirmed: {'its first minute goes on' if found['flashing'] else 'its first minute was cut short'}{since}"
    )
