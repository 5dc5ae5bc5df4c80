"""The service: a unit that systemd accepts, signs of life that stop when the loop does, an end in order at SIGTERM."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edgefer.cli import main
from edgefer.errors import UsageError
from edgefer.service import unit
from edgefer.service.heartbeat import Heartbeat
from edgefer.service.notify import Notifier

TINY = Path(__file__).parent / "data" / "tiny"
WAIT_S = 60


class Manager:
    """What systemd is to a service: a socket, and what came to it."""

    def __init__(self, folder: Path, abstract: bool = False):
        self.address = f"@edgefer-test-{os.getpid()}-{id(self)}" if abstract else str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address[1:] if abstract else self.address)
        self.socket.settimeout(WAIT_S)
        self.environment = {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": "300000"}

    def until(self, wanted: str) -> list[str]:
        """Everything said until a line that begins so."""
        said = []
        while not any(line.startswith(wanted) for line in said):
            said += self.socket.recv(4096).decode().splitlines()
        return said

    def close(self):
        self.socket.close()


@pytest.fixture(params=[False, True], ids=["path", "abstract"])
def any_manager(tmp_path, request):
    found = Manager(tmp_path, request.param)
    yield found
    found.close()


@pytest.fixture
def manager(tmp_path):
    found = Manager(tmp_path)
    yield found
    found.close()


def started(manager: Manager, *more, source: str = "-", **how) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "edgefer",
        "run",
        "--bundle",
        TINY,
        "--detector",
        "none",
        "--source",
        source,
        *more,
    ]
    environment = {**os.environ, **manager.environment}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(list(map(str, command)), env=environment, **pipes | how)


LIVE = ("--size", "8x6", "--pixels", "gray", "--live")


# --- signs of life -----------------------------------------------------------------------------------------------------------


def test_the_protocol(any_manager):
    notifier = Notifier(any_manager.environment)
    notifier.ready("good\nday")
    assert any_manager.until("STATUS=") == ["READY=1", "STATUS=good day"]
    notifier.alive()
    notifier.stopping()
    assert any_manager.until("STOPPING=1") == ["WATCHDOG=1", "STOPPING=1"]


def test_signs_come_as_often_as_the_watchdog_wants(manager):
    times = iter([0.0, 0.05, 0.099, 0.11, 0.5])
    notifier = Notifier(manager.environment, lambda: next(times))
    assert notifier.period == pytest.approx(0.1)
    for _ in range(5):
        notifier.alive()
    notifier.stopping()
    assert manager.until("STOPPING") == ["WATCHDOG=1"] * 3 + ["STOPPING=1"]


@pytest.mark.parametrize(
    "environment",
    [{}, {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}],
)
def test_without_a_manager_nothing_happens(environment):
    notifier = Notifier(environment)
    notifier.ready("x")
    notifier.alive()
    notifier.stopping()


def test_a_watchdog_for_another_process_is_not_ours():
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).period is None
    assert Notifier({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}).period == 1


def test_a_loop_that_hangs_gives_no_signs(manager, tmp_path):
    """Frames come, but the one that is worked on never ends: it must look dead from outside."""
    from edgefer.loop import FrameLoop
    from edgefer.outputs import Closed
    from edgefer.sources import Frame, Source
    from edgefer.working import work

    entered, release = threading.Event(), threading.Event()

    class Stuck:
        name = "none"

        def detect(self, _frame):
            entered.set()
            assert release.wait(WAIT_S)
            raise Closed

    frames = iter([Frame(i, "s", i / 10, np.zeros((8, 8, 3), np.uint8)) for i in range(3)])
    heart = Heartbeat("s", str(tmp_path / "health"), print, Notifier(manager.environment))
    loop = FrameLoop(Stuck(), None, moving=True)
    working = threading.Thread(target=work, args=(Source("s", frames, True, live=True), loop, [], heart, print))
    working.start()
    assert entered.wait(WAIT_S)
    manager.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        manager.socket.recv(4096)
    release.set()
    working.join(WAIT_S)


def test_a_health_file_that_cannot_be_written_is_said_once(tmp_path):
    notes, times = [], iter(np.arange(0, 100, 0.6))
    heart = Heartbeat("s", "/proc/nowhere/health", notes.append, Notifier({}), lambda: float(next(times)))
    heart.ready()
    for _ in range(5):
        heart.frame({"frames": 1})
    assert len(notes) == 1 and "the run goes on without it" in notes[0]


def test_the_health_file_is_whole_and_not_written_too_often(tmp_path, monkeypatch):
    from edgefer.service import heartbeat

    path, written, now = tmp_path / "health.json", [], [0.0]
    real = heartbeat.write_json
    monkeypatch.setattr(heartbeat, "write_json", lambda p, value: (written.append(value["state"]), real(p, value)))
    heart = Heartbeat("cam", str(path), print, Notifier({}), lambda: now[0])
    heart.ready()
    for i in range(30):
        now[0] += 0.1
        heart.frame({"frames": i + 1, "faces": 2, "dropped": 3, "unusable": 0})
    now[0] += 5
    heart.waiting()
    assert written == ["waiting", *["running"] * 3, "waiting"]
    health = json.loads(path.read_text())
    assert health["last_frame_s"] == pytest.approx(5) and health["frames"] == 30 and health["source"] == "cam"
    assert [p.name for p in tmp_path.iterdir()] == ["health.json"]


# --- the program -------------------------------------------------------------------------------------------------------------


def test_a_service_from_start_to_sigterm(manager, tmp_path):
    out, health = tmp_path / "log.jsonl", tmp_path / "health.json"
    running = started(manager, *LIVE, "--jsonl", out, "--health", health)
    assert manager.until("STATUS=waiting")[0] == "READY=1"
    running.stdin.write(bytes(48))
    running.stdin.flush()
    assert "WATCHDOG=1" in manager.until("STATUS=running: 1 frames, 1 faces")
    assert json.loads(out.read_text())["frame"] == 0, "what is done is in the log, not in memory"
    manager.until("STATUS=waiting")
    manager.until("WATCHDOG=1")
    running.send_signal(signal.SIGTERM)
    manager.until("STOPPING=1")
    _, told = running.communicate(timeout=WAIT_S)
    assert running.returncode == 0, told
    assert b"1 frames, 1 faces" in told and b"Traceback" not in told
    assert json.loads(health.read_text())["state"] == "stopped"
    assert json.loads(out.read_text())["faces"][0]["track"] == 1


def test_sigterm_in_the_middle_of_a_file_keeps_whole_lines(manager, tmp_path):
    """Raw frames without end; the lines of a source that ends take the file's place at the end, and this is one."""
    out = tmp_path / "log.jsonl"
    with Path("/dev/zero").open("rb") as zero:
        running = started(manager, *LIVE[:-1], "--jsonl", out, stdin=zero, stdout=subprocess.DEVNULL)
    manager.until("STATUS=running")
    running.send_signal(signal.SIGTERM)
    _, told = running.communicate(timeout=WAIT_S)
    assert running.returncode == 0, told
    frames = [json.loads(line)["frame"] for line in out.read_text().splitlines()]
    assert frames == list(range(len(frames))) and frames


