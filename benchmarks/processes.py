"""Starting workers and talking to them. One request, one answer; a worker ends when its stdin closes, so none outlives us."""

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edgefer import errors
from edgefer.errors import EdgeferError

WORKER = Path(__file__).with_name("worker.py")
PATIENCE_S = 600
"""Longest wait for one answer: far above any honest one, so that a hung engine ends the run instead of a night."""


class Worker:
    """A running worker process. Use with ``with``.

    Args:
        job: what it runs; see ``benchmarks.worker``.
        command: what starts it, if not this interpreter on this machine (``benchmarks.reach``).
        lost: exit code and last line of a process that ended → the error, where its device and not the worker is to blame.
    """

    def __init__(
        self,
        job: dict,
        command: list[str] | None = None,
        lost: Callable[[int, str], EdgeferError | None] = lambda _code, _line: None,
    ):
        self.job, self.lost = job, lost
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self.spawned_ns = time.monotonic_ns()
        self.process = subprocess.Popen(
            command or [sys.executable, "-P", str(WORKER), json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def ask(self, do: str, **request) -> dict:
        """Send one request and wait for its answer.

        Raises:
            EdgeferError: what the worker raised, with its exit code; or, with code 70, that it died or hangs.
        """
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._died(do) from None
        if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            raise EdgeferError(f"{name_of(self.job)} did not answer '{do}' within {PATIENCE_S} s; its engine hangs")
        line = self.process.stdout.readline()
        if not line:
            raise self._died(do)
        answer = json.loads(line)
        if "error" in answer:
            raise errors.of(answer["exit_code"])(answer["error"])
        return answer

    def start(self) -> dict:
        """Load the model and answer once; the answers of both requests in one."""
        return {"spawned_ns": self.spawned_ns, **self.ask("load"), **self.ask("first")}

    def warm_up(self, seconds: float) -> list[int]:
        """Uncounted inferences; nanoseconds of each."""
        return self.ask("run", seconds=seconds)["ns"]

    def block(self, n: int) -> list[int]:
        """``n`` inferences; nanoseconds of each."""
        return self.ask("run", n=n)["ns"]

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it died first
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.stderr.close()

    def _died(self, do: str) -> EdgeferError:
        code = self.process.wait()
        self.stderr.seek(0)
        last = errors.last_words(self.stderr.read())
        if error := self.lost(code, last):
            return error
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return EdgeferError(f"{name_of(self.job)} {how} at '{do}': {last}")


def name_of(job: dict) -> str:
    """What a job is, for messages."""
    what = job.get("engine") or job.get("system") or job.get("model") or "a kernel"
    return f"the worker for {what} ({job['kind']})"
