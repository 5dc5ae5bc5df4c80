"""Flashing over real lines: ssh, adb, a copy that damages what it carries, a disk that fills up, an aarch64 userland."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from test_flash import TINY, renamed, versions

from edgefer import cli
from edgefer.flash.layout import Prefix
from edgefer.flash.trial import Run, selftest
from edgefer.lines.local import Local

FLIPPED = ("bundle.json", "model.json", "int8.onnx", "golden/golden.npz", "SHA256SUMS")


def devices(folder: Path, reach: dict) -> Path:
    """A devices.yaml with one target, "there"."""
    entry = {"description": "a test", "reach": reach, "engine": "onnxruntime", "precision": "int8", "threads": 1}
    entry |= {"vnni": False, "margin_points": 0.5, "budgets": {}}
    (folder / "devices.yaml").write_text(yaml.safe_dump({"schema": 1, "targets": {"there": entry}}))
    return folder / "devices.yaml"


def edgefer(command: str, file: Path, *more) -> int:
    return cli.main([command, "--target", "there", "--devices", str(file), *map(str, more)])


def flash_here(place: Path, folder: Path, *more) -> int:
    choice = ["--bundle", folder, "--prefix", place, "--engine", "onnxruntime", "--watch", "0", *more]
    return cli.main(["flash", *map(str, choice)])


def assert_working(place: Path, expected: str) -> None:
    current = Prefix(place).current
    assert current.split("-")[0] == expected
    assert selftest(place / "versions" / current, Run("onnxruntime", "int8", 1))["problems"] == []


# --- ssh and adb -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sshd", "phone"])
def test_flash_rollback_and_status(kind, request, tmp_path, capsys):
    place = tmp_path / "the device's place"
    file = devices(tmp_path, {**request.getfixturevalue(kind)["reach"], "path": str(place)})
    for name in ("one", "two"):
        assert edgefer("flash", file, "--bundle", renamed(tmp_path, name), "--watch", "0") == 0
    assert f"edgefer rollback --target there --devices {file}" in capsys.readouterr().out
    assert edgefer("rollback", file, "--json", tmp_path / "back.json") == 0
    assert edgefer("status", file, "--json", tmp_path / "status.json") == 0
    assert versions(place) == {"current": "one", "previous": "two", "there": ["one", "two"]}
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["current"] == json.loads((tmp_path / "back.json").read_text())["version"]
    assert status["health"]["ok"] and status["device"]["host"] == os.uname().nodename
    temporary = Path(status["device"]["temporary"])
    assert not list(temporary.glob("edgefer-*.zip")), "the agent's archive goes"


def test_a_device_that_refuses_the_login(sshd, tmp_path, capsys):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    file = devices(tmp_path, {**sshd["reach"], "identity": str(tmp_path / "other")})
    assert edgefer("flash", file, "--bundle", TINY) == edgefer("status", file) == 5
    assert "refuses the login" in capsys.readouterr().err


def test_a_device_that_is_another_machine(sshd, tmp_path, capsys):
    file = devices(tmp_path, {**sshd["reach"], "machine": "riscv64", "path": str(tmp_path / "p")})
    assert edgefer("flash", file, "--bundle", TINY) == 3
    assert "devices.yaml says that there is riscv64" in capsys.readouterr().err and not (tmp_path / "p").exists()


def test_a_place_that_cannot_be_written(sshd, tmp_path, capsys):
    (tmp_path / "file").touch()
    file = devices(tmp_path, {**sshd["reach"], "path": str(tmp_path / "file" / "p")})
    assert edgefer("flash", file, "--bundle", TINY) == 3
    assert "cannot be used (Not a directory)" in capsys.readouterr().err


# --- damage on the way -------------------------------------------------------------------------------------------------------


def damaged_by(monkeypatch, change) -> None:
    """Have the line carry something else than it was given: ``change(bytes, name)``."""

    def put(_self, local: Path, remote: str) -> list[str]:
        other = local.with_name(f"damaged-{local.name}")
        other.write_bytes(change(local.read_bytes(), local.name))
        return ["cp", "--", str(other), remote]

    monkeypatch.setattr(Local, "put", put)


@pytest.fixture
def place(tmp_path) -> Path:
    """A device on which "one" runs."""
    assert flash_here(tmp_path / "device", renamed(tmp_path, "one")) == 0
    return tmp_path / "device"


def assert_refused(place: Path, folder: Path, capsys, told: str) -> None:
    assert flash_here(place, folder) == 6
    assert told in capsys.readouterr().err
    assert_working(place, "one")
    assert sorted(path.name for path in place.iterdir()) == ["current", "lock", "status.json", "versions"]


@pytest.mark.parametrize("name", FLIPPED)
def test_a_bit_that_flips_on_the_way(place, tmp_path, monkeypatch, capsys, name):
    folder = renamed(tmp_path, "two")
    content = (folder / name).read_bytes()

    def flip(data: bytes, file: str) -> bytes:
        if file != "upload.tar":
            return data
        at = data.index(content) + len(content) // 2
        return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]

    damaged_by(monkeypatch, flip)
    assert_refused(place, folder, capsys, f"'{Path(name).name}' in the upload does not match its SHA-256")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_an_upload_that_arrives_in_part(place, tmp_path, monkeypatch, capsys, share):
    damaged_by(monkeypatch, lambda data, file: data[: int(len(data) * share)] if file == "upload.tar" else data)
    assert_refused(place, renamed(tmp_path, "two"), capsys, "flash again")


def test_a_helper_that_is_damaged_on_the_way(place, tmp_path, monkeypatch, capsys):
    damaged_by(monkeypatch, lambda data, file: data[:-9] + b"x" + data[-8:] if file == "agent.zip" else data)
    assert_refused(place, renamed(tmp_path, "two"), capsys, "helper was damaged on the way")


# --- a full disk -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """14 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount")
    if not mounted or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m", "tmpfs", disk]).returncode:
        pytest.skip("needs to be root, and allowed to mount a small tmpfs")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path, leave: int) -> None:
    with (disk / "filler").open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
            file.flush()
    with (disk / "filler").open("r+b") as file:
        file.truncate(max(0, file.seek(0, 2) - leave))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.05, 2.0, 2.3])
