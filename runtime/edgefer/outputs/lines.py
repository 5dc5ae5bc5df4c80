"""JSON lines. Each is written whole or not at all: what is there stays valid when the disk is full or the power goes."""

import contextlib
import io
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgefer.errors import UsageError
from edgefer.files import new_text
from edgefer.outputs import Full, Result

SYNC_S = 5.0
"""A live log is forced to the disk this often: what a power cut may take. More often would wear an SD card."""
LONGEST_TAIL = 1 << 20


@contextlib.contextmanager
def opened(path: str | None, live: bool, note: Callable[[str], None]) -> Iterator["Lines"]:
    """Lines to a file, or to standard output where ``path`` is None.

    A live source's are appended as they come. Those of a source that ends take the file's place together, at its end.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        yield _standard_output()
    elif live:
        lines = Lines(_append(Path(path), note), path, note)
        try:
            yield lines
        finally:
            lines.close()
            os.close(lines.handle)
    else:
        with new_text(Path(path)) as file:
            yield Lines(file.fileno(), path)


def encoded(line: dict) -> bytes:
    """A line of a log: JSON, UTF-8, its end included; what of a file's name is not UTF-8 is escaped, as JSON has it."""
    return json.dumps(line, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace") + b"\n"


class Lines:
    """See ``edgefer.outputs.Output``.

    Args:
        handle: of an open file or pipe.
        name: of it, for messages.
        note: told when lines are lost and when no longer. Given, a full disk does not end the run: lines are left out until
            there is room. Without it ``write`` raises.
    """

    def __init__(self, handle: int, name: str, note: Callable[[str], None] | None = None):
        self.handle, self.lost = handle, 0
        self._name, self._note, self._synced = name, note, time.monotonic()

    def write(self, result: Result) -> None:
        data, before = encoded(result.line), self._size()
        try:
            while data:
                data = data[os.write(self.handle, data) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            self._back_to(before)
            self._failed(error)
        else:
            self._succeeded()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.fdatasync(self.handle)

    def _failed(self, error: OSError) -> None:
        told = f"{self._name}: no more lines can be written ({error.strerror}); what is there is good; make room"
        if self._note is None:
            raise Full(told) from None
        if not self.lost:
            self._note(f"{told}; the run goes on without them")
        self.lost += 1

    def _succeeded(self) -> None:
        if self.lost:
            self._note(f"{self._name}: there is room again; {self.lost} lines were left out")
            self.lost = 0
        if self._note and time.monotonic() - self._synced > SYNC_S:
            self.close()
            self._synced = time.monotonic()

    def _size(self) -> int | None:
        """Where the file ends; None of what has no end."""
        status = os.fstat(self.handle)
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def _back_to(self, size: int | None) -> None:
        """Take back what was written of a line."""
        if size is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self.handle, size)
                os.lseek(self.handle, size, os.SEEK_SET)


class Printed:
    """Lines to a standard output that is no file or pipe of the system, as in a test or a notebook."""

    def write(self, result: Result) -> None:
        print(encoded(result.line).decode(), end="", flush=True)

    def close(self) -> None:
        """Nothing is held."""


def _standard_output():
    try:
        sys.stdout.flush()
        return Lines(sys.stdout.fileno(), "standard output")
    except (AttributeError, io.UnsupportedOperation):
        return Printed()


def _append(path: Path, note: Callable[[str], None]) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            return os.open(path, os.O_WRONLY)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); choose another place") from None
    torn = _torn(handle)
    if torn:
        os.ftruncate(handle, os.fstat(handle).st_size - torn)
        note(f"{path}: its last line was torn, as by a power cut, and was taken away ({torn} bytes)")
    return handle


def _torn(handle: int) -> int:
    """Length of a last line that does not end; 0 where all do, or where the file holds no lines at all."""
    size = os.fstat(handle).st_size
    tail = os.pread(handle, min(size, LONGEST_TAIL), max(0, size - LONGEST_TAIL))
    last = tail[tail.rfind(b"\n") + 1 :]
    return len(last) if last.startswith(b"{") or not last.strip(b"\0") else 0
