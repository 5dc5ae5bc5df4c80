"""A small web server for the page: fixed files, the headers that a page with threads and a camera needs, nothing else.

It answers to the names it was given only, so that no other page can point a name of its own at it. The one thing it takes is a
measurement, where somebody waits for one and the sender knows the token (``Desk``).
"""

import hashlib
import hmac
import queue
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs

from edgefer.browser import site
from edgefer.serving import LOOPBACK, Serving

NAMES = (LOOPBACK, "localhost")
MOST_POSTED = 64_000_000
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' {importmap}; style-src 'self'; img-src 'self'; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'self'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
"""Of every answer. The first two isolate the page, which threads in WebAssembly need."""


class Desk:
    """Where a page hands in what it measured.

    Args:
        token: what a page must know to hand something in.
        files: address → bytes that the page is given for its work.
    """

    def __init__(self, token: str, files: dict[str, bytes]):
        self.token, self.files = token, files
        self.handed_in: queue.Queue[bytes] = queue.Queue()


class Server:
    """Serves from its making until ``close``.

    Args:
        files: address → file (``edgefer.browser.site.files``).
        host: address to listen at.
        port: 0 for any that is free.
        names: what a browser may call the server.
        context: for HTTPS.
        desk: of somebody who waits for a measurement.

    Raises:
        EnvironmentInvalid: the address or port cannot be served.
    """

    def __init__(
        self,
        files: dict[str, Path],
        host: str = LOOPBACK,
        port: int = 0,
        names: tuple[str, ...] = NAMES,
        context: ssl.SSLContext | None = None,
        desk: Desk | None = None,
    ):
        self.files, self.names, self.context, self.desk = files, names, context, desk
        self._lock, self._kept = threading.Lock(), {}
        index = files.get(site.INDEX)
        self.policy = POLICY.format(importmap=importmap_hash(index.read_text(encoding="utf-8")) if index else "")
        self._server = Serving(lambda *args: _Handler(self, *args), host, port, "--port")
        self.port = self._server.server_address[1]
        self.address = f"{'https' if context else 'http'}://{host}:{self.port}/"

    def close(self) -> None:
        self._server.close()

    def content(self, address: str, gzipped: bool) -> tuple[bytes, str, bool]:
        """Bytes of a file, its entity tag, and whether they are gzipped. Kept while the file does not change."""
        path = self.files[address]
        status = path.stat()
        gzipped = gzipped and site.compressible(path)
        key = (path, status.st_mtime_ns, status.st_size, gzipped)
        with self._lock:  # so that two browsers do not compress the same 9 MB side by side
            if key not in self._kept:
                data = site.packed(path) if gzipped else path.read_bytes()
                self._kept[key] = (data, f'"{hashlib.sha256(data).hexdigest()[:32]}"', gzipped)
            return self._kept[key]


def importmap_hash(page: str) -> str:
    """What the policy calls the page's one inline element, its import map: 'sha256-…', as the page's own policy says it."""
    return "'sha256-" + page.partition("'sha256-")[2].partition("'")[0] + "'"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "edgefer", ""
    timeout = 30

    def __init__(self, owner: Server, request, *args):
        self._owner = owner
        if owner.context:  # here, in a thread of its own: a client that dawdles over its handshake holds nobody else up
            request.settimeout(self.timeout)
            request = owner.context.wrap_socket(request, server_side=True)
        super().__init__(request, *args)

    def finish(self) -> None:
        super().finish()
        if self._owner.context:  # the server closes the socket that it knows, which is not the one in it
            self.request.close()

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        desk = self._owner.desk
        length = self.headers.get("Content-Length", "")
        if not self._called_rightly():
            return
        if self.path.partition("?")[0] != "/record" or not self._knows_token():
            self._refuse(403, "nobody waits for this here")
        elif not (length.isdecimal() and int(length) <= MOST_POSTED):
            self._refuse(413, f"a record has at most {MOST_POSTED} bytes")
        else:
            desk.handed_in.put(self.rfile.read(int(length)))
            self._send(200, "text/plain", b"thank you\n")

    def _knows_token(self) -> bool:
        desk = self._owner.desk
        token = parse_qs(self.path.partition("?")[2]).get("token", [""])[0]
        return desk is not None and hmac.compare_digest(token.encode(), desk.token.encode())

    def log_message(self, *_args) -> None:
        """Nobody is told who looks."""

    def _called_rightly(self) -> bool:
        host, names = self.headers.get("Host", "").lower(), [name.lower() for name in self._owner.names]
        if (host.rpartition(":")[0] or host) in names or host in names:
            return True
        self._refuse(403, f"this is served to {' and '.join(self._owner.names)} only")
        return False

    def _answer(self, body: bool) -> None:
        if not self._called_rightly():
            return
        address = self.path.partition("?")[0].lstrip("/") or site.INDEX
        if self._owner.desk and address in self._owner.desk.files and self._knows_token():
            self._send(200, "application/octet-stream", self._owner.desk.files[address], body)
        elif address in self._owner.files:
            self._send_file(address, body)
        else:
            self._refuse(404, "there is nothing here by that name")

    def _send_file(self, address: str, body: bool) -> None:
        accepted = [word.partition(";")[0].strip() for word in self.headers.get("Accept-Encoding", "").split(",")]
        try:
            data, tag, gzipped = self._owner.content(address, "gzip" in accepted)
        except OSError as error:
            return self._refuse(404, f"it cannot be read ({error.strerror})")
        kind = site.TYPES.get(Path(address).suffix, "application/octet-stream")
        more = {"ETag": tag, "Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if gzipped else {})
        if self.headers.get("If-None-Match") == tag:
            return self._send(304, kind, b"", False, more)
        return self._send(200, kind, data, body, more)

    def _refuse(self, code: int, why: str) -> None:
        self.close_connection = True
        self._send(code, "text/plain; charset=utf-8", f"{why}\n".encode(), self.command != "HEAD")

    def _send(self, code: int, kind: str, data: bytes, body: bool = True, more: dict | None = None) -> None:
        self.send_response(code)
        headers = {**HEADERS, "Content-Security-Policy": self._owner.policy, **(more or {})}
        if code != 304:
            headers |= {"Content-Type": kind, "Content-Length": str(len(data))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)
