"""The workstation's end of the talk with ``edgefer.flash.agent``, which it brings along."""

import contextlib
import hashlib
import json
import secrets
import select
import shlex
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edgefer import errors, lines
from edgefer.errors import EdgeferError, InputRejected, Unreachable
from edgefer.lines import Line

PACKAGE = Path(__file__).resolve().parents[1]
BOOT = """
import hashlib, os, sys
path, wanted = sys.argv[1:3]
with open(path, "rb") as file:
    same = hashlib.sha256(file.read()).hexdigest() == wanted
if same:
    sys.path.insert(0, path)
    from edgefer.flash.agent import main
os.unlink(path)
sys.exit(main(sys.argv[3:]) if same else "DAMAGED")
"""
"""Checks the agent's archive before running from it; once all is imported the archive can go."""
DAMAGED = "DAMAGED"
PATIENCE_S, PARTING_S = 120, 20
"""Longest wait for a short answer, and for the agent's end."""


def package_files() -> dict[str, Path]:
    """The runtime's own files: name below ``edgefer/``'s parent → path here."""
    found = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(PACKAGE.parent).as_posix(): path for path in sorted(found)}


class Session:
    """One agent at work.

    Attributes:
        step: what is being done, for the message should the device be lost.
    """

    def __init__(self, line: Line, process: subprocess.Popen, said):
        self.line, self.process, self.said, self.step = line, process, said, "lock"
        self.first: dict = {}

    def ask(self, do: str, patience_s: float = PATIENCE_S, heard: Callable[[dict], None] | None = None, **request):
        """Have something done there; what came of it.

        Args:
            do: name of a request of the agent's.
            patience_s: how long to wait, at most, between two lines of the answer.
            heard: is told each event before the answer.
            request: its fields.

        Raises:
            EdgeferError: the agent's own, with its kind.
            Unreachable: the device was lost.
        """
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write((json.dumps({"do": do, **request}) + "\n").encode())
            self.process.stdin.flush()
        return self.answer(patience_s, heard)

    def answer(self, patience_s: float, heard: Callable[[dict], None] | None = None):
        while True:
            value = self._line(patience_s)
            if "event" not in value:
                break
            if heard:
                heard(value)
        if "error" in value:
            raise errors.of(value["code"])(value["error"])
        return value["ok"]

    def _line(self, patience_s: float) -> dict:
        if not select.select([self.process.stdout], [], [], patience_s)[0]:
            raise Unreachable(f"nothing came for {patience_s:g} s")
        text = self.process.stdout.readline()
        with contextlib.suppress(ValueError):
            return json.loads(text)
        raise self._lost(text.decode(errors="replace").strip())

    def _lost(self, text: str) -> EdgeferError:
        self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PARTING_S)
        self.said.seek(0)
        words = self.said.read().decode(errors="replace").strip()
        if words.endswith(DAMAGED):
            return InputRejected("the flash's own helper was damaged on the way; flash again")
        failure = self.line.failure(self.process.poll() or 0, words)
        *_, last = [*words.splitlines(), text][-1:] or [""]
        return Unreachable(str(failure) if failure else f"its side of the flash ended: {last or 'without a word'}")


@contextlib.contextmanager
def opened(line: Line, python: str, temporary: str, *arguments: str) -> Iterator[Session]:
    """An agent on the device, its first answer in ``first``.

    Args:
        line: to the device.
        python: interpreter there.
        temporary: folder there for the agent's archive, which goes as soon as it runs.
        arguments: the prefix, and the owner's name to hold its lock.
    """
    place = f"{temporary}/edgefer-{secrets.token_hex(8)}.zip"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        archive = Path(folder) / "agent.zip"
        digest = _pack(archive)
        lines.run(line, line.put(archive, place), lines.CARRYING_S)
        shell = f"exec {shlex.join([python, '-P', '-c', BOOT, place, digest, *arguments])}"
        process = lines.started(line, shell, said)
        session, patience = Session(line, process, said), PARTING_S
        try:
            session.first = session.answer(PATIENCE_S)
            yield session
        except KeyboardInterrupt:
            patience = 1
            raise
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)  # a watch goes on without us, and its line ends with it
            process.stdout.close()


def _pack(archive: Path) -> str:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, path in package_files().items():
            file.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return hashlib.sha256(archive.read_bytes()).hexdigest()
