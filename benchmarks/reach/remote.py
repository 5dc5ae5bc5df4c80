"""A device at the end of a line: its one temporary folder, the files in it, the workers that run from it.

The folder belongs to its keeper, a shell on the device that made it and waits for its standard input to close: when we end,
however we end, or the line is cut, the keeper stops what still runs from the folder and removes it.
"""

import contextlib
import io
import json
import select
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from benchmarks.processes import Worker
from benchmarks.reach import about
from benchmarks.worker import SPAWNED
from edgefer.bundle import Bundle
from edgefer.errors import Unreachable
from edgefer.lines import CARRYING_S, Line, done, failed, run, started

ROOT = Path(__file__).resolve().parents[2]
STAGED = ("__init__", "worker", "environment", "resources", "whole", "camera")
"""Modules of ``benchmarks`` that a device gets, beside all of ``edgefer``."""
PATHS = ("model", "bundle", "frames", "yunet")
"""Fields of a worker's job that are files."""
KEEPER = (
    'd=$(mktemp -d "${TMPDIR:-/tmp}/edgefer.XXXXXX") || exit 1; '
    "clean() { "
    'for p in /proc/[0-9]*; do grep -qsF "$d" "$p/cmdline" && kill -9 "${p#/proc/}" 2>/dev/null; done; '
    'rm -rf "$d" 2>/dev/null || { sleep 1; rm -rf "$d"; }; }; '
    'trap clean EXIT; trap "exit 1" HUP INT TERM; echo "$d"; '
    "while read -r _; do :; done"
)
"""Makes the folder, says where it is, and removes it when nobody is left to tell it anything. Nothing but the workers has the
folder's random name in its command line."""
LAUNCH = (
    f"import os, sys, time; os.environ['{SPAWNED}'] = str(time.monotonic_ns()); "
    "os.execv(sys.executable, [sys.executable, '-P', *sys.argv[1:]])"
)
"""Becomes the worker, after noting the time by the device's own clock."""
PATIENCE_S, PARTING_S = 60, 20
"""Longest wait for a short answer, and for the keeper's end."""


class Remote:
    """See ``benchmarks.reach.Device``."""

    here, timed = False, True

    def __init__(self, line: Line, folder: str, python: str, has: about.About):
        self.line, self.folder, self.python, self.about = line, PurePosixPath(folder), python, has
        self.name, self.bundle = line.name, None
        self.files: dict[str, tuple] = {}

    def stage(self, bundle: Bundle) -> None:
        self.bundle = bundle.folder.resolve()
        _send(self.line, self.folder, {self.bundle: "bundle"})

    def worker(self, job: dict) -> Worker:
        there = {name: self._there(value) if name in PATHS and value else value for name, value in job.items()}
        words = [self.python, "-c", LAUNCH, str(self.folder / "benchmarks" / "worker.py"), json.dumps(there)]
        # engines leave files of their own among the temporary ones (onnxruntime: .ses), which are to go with the folder
        places = f"PYTHONPATH={shlex.quote(str(self.folder))} TMPDIR={shlex.quote(str(self.folder / 'files'))}"
        shell = f"{places} {shlex.join(words)}; exit $?"  # 137 if killed, not ssh's 255
        return Worker(job, self.line.command(shell), self.line.failure)

    def put(self, path: Path) -> str:
        place, there = self.path(path), path.stat()
        known = (path, there.st_mtime_ns, there.st_size)
        if self.files.get(place) != known:
            run(self.line, self.line.put(path, place), CARRYING_S)
            self.files[place] = known
        return place

    def path(self, path: Path) -> str:
        return str(self.folder / "files" / path.name)

    def get(self, path: Path) -> None:
        run(self.line, self.line.get(self.path(path), path), CARRYING_S)

    def _there(self, value: str) -> str:
        """A path of the bundle, which is there already, or else of a file that now is."""
        path = Path(value).resolve()
        if self.bundle and path.is_relative_to(self.bundle):
            return str(self.folder / "bundle" / path.relative_to(self.bundle).as_posix())
        if path.suffix == ".xml":  # OpenVINO looks for the weights beside it
            self.put(path.with_suffix(".bin"))
        return self.put(path)


@contextlib.contextmanager
def opened(line: Line, python: str, engine: str) -> Iterator[Remote]:
    """A device that has what the engine needs, with runtime and worker on it; see ``benchmarks.reach.opened``."""
    with kept(line) as folder:
        has = about.told(_probed(line, python), line.name)
        about.check(has, engine, line.name, python)
        modules = {ROOT / "benchmarks" / f"{name}.py": f"benchmarks/{name}.py" for name in STAGED}
        _send(line, folder, {ROOT / "runtime" / "edgefer": "edgefer", **modules})
        yield Remote(line, folder, python, has)


@contextlib.contextmanager
def kept(line: Line) -> Iterator[str]:
    """A temporary folder on the device, as long as the block lasts and not longer."""
    with tempfile.TemporaryFile() as stderr:
        keeper = started(line, KEEPER, stderr)
        try:
            yield _folder(line, keeper, stderr)
        finally:
            _part(line, keeper)


def _folder(line: Line, keeper: subprocess.Popen, stderr: io.BufferedRandom) -> str:
    """What the keeper answers."""
    if not select.select([keeper.stdout], [], [], PATIENCE_S)[0]:
        raise Unreachable(f"{line.name} did not answer within {PATIENCE_S} s; see whether it is busy or asks something")
    answer = keeper.stdout.readline().decode(errors="replace").strip()
    if answer.startswith("/"):
        return answer
    keeper.stdin.close()
    code = keeper.wait()
    stderr.seek(0)
    raise failed(line, code, stderr.read().decode(errors="replace"), "mktemp -d")


def _part(line: Line, keeper: subprocess.Popen) -> None:
    """Let the keeper remove its folder; say so where it could not be heard doing it."""
    with contextlib.suppress(BrokenPipeError):
        keeper.stdin.close()
    try:
        code = keeper.wait(PARTING_S)
    except subprocess.TimeoutExpired:
        keeper.kill()
        code = keeper.wait()
    if code and sys.exc_info()[0] is None:
        told = "its temporary folder goes when it notices"
        print(f"note: {line.name} was lost before it was tidied up; {told}", file=sys.stderr)


def _probed(line: Line, python: str) -> str:
    """What the interpreter there says of itself.

    Raises:
        EnvironmentInvalid: there is none.
    """
    ended = done(line, line.command(about.probe_line(python)), PATIENCE_S)
    if ended.returncode in (126, 127):
        raise about.no_python(line.name, python, ended.stderr)
    if ended.returncode:
        raise failed(line, ended.returncode, ended.stderr, f"{python} -c …")
    return ended.stdout


def _send(line: Line, folder: PurePosixPath | str, what: dict[Path, str]) -> None:
    """Files and folders here → where they go in the device's folder, in one archive: one trip for many small files."""
    with tempfile.TemporaryDirectory() as place:
        archive = Path(place) / "sent.tar"
        with tarfile.open(archive, "w") as tar:
            for local, name in what.items():
                tar.add(local, name, filter=_plain)
        run(line, line.put(archive, f"{folder}/sent.tar"), CARRYING_S)
    unpack = f"cd {shlex.quote(str(folder))} && tar -xof sent.tar && rm sent.tar && mkdir -p files"
    run(line, line.command(unpack), CARRYING_S)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without compiled Python, which belongs to this machine's interpreter, and readable whoever owns it here."""
    if "__pycache__" in PurePosixPath(entry.name).parts:
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry
