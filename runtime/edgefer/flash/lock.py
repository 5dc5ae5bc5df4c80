"""One flash at a time: a lock that the kernel frees when its holder ends, however it ends, and a note in it of who that is."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator

from edgefer.errors import EnvironmentInvalid
from edgefer.flash.layout import Prefix

PATIENCE_S = 1.0
"""How long to try: somebody who only looks holds it for an instant."""


class Lock:
    """A held lock.

    Attributes:
        stale: what its last holder, which ended without a word, had noted; None after an orderly end.
    """

    def __init__(self, handle: int, owner: str):
        self.handle, self.stale = handle, _noted(handle)
        self.note = {"owner": owner, "pid": os.getpid(), "since": now(), "step": "lock"}
        self.step("lock")

    def step(self, name: str) -> None:
        """Note what is being done, for whoever finds the lock held."""
        self.note["step"] = name
        data = json.dumps(self.note).encode()
        with contextlib.suppress(OSError):  # a full disk must not stop the steps that make room
            os.pwrite(self.handle, data, 0)
            os.ftruncate(self.handle, len(data))


def now() -> str:
    """The device's clock, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


@contextlib.contextmanager
def held(prefix: Prefix, owner: str) -> Iterator[Lock]:
    """Hold the prefix's lock.

    Raises:
        EnvironmentInvalid: somebody else holds it; says who, since when, and what to do.
    """
    handle = os.open(prefix.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _taken(handle):
            raise _busy(_noted(handle) or {})
        yield Lock(handle, owner)
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def holder(prefix: Prefix) -> dict | None:
    """What whoever holds the lock now has noted in it; None where nobody does."""
    try:
        handle = os.open(prefix.lock, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _noted(handle) or {}
    finally:
        os.close(handle)
    return None


def _taken(handle: int) -> bool:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        else:
            return True


def _noted(handle: int) -> dict | None:
    try:
        value = json.loads(os.pread(handle, 4096, 0))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _busy(note: dict) -> EnvironmentInvalid:
    pid = note.get("pid", "unknown")
    return EnvironmentInvalid(
        f"{note.get('owner', 'somebody')} has been flashing this device since {note.get('since', 'an unknown time')} "
        f"by its clock (at '{note.get('step', '?')}'); wait until that is done, or, if it hangs, run on the device: kill {pid}"
    )
