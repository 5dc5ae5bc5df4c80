"""A Raspberry Pi by emulation: aarch64 Python and wheels, run by QEMU on this machine's files. No root, no image, no boot.

    python -m benchmarks.reach.emulated build/arm      # makes the folder that reach.root names, once

What it can say: whether the artifact runs on such a CPU (an instruction that the CPU lacks traps), what it answers, how much
memory the process takes, QEMU's own share included. What it cannot say: any time. Nothing of it is ever printed as one.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import WORKER, Worker
from benchmarks.reach import about, arm_root
from edgefer import targets
from edgefer.bundle import Bundle
from edgefer.errors import EnvironmentInvalid, exit_with, last_words
from edgefer.targets import Target

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 300


class Emulated:
    """See ``benchmarks.reach.Device``. It sees this machine's files, so none needs to be moved.

    Args:
        name: for messages.
        cpu: one of ``arm_root.CPUS``.
        folder: as ``arm_root.make`` made it.
        engine: that it must have.
    """

    here, timed = False, False

    def __init__(self, name: str, cpu: str, folder: Path, engine: str):
        python = arm_root.python(folder)
        paths = ":".join(map(str, (ROOT / "runtime", ROOT, folder / "site")))
        self.name = f"{name} (emulated {cpu})"
        self.command = [targets.QEMU, "-cpu", cpu, "-L", str(folder / cpu), "-E", f"PYTHONPATH={paths}", str(python)]
        self.about = self._asked()
        about.check(self.about, engine, self.name, python.name)

    def stage(self, bundle: Bundle) -> None:
        """It is here already."""

    def worker(self, job: dict) -> Worker:
        return Worker(job, [*self.command, "-P", str(WORKER), json.dumps(job)])

    def put(self, path: Path) -> str:
        return str(path)

    def path(self, path: Path) -> str:
        return str(path)

    def get(self, path: Path) -> None:
        """It is here already."""

    def _asked(self) -> about.About:
        command = [*self.command, *about.probe_arguments()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise EnvironmentInvalid(
                f"{self.name} did not start within {PATIENCE_S} s; try again when less runs here"
            ) from None
        if done.returncode:
            raise EnvironmentInvalid(f"{self.name} does not start: {last_words(done.stderr)}; make its folder again")
        return about.told(done.stdout, self.name)


@contextmanager
def opened(target: Target) -> Iterator[Emulated]:
    """See ``benchmarks.reach.opened``."""
    yield Emulated(target.name, target.reach["cpu"], Path(target.reach["root"]), target.engine)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reach.emulated", description="Make an arm64 root.")
    parser.add_argument("folder", type=Path, help="what reach.root of an emulated target names, such as build/arm")
    folder = parser.parse_args().folder
    arm_root.make(folder)
    print(f"{folder}: serves {', '.join(arm_root.CPUS)}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
