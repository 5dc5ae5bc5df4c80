"""What systemd's ``sd_notify`` says, without its library: a datagram to the socket that NOTIFY_SOCKET names (sd_notify(3))."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping


class Notifier:
    """Tells the service manager that started us; without one it does nothing.

    Args:
        environment: with NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID where systemd set them.
        clock: seconds that only go forward.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic):
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock, self._last = clock, -float("inf")
        self.period = _period(environment)
        """Seconds between two signs of life; None where no watchdog waits for them."""

    def ready(self, status: str) -> None:
        """It runs."""
        self._send("READY=1", f"STATUS={status}")

    def stopping(self) -> None:
        """It ends, of its own will."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """A sign of life, where one is due. Only the loop gives it: a thread of its own would live on while the loop hangs."""
        now = self._clock()
        if self.period and now - self._last >= self.period:
            self._last = now
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.settimeout(1)
            line.sendto("\n".join(text.replace("\n", " ") for text in lines).encode(), address)


def _period(environment: Mapping[str, str]) -> float | None:
    """A third of what the watchdog allows, so that one sign may be late; None where it is not meant for this process."""
    allowed, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not (allowed.isdecimal() and int(allowed)) or (pid and pid != str(os.getpid())):
        return None
    return int(allowed) / 1e6 / 3
