"""Reaching devices, one module a kind of reach in ``devices.yaml``: where workers run, and how files come and go.

Knows processes, files and connections. Does not know what a worker computes or what its figures mean.
"""

import importlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from benchmarks.processes import Worker
from benchmarks.reach.about import About
from edgefer.bundle import Bundle
from edgefer.targets import Target


class Device(Protocol):
    """A machine that workers run on."""

    name: str
    """For messages."""
    about: About
    here: bool
    """It is this machine itself."""
    timed: bool
    """Times measured on it mean something; they do not under emulation."""

    def stage(self, bundle: Bundle) -> None:
        """Put a bundle's files there, for the workers to come."""

    def worker(self, job: dict) -> Worker:
        """Start a worker there. Paths in the job are this machine's; the device takes care of the files."""

    def put(self, path: Path) -> str:
        """Make sure a file's present content is there; its path there."""

    def path(self, path: Path) -> str:
        """Where a worker is to write what ``get(path)`` will fetch."""

    def get(self, path: Path) -> None:
        """Fetch a file written there to ``path`` here."""


KINDS = {kind: f"benchmarks.reach.{kind}" for kind in ("local", "ssh", "adb", "emulated")}
"""Kind of reach → its module, which has ``opened(target)``."""
HERE = "local"
LOOPBACK = ("localhost", "127.", "::1", "emulator-")
"""What addresses, and serials of Android's emulator, on this machine begin with."""


def opened(target: Target) -> AbstractContextManager[Device]:
    """``with opened(target) as device``: the target's device, with a worker's files on it, and nothing left on it after.

    Raises:
        Unreachable: it does not answer, refuses us, is another device than it was, or is lost.
        EnvironmentInvalid: it answers and lacks something.
    """
    return importlib.import_module(KINDS[target.reach["kind"]]).opened(target)


def place(target: Target) -> str:
    """Name of the machine a target is measured on. Two targets of one place must not be measured at the same time."""
    reach = target.reach
    address = {"ssh": reach.get("host"), "adb": reach.get("serial")}.get(reach["kind"])
    if address is None or address.lower().startswith(LOOPBACK):
        return HERE
    return address.lower() if reach["kind"] == "ssh" else f"adb {address}".strip()


def fingerprint(device: Device) -> dict:
    """The device's fingerprint, read on it; see ``benchmarks.environment``."""
    with device.worker({"kind": "machine"}) as worker:
        return worker.ask("fingerprint")


def installed_mb(device: Device, packages: tuple[str, ...]) -> float | None:
    """MB (10⁶ bytes) that top-level modules take up there with all they require; None where none of them is there."""
    with device.worker({"kind": "machine"}) as worker:
        return worker.ask("installed", packages=packages)["mb"]
