"""A flash that is cut, at any point: what ran before or what was switched to runs, whole, and the next flash puts all right.

Twice: by SIGKILL at every single change of a file under the prefix, in a process of our own; and by SIGKILL of the flashing
program, of its process on the device, or of the connection, at every step, over a real ssh server.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from device_fixtures import WAIT_S, cut_connections
from test_flash import renamed, versions

from edgefer import bundle, cli
from edgefer.flash import switch
from edgefer.flash.layout import Prefix
from edgefer.flash.trial import Run, selftest

CHANGES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.truncate", "os.chmod")
"""Audit events of what changes files; opening one to read it is left out."""


# --- at every change of a file -----------------------------------------------------------------------------------------------


def add_version(prefix: Prefix, name: str) -> None:
    (prefix.versions / name).mkdir(parents=True)
    (prefix.versions / name / "whole").write_text(name)


def device(folder: Path, current: str | None, previous: str | None, **confirmed: bool) -> Prefix:
    """A prefix with versions a and b, and what is known of them."""
    prefix = Prefix(folder)
    prefix.versions.mkdir(parents=True)
    for name in filter(None, (current, previous)):
        add_version(prefix, name)
    prefix.point("current", current)
    prefix.point("previous", previous)
    known = {name: {"confirmed": confirmed.get(name, True)} for name in filter(None, (current, previous))}
    prefix.write({"schema": 1, "versions": known, "switch": None, "failed": None})
    return prefix


def killed_at(change: int, work) -> bool:
    """Do the work in a process that is killed just before its n-th change of a file; whether it was."""
    child = os.fork()
    if child == 0:
        left = [change]

        def count(event: str, arguments: tuple) -> None:
            reads = event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if event in CHANGES and not reads:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1

        sys.addaudithook(count)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def arrive(prefix: Prefix) -> None:
    (prefix.incoming / "version").mkdir(parents=True)
    (prefix.incoming / "version" / "whole").write_text("new")


def put_new(prefix: Prefix) -> None:
    """What the agent does from the arrival to the end of the watch."""
    name = switch.place(prefix, "version", "new")
    prefix.note(name, confirmed=False)
    switch.switch(prefix, name)
    switch.confirm(prefix)


def put_new_and_go_back(prefix: Prefix) -> None:
    name = switch.place(prefix, "version", "new")
    prefix.note(name, confirmed=False)
    switch.switch(prefix, name)
    switch.go_back(prefix, "not well", "now")


def roll_back(prefix: Prefix) -> None:
    switch.switch(prefix, prefix.previous)
    switch.confirm(prefix)


def put_right(prefix: Prefix) -> None:
    prefix.tidy()
    switch.recover(prefix)


def whole(prefix: Prefix, link: str) -> str | None:
    """What a link points to, which must be all there."""
    name = prefix.pointed(link)
    assert name is None or (prefix.versions / name / "whole").read_text() == name.split(".")[0]
    return name


@pytest.fixture
def fast(tmp_path) -> Iterator[Path]:
    """A folder in memory where there is such a place: what is cut waits for the disk at every step."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


STARTS = {"first": (None, None), "second": ("a", None), "third": ("a", "b")}


WORKS = [(work, start) for work in (put_new, put_new_and_go_back) for start in STARTS] + [(roll_back, "third")]


@pytest.mark.parametrize(("work", "start"), WORKS)
def test_killed_at_every_change(fast, work, start):
    current, previous = STARTS[start]
    change, was_killed = 0, True
    while was_killed:
        prefix = device(fast / str(change), current, previous)
        arrive(prefix)
        was_killed = killed_at(change, lambda prefix=prefix: work(prefix))
        between = whole(prefix, "current")
        assert between in {current, "new", *([previous] if work is roll_back else [])}, "never nothing, never another"
        put_right(prefix)
        assert whole(prefix, "current") == between
        assert whole(prefix, "previous") != between or between is None
        if current and between == "new":
            assert whole(prefix, "previous") == current, "the way back is there"
        if work is not roll_back and between == current:
            assert whole(prefix, "previous") == previous
        assert not prefix.incoming.exists()
        arrive(prefix)
        put_new(prefix)
        assert whole(prefix, "current").startswith("new")
        there = {path.name for path in prefix.versions.iterdir()}
        assert there == {prefix.current, prefix.previous} - {None}, "nothing piles up"
        change += 1
    assert change > 8, "the work has that many changes to be killed at"


@pytest.mark.parametrize("start", [0, 1, 2])
def test_killed_again_while_putting_it_right(fast, start):
    """At every third change of the work, and there at every change of the putting right."""
    first, was_killed = start, True
    while was_killed:
        second, again = 0, True
        while again:
            prefix = device(fast / f"{first}-{second}", "a", "b")
            arrive(prefix)
            was_killed = killed_at(first, lambda prefix=prefix: (put_new, put_new_and_go_back)[start % 2](prefix))
            between = whole(prefix, "current")
            again = killed_at(second, lambda prefix=prefix: put_right(prefix))
            put_right(prefix)
            assert whole(prefix, "current") == between in ("a", "new")
            assert whole(prefix, "previous") == ("b" if between == "a" else "a")
            second += 1
        first += 3


