"""Programs beside each other: one lane a machine, in each lane one program after the other.

A program that fails, hangs or crashes ends by itself or at its limit; its lane goes on with the next one.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Job, Result = TypeVar("Job"), TypeVar("Result")
POLL_S, GRACE_S = 0.2, 5
"""How often a running program is looked at, and how long one that must end may tidy up."""


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int | None
    """Its exit status, negative for a signal; None where it was ended at its limit or because everything stops."""
    seconds: float
    last: str
    """The last line it wrote, which for our programs is the error's sentence; empty where it wrote nothing."""


def run(command: list[str], log: Path, limit_s: float, stop: threading.Event) -> Ended:
    """Run a program, everything it writes into ``log``; end it, with all it started, at its limit or when ``stop`` is set.

    Its output is not held back: else what it prints to stdout would come after its error's sentence, the last line.
    """
    began = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            code = _wait(process, began + limit_s, stop)
        finally:
            _end(process)
    return Ended(code, time.monotonic() - began, _last_line(log))


def in_lanes(
    jobs: list[Job], lane_of: Callable[[Job], Hashable], work: Callable[[Job], Result], stop: threading.Event
) -> list[Result]:
    """``work`` for every job: lanes beside each other, the jobs of one lane in turn. Results in the order of the jobs.

    An exception, Ctrl-C included, sets ``stop``, so that what runs in the other lanes ends as well.
    """
    lanes: dict[Hashable, list[int]] = {}
    for index, job in enumerate(jobs):
        lanes.setdefault(lane_of(job), []).append(index)
    results: list = [None] * len(jobs)

    def go_along(lane: list[int]) -> None:
        for index in lane:
            if not stop.is_set():
                results[index] = work(jobs[index])

    with ThreadPoolExecutor(max_workers=max(1, len(lanes))) as pool:
        try:
            for future in [pool.submit(go_along, lane) for lane in lanes.values()]:
                future.result()
        except BaseException:
            stop.set()
            raise
    return results


def _wait(process: subprocess.Popen, end: float, stop: threading.Event) -> int | None:
    while time.monotonic() < end and not stop.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(POLL_S)
    return None


def _end(process: subprocess.Popen) -> None:
    """End the program's whole process group: what a crashed one left behind would disturb the next one's times."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
