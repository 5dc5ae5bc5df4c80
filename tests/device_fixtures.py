"""Devices that tests reach: a real ssh server on loopback, a phone behind the real adb client, an arm64 root."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgefer import targets
from edgefer.errors import EnvironmentInvalid

ROOT = Path(__file__).resolve().parents[1]
WAIT_S = 30


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory) -> Iterator[dict]:
    """A real server of our own on loopback: ``{reach, place, folder, server}``; place is the device's TMPDIR."""
    server = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if not (server and shutil.which("ssh")):
        pytest.skip("needs ssh and sshd: apt-get install openssh-client openssh-server")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "login"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port, place = free_port(), folder / "device"
    place.mkdir()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/login.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin yes\nSetEnv TMPDIR={place}\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where a server that root starts locks itself up
    process = subprocess.Popen([server, "-D", "-e", "-f", folder / "config"], stderr=(folder / "log").open("w"))
    wait_for_port(port, folder / "log")
    options = [f"UserKnownHostsFile={folder}/known"]
    login = {"kind": "ssh", "host": "127.0.0.1", "user": os.environ.get("USER") or "root", "port": port}
    yield {
        "reach": {**login, "python": sys.executable, "identity": str(folder / "login"), "options": options},
        "place": place,
        "folder": folder,
        "server": process.pid,
    }
    process.terminate()
    process.wait()


def wait_for_port(port: int, log: Path) -> None:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        time.sleep(0.05)
    pytest.skip(f"sshd does not start here: {log.read_text().strip()[-200:]}")


def cut_connections(server: int) -> None:
    """End the children of a server, which are its connections, and not what runs at their other end."""
    for child in Path(f"/proc/{server}/task/{server}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


@pytest.fixture
def phone(tmp_path, monkeypatch) -> Iterator[dict]:
    """A device of ours behind the real adb client and a server of its own: ``{reach, process}``."""
    if not shutil.which("adb"):
        pytest.skip("needs adb: apt-get install adb")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / "phone"
    place.mkdir()
    command = [sys.executable, Path(__file__).with_name("fake_adb.py"), place]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    serial = f"127.0.0.1:{process.stdout.readline().strip()}"
    subprocess.run(["adb", "connect", serial], check=True, capture_output=True, timeout=WAIT_S)
    yield {"reach": {"kind": "adb", "serial": serial, "python": sys.executable}, "process": process, "place": place}
    subprocess.run(["adb", "kill-server"], capture_output=True, timeout=WAIT_S)
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def arm_root(tmp_path_factory) -> Path:
    """An arm64 root: the one that EDGEFER_ARM_ROOT names, the checkout's, or a new one."""
    if not shutil.which(targets.QEMU):
        pytest.skip("needs QEMU: apt-get install qemu-user-static")
    for folder in (Path(os.environ.get("EDGEFER_ARM_ROOT", "nowhere")), ROOT / "build" / "arm"):
        if folder.is_dir():
            return folder.resolve()
    from benchmarks.reach import arm_root

    folder = tmp_path_factory.mktemp("arm") / "root"
    try:
        arm_root.make(folder)
    except EnvironmentInvalid as error:
        pytest.skip(f"needs an arm64 root, which cannot be made here: {error}")
    return folder
