"""Do waiting workers keep still? The CPU time that those whose turn it is not take while another is being timed.

An engine's threads may spin for a while after their work, and one that goes on spinning slows its neighbour down and its own
next block up. Linux tells any process's CPU time, so it is read around every block.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.processes import Worker

BOUND = 0.01
"""Largest share of one core that a waiting worker may take, on average over all blocks of the others."""


class Watch:
    """CPU time of every waiting worker of a run. Linux only."""

    def __init__(self):
        self._pids: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._waited: dict[str, int] = {}

    @contextmanager
    def over(self, role: str, worker: Worker) -> Iterator["Watched"]:
        """The worker as interleaving wants it, watched as long as it runs."""
        self._pids[role] = worker.process.pid
        try:
            yield Watched(self, role, worker)
        finally:
            del self._pids[role]

    def block(self, role: str, worker: Worker, n: int) -> list[int]:
        """One block of ``role``, with all others watched."""
        others = {other: cpu_ns(pid) for other, pid in self._pids.items() if other != role}
        start = time.monotonic_ns()
        samples = worker.block(n)
        wall = time.monotonic_ns() - start
        for other, before in others.items():
            self._taken[other] = self._taken.get(other, 0) + cpu_ns(self._pids[other]) - before
            self._waited[other] = self._waited.get(other, 0) + wall
        return samples

    def to_json(self) -> dict:
        """{bound, workers: {role: {cpu_ms, waited_ms, share}}}: ``share`` is of one core."""
        workers = {
            role: {"cpu_ms": taken / 1e6, "waited_ms": self._waited[role] / 1e6, "share": taken / self._waited[role]}
            for role, taken in self._taken.items()
        }
        return {"bound": BOUND, "workers": workers}


class Watched:
    """A worker whose blocks are watched. See ``benchmarks.interleave.Runner``."""

    def __init__(self, watch: Watch, role: str, worker: Worker):
        self.watch, self.role, self.worker = watch, role, worker

    def warm_up(self, seconds: float) -> list[int]:
        return self.worker.warm_up(seconds)

    def block(self, n: int) -> list[int]:
        return self.watch.block(self.role, self.worker, n)


def cpu_ns(pid: int) -> int:
    """CPU time of a process with all its threads, nanoseconds, by the clock that ``clock_getcpuclockid(3)`` gives."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def remarks(idle: dict) -> list[str]:
    """One sentence for every waiting worker that did not keep still."""
    return [
        f"idle: {role} took {worker['share']:.1%} of a core while others were timed; {idle['bound']:.0%} is allowed"
        for role, worker in idle["workers"].items()
        if worker["share"] > idle["bound"]
    ]
