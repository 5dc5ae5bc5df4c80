"""Lines to devices: how shell commands and files get there and back, one module a kind of reach in ``devices.yaml``.

Knows connections, commands and files. Does not know what is done at the other end.
"""

import importlib
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

from edgefer.errors import EdgeferError, Unreachable, last_words
from edgefer.targets import Target

CARRYING_S, SLOWEST = 600, 50_000
"""Longest wait for a small file to arrive, and the bytes a second that a large one is given time for."""


class Line(Protocol):
    """How commands and files get to a device."""

    name: str
    """Of the device, for messages."""

    def command(self, shell: str) -> list[str]:
        """What to run here so that a shell there runs one line, with our standard input and output."""

    def put(self, local: Path, remote: str) -> list[str]:
        """What to run here so that a file lies there."""

    def get(self, remote: str, local: Path) -> list[str]:
        """The reverse."""

    def failure(self, code: int, said: str) -> EdgeferError | None:
        """The line's own failure behind an exit code and what was said on stderr; None where the command itself failed."""


KINDS = {kind: f"edgefer.lines.{kind}" for kind in ("local", "ssh", "adb")}
"""Kind of reach → its module, which has ``opened(target)`` and ``PYTHON``, the interpreter where reach names none."""


def opened(target: Target) -> AbstractContextManager[Line]:
    """``with opened(target) as line``: a line to the target, made when the first command goes over it.

    Raises:
        EnvironmentInvalid: the client (ssh, adb) is not installed here.
    """
    return importlib.import_module(KINDS[target.reach["kind"]]).opened(target)


def python(target: Target) -> str:
    """The device's interpreter: the one that reach names, or the usual one."""
    return target.reach.get("python") or importlib.import_module(KINDS[target.reach["kind"]]).PYTHON


def carrying_s(size: int) -> float:
    """How long to wait for a file of so many bytes."""
    return max(CARRYING_S, size / SLOWEST)


def run(line: Line, command: list[str], patience_s: float) -> str:
    """Run one of the line's commands here; what it printed.

    Raises:
        Unreachable: the line failed, or took longer.
        EdgeferError: the command failed on the device.
    """
    ended = done(line, command, patience_s)
    if ended.returncode:
        raise failed(line, ended.returncode, ended.stderr, command[-1])
    return ended.stdout


def done(line: Line, command: list[str], patience_s: float) -> subprocess.CompletedProcess:
    """The same with the exit code left to the caller."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=patience_s
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{line.name} was lost: nothing came for {patience_s:g} s; see to its connection") from None


def started(line: Line, shell: str, said: IO[bytes]) -> subprocess.Popen:
    """A process at the other end that is talked with by pipes; its standard error goes to the file ``said``."""
    return subprocess.Popen(
        line.command(shell),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        bufsize=0,  # all that has come shows to select
        start_new_session=True,  # Ctrl-C is for us; what runs there goes when we let it
    )


def failed(line: Line, code: int, said: str, what: str) -> EdgeferError:
    """The error for a command that ended with a code, after it said something on stderr."""
    told = f"{line.name}: '{what[:60]}' ended with code {code}: {last_words(said)}"
    return line.failure(code, said) or EdgeferError(told)
