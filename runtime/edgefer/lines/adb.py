"""Android devices by adb, the real client's shell, push and pull. Python there is Termux's, or the one reach.python names."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgefer.errors import EdgeferError, EnvironmentInvalid, Unreachable, last_words
from edgefer.targets import Target

PYTHON = "/data/data/com.termux/files/usr/bin/python3"
FOLDER = "/data/local/tmp"
"""The one place where adb's user may write and run files; used where the device names no TMPDIR."""


class Adb:
    """See ``edgefer.lines.Line``."""

    def __init__(self, target: Target):
        serial = target.reach["serial"]
        self.target, self.name = target.name, f"{target.name} (adb{' ' + serial if serial else ''})"
        self.words = ["adb", *(["-s", serial] if serial else [])]

    def command(self, shell: str) -> list[str]:
        return [*self.words, "shell", "-T", f"export TMPDIR=${{TMPDIR:-{FOLDER}}}; {shell}"]

    def put(self, local: Path, remote: str) -> list[str]:
        return [*self.words, "push", str(local), remote]

    def get(self, remote: str, local: Path) -> list[str]:
        return [*self.words, "pull", remote, str(local)]

    def failure(self, code: int, said: str) -> EdgeferError | None:
        """A command's own failure and a lost device have the same exit codes, so the device is asked whether it is there."""
        if self._answers():
            return None
        return Unreachable(
            f"target '{self.target}' cannot be reached: adb lost the device ({last_words(said)}); "
            "connect it again, keep its screen unlocked, and try again"
        )

    def _answers(self) -> bool:
        try:
            done = subprocess.run([*self.words, "get-state"], capture_output=True, text=True, timeout=10)
        except subprocess.TimeoutExpired:
            return False
        return done.stdout.strip() == "device"


@contextmanager
def opened(target: Target) -> Iterator[Adb]:
    """See ``edgefer.lines.opened``."""
    if not shutil.which("adb"):
        raise EnvironmentInvalid("reaching an Android device needs adb; install it (Debian: apt-get install adb)")
    yield Adb(target)
