"""Android devices by adb: a worker's folder at the other end of ``edgefer.lines.adb``."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.reach import remote
from edgefer import lines
from edgefer.targets import Target


@contextmanager
def opened(target: Target) -> Iterator[remote.Remote]:
    """See ``benchmarks.reach.opened``."""
    with lines.opened(target) as line, remote.opened(line, lines.python(target), target.engine) as device:
        yield device
