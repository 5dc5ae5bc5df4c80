"""Enough of an Android device for the real adb client. ``python tests/fake_adb.py FOLDER`` listens on a free port it prints.

It proves the transport, not Android: a shell with separate streams and exit codes (shell v2), push and pull of single files.
Commands run on this machine with FOLDER as TMPDIR. When adb hangs a stream up, its command is hung up too, as adbd does.
The protocol is written down in adb's own sources: protocol.txt, SYNC.TXT and shell_protocol.h.
"""

import contextlib
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

CNXN, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
VERSION, MOST = 0x01000001, 65536
"""Of the protocol without checksums; bytes of a packet."""
BANNER = b"device::ro.product.name=fake;ro.product.model=fake;ro.product.device=fake;features=shell_v2"
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
CHUNK = 32768


class Stream:
    """One service's two-way stream: ``read``, ``write`` and ``close`` with adb's flow control beneath."""

    def __init__(self, send, mine: int, theirs: int):
        self.send, self.mine, self.theirs = send, mine, theirs
        self.came, self.rest, self.may_write, self.over = queue.Queue(), b"", threading.Semaphore(1), False

    def read(self, n: int) -> bytes:
        """Exactly n bytes; EOFError when the other side hung up."""
        while len(self.rest) < n:
            packet = self.came.get()
            if packet is None:
                raise EOFError
            self.rest += packet
        data, self.rest = self.rest[:n], self.rest[n:]
        return data

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            self.may_write.acquire()  # one packet is on its way at a time, until adb says OKAY
            if self.over:
                raise EOFError
            self.send(WRTE, self.mine, self.theirs, data[start : start + CHUNK])

    def close(self) -> None:
        self.send(CLSE, self.mine, self.theirs)

    def hang_up(self) -> None:
        """The other side is gone."""
        self.over = True
        self.came.put(None)
        self.may_write.release()


def shell(stream: Stream, command: str, folder: Path) -> None:
    """Shell v2: packets of a kind, a length and data in both directions; the last one holds the exit code."""
    process = subprocess.Popen(
        ["sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    lock = threading.Lock()
    threading.Thread(target=feed, args=(stream, process), daemon=True).start()
    outputs = [
        threading.Thread(target=tell, args=(stream, lock, kind, pipe))
        for kind, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr))
    ]
    for thread in outputs:
        thread.start()
    for thread in outputs:
        thread.join()
    stream.write(struct.pack("<BIB", EXIT, 1, process.wait() & 255))


def feed(stream: Stream, process: subprocess.Popen) -> None:
    """Hand packets of standard input to the command; hang it up when adb hangs up."""
    try:
        while True:
            kind, length = struct.unpack("<BI", stream.read(5))
            data = stream.read(length)
            if kind == CLOSE_STDIN:
                process.stdin.close()
            elif kind == STDIN:
                process.stdin.write(data)
                process.stdin.flush()
    except (EOFError, BrokenPipeError):
        with contextlib.suppress(OSError):
            process.stdin.close()
            os.killpg(process.pid, signal.SIGHUP)


def tell(stream: Stream, lock: threading.Lock, kind: int, pipe) -> None:
    with contextlib.suppress(EOFError):
        while data := os.read(pipe.fileno(), CHUNK - 5):
            with lock:
                stream.write(struct.pack("<BI", kind, len(data)) + data)


def sync(stream: Stream, *_) -> None:
    """Push and pull: requests of four letters, a length and data."""
    while True:
        name, length = struct.unpack("<4sI", stream.read(8))
        if name == b"QUIT":
            return
        path = stream.read(length).decode()
        if name == b"STAT":
            stream.write(b"STAT" + struct.pack("<3I", *status(Path(path))))
        elif name == b"SEND":
            receive(stream, Path(path.rpartition(",")[0]))
        elif name == b"RECV":
            deliver(stream, Path(path))


def status(path: Path) -> tuple[int, int, int]:
    """Mode, size and time; zeros where there is nothing."""
    if not path.exists():
        return 0, 0, 0
    found = path.stat()
    return found.st_mode, found.st_size, int(found.st_mtime)


def receive(stream: Stream, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while True:
            name, length = struct.unpack("<4sI", stream.read(8))
            if name == b"DONE":  # its length is the file's time
                break
            file.write(stream.read(length))
    stream.write(b"OKAY" + bytes(4))


def deliver(stream: Stream, path: Path) -> None:
    if not path.is_file():
        words = f"no such file: {path}".encode()
        stream.write(b"FAIL" + struct.pack("<I", len(words)) + words)
        return
    with path.open("rb") as file:
        while data := file.read(CHUNK - 8):
            stream.write(b"DATA" + struct.pack("<I", len(data)) + data)
    stream.write(b"DONE" + bytes(4))


def serve(connection: socket.socket, folder: Path) -> None:
    """One adb server's connection, until it ends."""
    lock, streams = threading.Lock(), {}

    def send(command: int, first: int, second: int, data: bytes = b"") -> None:
        with lock, contextlib.suppress(OSError):
            head = struct.pack("<6I", command, first, second, len(data), 0, command ^ 0xFFFFFFFF)
            connection.sendall(head + data)

    with contextlib.suppress(EOFError, OSError):
        while True:
            command, first, second, length, _, _ = struct.unpack("<6I", exactly(connection, 24))
            data = exactly(connection, length)
            if command == CNXN:
                send(CNXN, VERSION, MOST, BANNER)
            elif command == OPEN:
                mine = max(streams, default=0) + 1
                streams[mine] = Stream(send, mine, first)
                send(OKAY, mine, first)
                start(streams[mine], data.rstrip(b"\0").decode(), folder)
            elif command == WRTE:
                streams[second].came.put(data)
                send(OKAY, second, first)
            elif command == OKAY:
                streams[second].may_write.release()
            elif command == CLSE:
                streams[second].hang_up()
    for stream in streams.values():
        stream.hang_up()


def start(stream: Stream, service: str, folder: Path) -> None:
    """Run a service in a thread of its own."""
    name, _, argument = service.partition(":")
    work = {"shell": shell, "sync": sync}[name.partition(",")[0]]

    def run() -> None:
        with contextlib.suppress(EOFError):
            work(stream, argument, folder)
        stream.close()

    threading.Thread(target=run, daemon=True).start()


def exactly(connection: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        more = connection.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def main() -> None:
    folder = Path(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=serve, args=(server.accept()[0], folder), daemon=True).start()


if __name__ == "__main__":
    main()
