"""What converters and quantisers print goes to a log file, so that our own lines can be read."""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

Say = Callable[[str], None]


@contextmanager
def tool_output(log: Path, quiet: bool = False) -> Iterator[Say]:
    """While the block runs, both output streams, of native code too, go to ``log``; the given function prints a line to stderr.

    Lines carry the seconds since the block began. When the block fails the log stays, and where it is gets said.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    start = time.monotonic()

    def say(text: str) -> None:
        if not quiet:
            os.write(saved[1], f"  {time.monotonic() - start:4.0f} s  {text}\n".encode())

    try:
        with log.open("w") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            with redirect_stdout(file), redirect_stderr(file):
                yield say
    except BaseException:
        say(f"what the tools printed is in {log}")
        raise
    finally:
        for number, old in enumerate(saved, 1):
            os.dup2(old, number)
            os.close(old)
