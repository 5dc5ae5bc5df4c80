"""Switching between versions, and back. ``current`` is the one commit point; ``status.json`` says what a cut switch was about.

A switch in ``status.json`` is ``{to, current, previous}``: where it goes, and what the two links were before.
"""

import contextlib
import os
import shutil

from edgefer.flash.layout import Prefix, sync


def place(prefix: Prefix, arrived: str, name: str) -> str:
    """Move a checked version from ``incoming`` among the versions; its name there, which has a number if that one is taken."""
    free, number = name, 1
    while (prefix.versions / free).exists():
        number += 1
        free = f"{name}.{number}"
    prefix.versions.mkdir(exist_ok=True)
    (prefix.incoming / arrived).rename(prefix.versions / free)
    sync(prefix.versions)
    return free


def switch(prefix: Prefix, to: str) -> None:
    """Make a version the current one, unconfirmed. What was current, or the last confirmed one, becomes the previous one."""
    value = prefix.read()
    value["switch"] = {"to": to, "current": prefix.current, "previous": prefix.previous}
    prefix.write(value)
    prefix.point("current", to)
    prefix.point("previous", _fallback(value))


def _fallback(value: dict) -> str | None:
    """What to go back to later: what was current, unless its first minute was never seen to the end and another's was."""
    to, current, previous = (value["switch"][name] for name in ("to", "current", "previous"))
    confirmed = value["versions"].get(current, {}).get("confirmed")
    if previous and previous != to and not confirmed:
        return previous
    return current if current != to else previous


def confirm(prefix: Prefix) -> None:
    """The switch is good: forget how to undo it, and remove all but the current and the previous version."""
    value, current = prefix.read(), prefix.current
    value["versions"][current] = value["versions"].get(current, {}) | {"confirmed": True}
    value["switch"] = value["failed"] = None
    keep = {current, prefix.previous}
    value["versions"] = {name: facts for name, facts in value["versions"].items() if name in keep}
    prefix.write(value)
    prune(prefix, keep)


def prune(prefix: Prefix, keep: set) -> None:
    """Remove the other versions: out of the way first, so that no half of one is ever among the versions."""
    for folder in prefix.versions.iterdir() if prefix.versions.is_dir() else ():
        if folder.name not in keep:
            prefix.incoming.mkdir(exist_ok=True)
            gone = prefix.incoming / f"old-{folder.name}"
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def go_back(prefix: Prefix, why: str, when: str) -> str | None:
    """Undo the switch that is under way; what is current now. The version that failed is removed, why is kept."""
    value = prefix.read()
    to = value["switch"]["to"]
    undo(prefix, value["switch"])
    value["failed"], value["switch"] = {"version": to, "reason": why, "time": when}, None
    if not prefix.version(to):
        value["versions"].pop(to, None)
    with contextlib.suppress(OSError):  # a full disk: the links are right, and that is what counts
        prefix.write(value)
    return prefix.current


def undo(prefix: Prefix, links: dict) -> None:
    """Point the links where they pointed before a switch, and remove the version that it was to."""
    for link in ("current", "previous"):
        if prefix.pointed(link) != links[link]:
            prefix.point(link, _existing(prefix, links[link]))
    prune(prefix, {prefix.current, prefix.previous})


def recover(prefix: Prefix) -> str | None:
    """Finish or drop a switch that was cut; what was found, in words, None where there is nothing to say."""
    value = prefix.read()
    undo = value["switch"]
    told = None
    if undo:
        if prefix.current == undo["to"]:
            prefix.point("previous", _existing(prefix, _fallback(value)))
            told = f"the first minute of {undo['to']} was cut short: it runs, unconfirmed"
        else:
            prefix.point("previous", _existing(prefix, undo["previous"]))
            told = f"a switch to {undo['to']} was cut before it happened: {prefix.current or 'nothing'} runs"
        value["switch"] = None
        prefix.write(value)
    for link in ("current", "previous"):
        if os.path.lexists(prefix.folder / link) and not prefix.pointed(link):
            prefix.point(link, None)  # it points to nothing
    if not prefix.current and prefix.previous:
        prefix.point("current", prefix.previous)
        told = f"{prefix.previous} runs again: what ran last is gone"
    return told


def _existing(prefix: Prefix, name: str | None) -> str | None:
    return name if prefix.version(name) else None