def test_a_camera_that_is_not_there_is_waited_for_with_signs_of_life(manager, tmp_path):
    health = tmp_path / "health.json"
    running = started(manager, "--wait", "--health", health, source="rtsp://me:secret@127.0.0.1:9/x")
    manager.until("READY=1")
    for _ in range(3):
        manager.until("WATCHDOG=1")
    assert json.loads(health.read_text())["state"] == "waiting" and running.poll() is None
    running.send_signal(signal.SIGTERM)
    out, told = running.communicate(timeout=WAIT_S)
    assert running.returncode == 0 and out == b"" and b"waiting for source rtsp://127.0.0.1:9/x" in told
    assert b"secret" not in told + health.read_bytes()
    assert told.count(b"\n") <= 5, told  # a journal is not filled by a camera that is away


def test_lines_for_the_journal_say_what_they_are(manager):
    environment = {**os.environ, "JOURNAL_STREAM": "8:1"}
    command = [sys.executable, "-m", "edgefer", "run", "--bundle", TINY, "--source", "-", "--detector", "none", *LIVE]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert any(line.startswith("<6>tiny: ") for line in done.stderr.splitlines())
    assert any(line.startswith("<3>error: no frame came from -") for line in done.stderr.splitlines())


# --- the unit ----------------------------------------------------------------------------------------------------------------


