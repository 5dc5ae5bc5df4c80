"""Trying a version on the device: installing its wheels, its self-test, and the watch over its first minute.

Everything runs as a process of its own, with the version's runtime and never with the one that is flashing.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from edgefer.errors import BudgetBroken, EdgeferError, EnvironmentInvalid, InputRejected, last_words
from edgefer.files import read_json
from edgefer.flash.layout import Prefix

INSTALLING_S, TESTING_S, RESTARTING_S, HEALTH_S = 1800, 600, 120, 60
"""Longest that pip, a self-test, the restart command and one health command may take."""
EVERY_S = 5.0
"""From one call of the health command to the next."""
LAUNCHER = """#!/bin/sh
# The edgefer command of this version, with the Python that it was checked with.
here=$(readlink -f "$0")
here=${here%/bin/edgefer}
PYTHONPATH="$here/site:$here/runtime${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
exec PYTHON -P -m edgefer "$@"
"""


@dataclass(frozen=True)
class Run:
    """How a version's model is run."""

    engine: str
    precision: str
    threads: int


@dataclass(frozen=True)
class Watch:
    """What decides whether a version stays, after the switch."""

    seconds: float = 60.0
    """How long it is watched."""
    health: str = ""
    """Shell command that ends with 0 when all is well; without one the golden vectors are replayed all the time."""
    restart: str = ""
    """Shell command that makes the service use what ``current`` now points to; run after a switch and after going back."""


def install(version: Path, extra: str) -> int:
    """Install the bundle's wheels into the version's ``site``, by the pip among them; how many there are.

    Args:
        version: the version's folder.
        extra: the engine's, where the bundle's own list of wheels names none.

    Raises:
        EnvironmentInvalid: pip refuses; its last line says why.
    """
    wheels = version / "bundle" / "wheels"
    found = sorted(wheels.glob("*.whl"))
    if not found:
        return 0
    pip = [str(path / "pip") for path in found if path.name.startswith("pip-")]
    command = [sys.executable, *(pip or ["-m", "pip"]), "install", "--quiet", "--no-index", "--find-links", str(wheels)]
    command += ["--disable-pip-version-check", "--no-compile", "--no-cache-dir", "--target", str(version / "site")]
    listed = wheels / "wheels.json"
    extras = read_json(listed).get("extras") if listed.is_file() else None
    done = _run("installing the bundle's wheels", [*command, f"edgefer[{','.join(extras or [extra])}]"], INSTALLING_S)
    if done.returncode:
        raise EnvironmentInvalid(
            f"the bundle's wheels cannot be installed with {sys.executable} ({last_words(done.stderr)}); "
            "export the bundle again with --wheels for this device's Python"
        )
    return len(found)


def write_launcher(version: Path) -> None:
    """The command of a version, for the Python that runs this; a version that has it already gets it in one step."""
    path = version / "bin" / "edgefer"
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(".edgefer")
    beside.write_text(LAUNCHER.replace("PYTHON -P", f"{shlex.quote(sys.executable)} -P"))
    beside.chmod(0o755)
    beside.replace(path)


def selftest(version: Path, run: Run, seconds: float = 0.0) -> dict:
    """Replay the golden vectors with the version's own runtime: ``{vectors, rounds, problems}``.

    Raises:
        BudgetBroken: they do not replay.
        EnvironmentInvalid, InputRejected, EdgeferError: as the self-test says; a process that dies is an EdgeferError.
    """
    options = {"bundle": version / "bundle", "engine": run.engine, "precision": run.precision, "threads": run.threads}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-P", "-m", "edgefer.flash.selftest", *words, "--seconds", str(seconds)]
    done = _run("the self-test", command, TESTING_S + seconds, _environment(version))
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        told = None
    if told and told["problems"]:
        raise BudgetBroken(
            f"{run.engine} {run.precision} computes other than was exported: {'; '.join(told['problems'])}"
        )
    if done.returncode or not told:
        raise _as_error(done)
    return told


def _as_error(done: subprocess.CompletedProcess) -> EdgeferError:
    kinds = {kind.exit_code: kind for kind in (BudgetBroken, EnvironmentInvalid, InputRejected)}
    if done.returncode in kinds:
        return kinds[done.returncode](re.sub(r"^(<\d>)?error: ", "", last_words(done.stderr)))
    return EdgeferError(f"the self-test ended with code {done.returncode}: {last_words(done.stderr)}")


def watch(prefix: Prefix, version: Path, run: Run, how: Watch) -> str:
    """Watch what has just been switched to; what was seen, in words.

    Raises:
        BudgetBroken: it is not well.
    """
    restart(prefix, version, how)
    if not how.health:
        try:
            rounds = selftest(version, run, how.seconds)["rounds"]
        except EdgeferError as error:
            raise BudgetBroken(f"its self-test failed within the first {how.seconds:g} s: {error}") from None
        told = f"golden vectors replayed {rounds} times" if rounds > 1 else "golden vectors replayed"
        return f"{how.seconds:g} s, {told}" if how.seconds else f"none asked for; {told} where it runs now"
    calls, end = 0, time.monotonic() + how.seconds
    while True:
        _shell(how.health, "health", HEALTH_S, prefix, version)
        calls += 1
        left = end - time.monotonic()
        if left <= 0:
            return f"{how.seconds:g} s, '{how.health}' was well {calls} times"
        time.sleep(min(EVERY_S, left))


def restart(prefix: Prefix, version: Path, how: Watch) -> None:
    """Run the restart command, if there is one.

    Raises:
        BudgetBroken: it fails.
    """
    if how.restart:
        _shell(how.restart, "restart", RESTARTING_S, prefix, version)


def _shell(command: str, what: str, patience_s: float, prefix: Prefix, version: Path) -> None:
    """Run a command of the user's.

    Raises:
        BudgetBroken: it fails, or takes longer.
    """
    places = {
        "EDGEFER_PREFIX": str(prefix.folder),
        "EDGEFER_VERSION": version.name,
        "EDGEFER_BUNDLE": str(version / "bundle"),
    }
    with tempfile.TemporaryFile() as said:  # a pipe would stay open as long as a service that the command starts
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=prefix.folder,
            env={**os.environ, **places},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            code = process.wait(patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise BudgetBroken(f"the {what} command '{command}' did not end within {patience_s:g} s") from None
        said.seek(0)
        last = last_words(said.read())
    if code:
        raise BudgetBroken(f"the {what} command '{command}' ended with code {code}: {last}")


def _environment(version: Path) -> dict[str, str]:
    places = [str(version / "site"), str(version / "runtime"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


def _run(
    what: str, command: list[str], patience_s: float, environment: dict | None = None
) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(
            command,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience_s,
        )
    except subprocess.TimeoutExpired:
        raise EdgeferError(f"{what} did not end within {patience_s:g} s on the device") from None