def test_what_was_never_confirmed_is_not_gone_back_to(tmp_path):
    prefix = device(tmp_path / "p", "a", "b", a=False)
    arrive(prefix)
    put_new(prefix)
    assert (prefix.current, prefix.previous) == ("new", "b")


def test_a_current_version_that_vanished_is_replaced_by_the_one_before(tmp_path):
    prefix = device(tmp_path / "p", "a", "b")
    (prefix.versions / "a").rename(tmp_path / "gone")
    assert "b runs again" in switch.recover(prefix)
    assert prefix.current == "b"


# --- at every step, over ssh -------------------------------------------------------------------------------------------------

STEPS = ("device", "lock", "upload", "hashes", "signature", "self-test", "switch")
"""After whose line it is killed: in the midst of the step that follows."""


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[Path]:
    """Two versions; the second is large enough for its upload to take a moment."""
    folder = tmp_path_factory.mktemp("two")
    bundles = [renamed(folder, name) for name in ("one", "two")]
    (bundles[1] / "ballast.bin").write_bytes(os.urandom(1 << 20) * 8)
    bundle.seal(bundles[1])
    return bundles


@pytest.fixture(scope="module")
def runs_one(two, tmp_path_factory) -> Path:
    """A device on which the first version runs, to copy."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    assert here(folder, two[0]) == 0
    return folder


def here(place: Path, folder: Path) -> int:
    """Flash on this machine itself."""
    choice = ["--bundle", folder, "--prefix", place, "--engine", "onnxruntime", "--threads", "1", "--watch", "0"]
    return cli.main(["flash", *map(str, choice)])


@pytest.fixture
def devices(sshd, tmp_path) -> Path:
    """A devices.yaml whose target "there" is the loopback server, and its prefix a folder of the test's."""
    reach = {**sshd["reach"], "path": str(tmp_path / "device")}
    entry = {"description": "a test", "reach": reach, "engine": "onnxruntime", "precision": "int8", "threads": 1}
    entry |= {"vnni": False, "margin_points": 0.5, "budgets": {}}
    (tmp_path / "devices.yaml").write_text(yaml.safe_dump({"schema": 1, "targets": {"there": entry}}))
    return tmp_path / "devices.yaml"


def words(command: str, devices: Path, *more) -> list[str]:
    return [command, "--target", "there", "--devices", str(devices), *map(str, more)]


def started(devices: Path, folder: Path, step: str, *more) -> subprocess.Popen:
    """A flash of its own process, which has just said that a step is done."""
    command = [sys.executable, "-m", "edgefer", *words("flash", devices, "--bundle", folder, "--watch", "5", *more)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stdout:
        if line.startswith(f"  {step} "):
            return process
    raise AssertionError(process.stderr.read())


def agents(place: Path) -> list[int]:
    """Processes on the device that serve a flash to this prefix, their shell included."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().split(b"\0")
            at_work = b"-P" in line[:2] and str(place).encode() in line and b"-c" in line
            found += [int(process.name)] if at_work else []
    return found


def assert_working(place: Path, *expected: str) -> None:
    """What is current is one of these, and computes what was exported, by its own runtime."""
    end = time.monotonic() + WAIT_S
    while agents(place) and time.monotonic() < end:
        time.sleep(0.05)
    assert agents(place) == []
    current = Prefix(place).current
    assert current and current.split("-")[0] in expected
    assert selftest(place / "versions" / current, Run("onnxruntime", "int8", 1))["problems"] == []


def cut(victim: str, process: subprocess.Popen, place: Path, server: int) -> None:
    if victim == "client":
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)
        return
    end = time.monotonic() + WAIT_S
    while not agents(place) and time.monotonic() < end:
        time.sleep(0.01)
    if victim == "connection":
        while process.poll() is None:  # the kernel's list of children may miss one while another ends
            cut_connections(server)
            time.sleep(0.01)
    else:
        for pid in agents(place):
            with contextlib.suppress(ProcessLookupError):  # a child of its, on its way to be another program
                os.kill(pid, signal.SIGKILL)
    assert process.wait(WAIT_S) == 5
    assert "was lost at" in process.stderr.read()


VICTIMS = [(victim, step) for victim in ("client", "agent") for step in STEPS]
VICTIMS += [("connection", step) for step in ("lock", "signature", "switch")]


@pytest.mark.parametrize(("victim", "step"), VICTIMS)
def test_killed_at_every_step(sshd, devices, two, runs_one, tmp_path, victim, step):
    place = tmp_path / "device"
    shutil.copytree(runs_one, place, symlinks=True)
    cut(victim, started(devices, two[1], step), place, sshd["server"])
    assert_working(place, *(("one", "two") if step in ("signature", "self-test", "switch") else ("one",)))
    if step == "switch" and victim != "agent":
        assert versions(place)["current"] == "two", "the device went on by itself"
        assert Prefix(place).read()["versions"][Prefix(place).current]["confirmed"]
    assert here(place, two[1]) == 0
    assert versions(place) == {"current": "two", "previous": "one", "there": ["one", "two"]}
    assert sorted(path.name for path in place.iterdir()) == ["current", "lock", "previous", "status.json", "versions"]