def written(tmp_path: Path, *more: str) -> Path:
    path = tmp_path / "edgefer.service"
    command = ["service", "--bundle", TINY, "--source", "/dev/video0", "--write", path, *more]
    assert main(list(map(str, command))) == 0
    return path


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def test_the_unit(tmp_path, monkeypatch, capsys):
    yunet = tmp_path / "my yunet.onnx"
    yunet.touch()
    monkeypatch.setenv("EDGEFER_YUNET", str(yunet))
    text = written(tmp_path).read_text()
    found = settings(text)
    assert found["Type"] == "notify" and int(found["WatchdogSec"]) > 0 and found["Restart"] == "on-failure"
    assert found["RestartPreventExitStatus"] == "2 3 6" and int(found["StartLimitBurst"]) > 0
    assert found["Environment"] == f'"EDGEFER_YUNET={yunet}"'
    words = found["ExecStart"].split()
    assert words[:4] == [sys.executable, "-m", "edgefer", "run"] and "--wait" in words
    assert words[words.index("--bundle") + 1] == str(TINY.resolve())
    assert main(["service", "--bundle", str(TINY), "--source", "/dev/video0"]) == 0
    assert capsys.readouterr().out == text


def test_more_flags_go_to_the_run_and_are_checked_now(tmp_path, capsys):
    start = settings(written(tmp_path, "--", "--http", "8080", "--jsonl", "/tmp/x y.jsonl").read_text())["ExecStart"]
    assert start.endswith('--http 8080 --jsonl "/tmp/x y.jsonl"') and start.count("--jsonl") == 1
    command = ["service", "--bundle", str(TINY), "--source", "0", "--"]
    with pytest.raises(SystemExit) as caught:
        main([*command, "--colour", "red"])
    assert caught.value.code == 2
    wrong = (
        "--detect-every 0",
        "--size 640",
        "--engine tensorrt",
        "--precision fp16",
        "--detector mtcnn",
        "--yunet no.onnx",
    )
    for flags in wrong:
        assert main([*command, *flags.split()]) == 2, flags
    (tmp_path / "y.onnx").touch()
    for source, *flags in (["-"], [""], ["no.mp4"], ["0", "--window"], ["0", "--pixels", "rgb24"]):
        assert main(["service", "--bundle", str(TINY), f"--source={source}", "--", *flags]) == 2, (source, flags)
    assert main([*command[:-1], "--python", "nope"]) == 2
    assert main([*command, "--engine", "onnxruntime", "--size", "640x480", "--yunet", str(tmp_path / "y.onnx")]) == 0
    assert main(["service", "--bundle", str(tmp_path), "--source", "0"]) == 6


def test_what_anybody_reads_has_no_password(tmp_path):
    text = unit.text(unit.Service("/p", "/b", "rtsp://me:secret@cam/x"))
    assert settings(text)["Description"].endswith("from rtsp://cam/x") and text.count("secret") == 1


@pytest.mark.parametrize(
    "field", [{"name": "a/b"}, {"name": ""}, {"user": "me; x"}, {"source": "a\nExecStartPre=x"}, {"memory_mb": 10}]
)
def test_what_a_unit_cannot_hold(field):
    with pytest.raises(UsageError):
        unit.text(unit.Service(**{"python": "/p", "bundle": "/b", "source": "0"} | field))


@pytest.mark.parametrize("user", [None, "root"])
def test_systemd_accepts_it(tmp_path, user):
    tool = shutil.which("systemd-analyze")
    if not tool:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    flags = ("--jsonl", '/tmp/100% "odd" $HOME.jsonl', "--smooth", "0.5")
    text = unit.text(unit.Service(sys.executable, str(TINY), "rtsp://cam/a%20b", user=user, more=flags))
    path = tmp_path / "edgefer.service"
    path.write_text(text)
    done = subprocess.run([tool, "verify", "--man=no", path], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "edgefer" in line]
    assert done.returncode == 0 and not ours, done.stderr
    path.write_text(text.replace("Restart=on-failure", "Restart=sometimes").replace(sys.executable, "/nowhere/python"))
    assert "edgefer" in subprocess.run([tool, "verify", "--man=no", path], capture_output=True, text=True).stderr
