"""The newest frame over HTTP on loopback, as Motion JPEG: a picture of faces leaves the device only through a tunnel one makes.

http://127.0.0.1:PORT/              a page that shows the stream
http://127.0.0.1:PORT/stream.mjpg   annotated frames, as they come; a slow reader gets fewer, none waits
http://127.0.0.1:PORT/frame.jpg     the newest one
http://127.0.0.1:PORT/latest.json   its line
"""

import threading
from http.server import BaseHTTPRequestHandler

from edgefer.detectors import opencv
from edgefer.outputs import Result
from edgefer.outputs.lines import encoded
from edgefer.serving import LOOPBACK, Serving

NAMES = ("127.0.0.1", "localhost", "[::1]")
"""What a browser may call us. A page elsewhere that lets its own name point here is not served."""
QUALITY = 80
MOST_READERS = 8
PATIENCE_S = 10
BOUNDARY = "edgefer"
PAGE = (
    b"<!doctype html><meta charset=utf-8><title>edgefer</title><body style='margin:0;background:#111'>"
    b"<img src=stream.mjpg alt='annotated frames' style='max-width:100%;max-height:100vh;display:block;margin:auto'>"
)


class HttpStream:
    """See ``edgefer.outputs.Output``.

    Args:
        port: 0 for any that is free.

    Raises:
        EnvironmentInvalid: the port is taken.
    """

    def __init__(self, port: int):
        opencv()  # says now, and not to the first reader, that it is missing
        self.newest, self.number, self.ended = None, 0, False
        self.changed, self.encoding = threading.Condition(), threading.Lock()
        self.readers = threading.BoundedSemaphore(MOST_READERS)
        self._server = Serving(lambda *args: _Handler(self, *args), LOOPBACK, port, "--http")
        self.address = f"http://{LOOPBACK}:{self._server.server_address[1]}/"

    def write(self, result: Result) -> None:
        with self.changed:
            self.newest, self.number = result, self.number + 1
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify_all()
        self._server.close()

    def after(self, number: int) -> tuple[int, Result | None]:
        """Wait for a frame newer than ``number``: its number and itself; None when there are no more, or none came in time."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended or self.number > number, PATIENCE_S)
            return self.number, self.newest if self.number > number and not self.ended else None

    def jpeg(self, result: Result) -> bytes | None:
        """Encoded once, however many read it; None without a picture."""
        with self.encoding:
            if not hasattr(result, "jpeg"):
                cv2 = opencv()
                drawn = result.drawn
                quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
                result.jpeg = None if drawn is None else cv2.imencode(".jpg", drawn, quality)[1].tobytes()
            return result.jpeg


class _Handler(BaseHTTPRequestHandler):
    timeout = 30

    def __init__(self, stream: HttpStream, *args):
        self._stream = stream
        super().__init__(*args)

    def do_GET(self) -> None:
        answers = {"/": self._page, "/stream.mjpg": self._video, "/frame.jpg": self._frame, "/latest.json": self._line}
        answer = answers.get(self.path.partition("?")[0])
        if self.headers.get("Host", "").rpartition(":")[0] not in NAMES and self.headers.get("Host") not in NAMES:
            self.send_error(403, "this is served to its own machine only")
        elif answer is None:
            self.send_error(404, f"there are {', '.join(answers)}")
        elif not self._stream.readers.acquire(blocking=False):
            self.send_error(503, f"{MOST_READERS} readers are here already")
        else:
            try:
                answer()
            except OSError:  # the reader went away
                self.close_connection = True
            finally:
                self._stream.readers.release()

    def log_message(self, *_args) -> None:
        """Nobody is told who looks."""

    def _page(self) -> None:
        self._send("text/html", PAGE)

    def _frame(self) -> None:
        _, result = self._stream.after(0)
        data = result and self._stream.jpeg(result)
        if data:
            self._send("image/jpeg", data)
        else:
            self.send_error(503, "no frame has come yet")

    def _line(self) -> None:
        _, result = self._stream.after(0)
        if result:
            self._send("application/json", encoded(result.line))
        else:
            self.send_error(503, "no frame has come yet")

    def _send(self, kind: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def _video(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        number = 0
        while not self._stream.ended:
            number, result = self._stream.after(number)
            data = result and self._stream.jpeg(result)
            if data:
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
