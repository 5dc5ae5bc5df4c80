"""A small web server in threads of its own, which end with the program."""

import sys
import threading
import traceback
from collections.abc import Callable
from http.server import ThreadingHTTPServer

from edgefer.errors import EnvironmentInvalid

LOOPBACK = "127.0.0.1"
POLL_S = 0.1
"""How long it takes to notice, at most, that it is to end."""


class Serving:
    """Serves from its making until ``close``.

    Attributes:
        server_address: host and port.

    Args:
        handler: makes a request's handler, as ``ThreadingHTTPServer`` asks for it.
        host: address to listen at.
        port: 0 for any that is free.
        option: flag that names another port, for the message.

    Raises:
        EnvironmentInvalid: the address or port cannot be served.
    """

    def __init__(self, handler: Callable, host: str, port: int, option: str):
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise EnvironmentInvalid(
                f"port {port} of {host} cannot be served ({error.strerror}); name another with {option}"
            ) from None
        self._server.daemon_threads, self._server.block_on_close = True, False
        self._server.handle_error = _tell
        self.server_address = self._server.server_address
        threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True, name="http").start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _tell(*_) -> None:
    """A browser that went away, or that does not take the certificate, is nobody's fault; anything else is ours."""
    if not isinstance(sys.exception(), OSError):
        traceback.print_exc()
