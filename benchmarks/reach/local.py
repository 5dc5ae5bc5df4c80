"""This machine as a device: files are where they are, workers are child processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from benchmarks.processes import Worker
from benchmarks.reach import about
from edgefer.bundle import Bundle
from edgefer.targets import Target


class Local:
    """See ``benchmarks.reach.Device``."""

    name, here, timed = "this machine", True, True

    @cached_property
    def about(self) -> about.About:
        return about.here()

    def stage(self, bundle: Bundle) -> None:
        """It is here already."""

    def worker(self, job: dict) -> Worker:
        return Worker(job)

    def put(self, path: Path) -> str:
        return str(path)

    def path(self, path: Path) -> str:
        return str(path)

    def get(self, path: Path) -> None:
        """It is here already."""


@contextmanager
def opened(_target: Target) -> Iterator[Local]:
    """See ``benchmarks.reach.opened``."""
    yield Local()
