"""This machine itself: its own shell, and files that are copied."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgefer.errors import EdgeferError
from edgefer.targets import Target

PYTHON = sys.executable


class Local:
    """See ``edgefer.lines.Line``."""

    def __init__(self, target: Target):
        self.name = f"{target.name} (this machine)"

    def command(self, shell: str) -> list[str]:
        return ["sh", "-c", shell]

    def put(self, local: Path, remote: str) -> list[str]:
        return ["cp", "--", str(local), remote]

    def get(self, remote: str, local: Path) -> list[str]:
        return ["cp", "--", remote, str(local)]

    def failure(self, _code: int, _said: str) -> EdgeferError | None:
        return None


@contextmanager
def opened(target: Target) -> Iterator[Local]:
    """See ``edgefer.lines.opened``."""
    yield Local(target)
