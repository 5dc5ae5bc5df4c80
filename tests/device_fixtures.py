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

WAIT_S = 30


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory) -> Iterator[dict]:
    """A real server of our own on loopback: ``{reach, place, folder, server}``; place is the device's TMPDIR."""
    folder = tmp_path_factory.mktemp("sshd")
    place = folder / "device"
    place.mkdir()
    with served(folder, f"SetEnv TMPDIR={place}\n") as found:
        yield {**found, "reach": {**found["reach"], "python": sys.executable}, "place": place, "folder": folder}


@contextlib.contextmanager
def served(folder: Path, settings: str) -> Iterator[dict]:
    """A server with these settings beside the usual ones, its files in the folder: ``{reach, server}``."""
    server = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if not (server and shutil.which("ssh")):
        pytest.skip("needs ssh and sshd: apt-get install openssh-client openssh-server")
    for name in ("host", "login"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/login.pub\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin yes\n{settings}"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where a server that root starts locks itself up
    process = subprocess.Popen([server, "-D", "-e", "-f", folder / "config"], stderr=(folder / "log").open("w"))
    wait_for_port(port, folder / "log")
    options = [f"UserKnownHostsFile={folder}/known"]
    login = {"kind": "ssh", "host": "127.0.0.1", "user": os.environ.get("USER") or "root", "port": port}
    yield {"reach": {**login, "identity": str(folder / "login"), "options": options}, "server": process.pid}
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


BINFMT = Path("/proc/sys/fs/binfmt_misc")
HANDLER, RULE = "edgefer-test-aarch64", Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
APPLETS = ("sh", "cat", "readlink", "dirname", "mkdir", "mv", "rm", "ls", "uname", "env")
CPU = "cortex-a72"


@pytest.fixture(scope="module")
def binfmt() -> Iterator[None]:
    """The kernel runs aarch64 programs, as long as a test needs it."""
    if os.geteuid() or not RULE.is_file():
        pytest.skip("needs to be root, and QEMU's rule for binfmt: apt-get install qemu-user-static")
    mounted = (BINFMT / "register").exists()
    if (
        not mounted
        and subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT], capture_output=True).returncode
    ):
        pytest.skip("needs binfmt_misc, which cannot be mounted here")
    rule = RULE.read_text().strip().replace(":qemu-aarch64:", f":{HANDLER}:", 1)
    try:
        (BINFMT / "register").write_text(rule)
    except OSError as error:
        pytest.skip(f"needs binfmt_misc, which takes no rule here: {error}")
    yield
    (BINFMT / HANDLER).write_text("-1")
    if not mounted:
        subprocess.run(["umount", BINFMT], capture_output=True)


@pytest.fixture(scope="module")
def arm_pi(arm_root, binfmt, tmp_path_factory) -> Iterator[dict]:
    """A loopback ssh server whose logins are in an aarch64 userland: ``{reach, root}``; root is its / as seen from here."""
    from benchmarks.reach import arm_root as making

    if not list(arm_root.glob("root/**/busybox")):
        pytest.skip(f"{arm_root} has no shell: remove it and make it again")
    folder = tmp_path_factory.mktemp("pi")
    root = folder / "root"
    subprocess.run(["cp", "-a", arm_root / "root", root], check=True)
    subprocess.run(["cp", "-a", arm_root / "site", root / "site"], check=True)
    for place in ("proc", "tmp", "dev", "home/pi"):
        (root / place).mkdir(parents=True, exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(making.cpuinfo(CPU))
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/home/pi:/bin/sh\n")
    for name, minor in (("null", 3), ("zero", 5), ("urandom", 9)):
        subprocess.run(["mknod", root / "dev" / name, "c", "1", str(minor)], check=True)
    (shell, *_) = [folder for folder in (root / "bin", root / "usr" / "bin") if (folder / "busybox").is_file()]
    for applet in APPLETS:
        (shell / applet).symlink_to("busybox")
    if not (root / "bin").exists():
        (root / "bin").symlink_to("usr/bin")
    settings = f"QEMU_CPU={CPU} PYTHONPATH=/site HOME=/home/pi PATH=/usr/bin:/bin"
    into = f'ForceCommand env {settings} /usr/sbin/chroot {root} /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
    with served(folder, into) as found:
        yield {"reach": {**found["reach"], "python": "python3", "machine": "aarch64"}, "root": root}
