"""Ending by SIGTERM as by Ctrl-C: between two lines, with everything closed."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Terminated(KeyboardInterrupt):
    """SIGTERM came: end in order."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within the block SIGTERM raises ``Terminated``, once; while everything is being closed a second one changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