def test_a_disk_that_fills_up_while_flashing(small_disk, tmp_path, monkeypatch, capsys, share):
    """So much of the upload's size is left, from the moment it begins: it fails in the upload, the unpacking, or after it."""
    place = small_disk / "device"
    assert flash_here(place, renamed(tmp_path, "one")) == 0
    plain = Local.put

    def put(self, local: Path, remote: str) -> list[str]:
        if local.name == "upload.tar":
            fill(small_disk, int(share * local.stat().st_size))
        return plain(self, local, remote)

    monkeypatch.setattr(Local, "put", put)
    two = renamed(tmp_path, "two")
    code = flash_here(place, two)
    assert code in ((3,) if share < 1.9 else (0, 3))
    assert code == 0 or "is full" in capsys.readouterr().err
    assert_working(place, "two" if code == 0 else "one")
    assert not (place / "incoming").exists()
    monkeypatch.undo()
    (small_disk / "filler").unlink()
    assert flash_here(place, two) == 0
    assert versions(place) == {"current": "two", "previous": "one", "there": ["one", "two"]}


def test_going_back_needs_no_room(small_disk, tmp_path):
    """The first minute fills the disk, and is not well."""
    place = small_disk / "device"
    assert flash_here(place, renamed(tmp_path, "one")) == 0
    health = f"cat /dev/zero > {small_disk}/filler; false"
    assert flash_here(place, renamed(tmp_path, "two"), "--health", health) == 1
    assert_working(place, "one")
    assert versions(place)["there"] == ["one"]


def test_too_little_room_is_said_before_anything_is_sent(small_disk, tmp_path, capsys):
    fill(small_disk, 3_000_000)
    assert flash_here(small_disk / "device", TINY) == 3
    assert "MB free" in capsys.readouterr().err and not (small_disk / "device").exists()


# --- an aarch64 userland -----------------------------------------------------------------------------------------------------


def test_flashing_an_emulated_pi(arm_pi, tmp_path, capsys):
    """Its shell, its Python and its LiteRT are aarch64 programs, with which the x86-64 machine's bundle computes the same."""
    place = arm_pi["root"] / "home" / "pi" / ".local" / "share" / "edgefer"
    file = devices(tmp_path, arm_pi["reach"])
    words = ("--engine", "litert", "--watch", "0")
    assert edgefer("flash", file, "--bundle", renamed(tmp_path, "one"), *words) == 0
    out = capsys.readouterr().out
    assert ": aarch64, Python 3.11" in out and "litert int8: 4 golden vectors replayed" in out
    assert (
        edgefer("flash", file, "--bundle", renamed(tmp_path, "two"), *words, "--health", "test $(uname -m) = none") == 1
    )
    assert "was taken back" in capsys.readouterr().err
    assert versions(place) == {"current": "one", "previous": None, "there": ["one"]}
    launcher = ["/usr/sbin/chroot", arm_pi["root"], "/home/pi/.local/share/edgefer/current/bin/edgefer", "--version"]
    assert subprocess.run(launcher, capture_output=True, text=True, env={"PYTHONPATH": "/site"}).stdout.startswith(
        "edgefer "
    )
