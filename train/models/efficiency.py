"""How fast a network is in eager torch and how much memory it takes: one process for each, as its paper builds it, batch 1.

Run as a program it is that process: ``python -m train.models.efficiency SYSTEM THREADS`` prints one JSON object. For a device's
figures see ``benchmarks/run.py``.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from edgefer.errors import EdgeferError, exit_with, last_words
from train.models import SYSTEMS, paper_network

THREADS = 2
WARM_UP, LEAST_PASSES, SECONDS = 3, 5, 3.0
"""Uncounted passes; then at least so many, and for at least so long, are timed."""


def measure(system: str, threads: int = THREADS) -> dict:
    """{fps, peak_rss_mb, threads} of a network in a process of its own.

    ``fps`` is one over the median time of a pass; ``peak_rss_mb`` is the process's high-water mark with all of torch in it, 10⁶
    bytes.

    Raises:
        EdgeferError: the process failed; carries its last line.
    """
    command = [sys.executable, "-m", "train.models.efficiency", system, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise EdgeferError(f"measuring {system} failed with code {done.returncode}: {last_words(done.stderr)}")
    return json.loads(done.stdout)


def main() -> int:
    system, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(threads)
    fps = frames_per_second(system)
    print(json.dumps({"fps": fps, "peak_rss_mb": peak_rss_mb(), "threads": threads}))
    return 0


def frames_per_second(system: str, seconds: float = SECONDS) -> float:
    """One over the median time of a forward pass of one face, at the paper's input size."""
    cls, network = SYSTEMS[system], paper_network(system).eval()
    face = torch.rand(1, cls.CHANNELS, cls.INPUT_SIZE, cls.INPUT_SIZE)
    times = []
    with torch.inference_mode():
        for _ in range(WARM_UP):
            network(face)
        while len(times) < LEAST_PASSES or sum(times) < seconds:
            start = time.perf_counter()
            network(face)
            times.append(time.perf_counter() - start)
    return 1 / statistics.median(times)


def peak_rss_mb() -> float:
    """High-water mark of this process's resident memory; a parent's, which ``getrusage`` would keep, is not in it."""
    status = Path("/proc/self/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kib) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(exit_with(main))
