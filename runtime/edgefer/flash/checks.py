"""What a device must have before anything is put on it: architecture, Python, C library, room, an engine or wheels for it."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from edgefer import lines
from edgefer.engines import ENGINES
from edgefer.errors import EdgeferError, EnvironmentInvalid
from edgefer.lines import Line
from edgefer.platforms import PYTHONS, canonical, least_glibc
from edgefer.targets import Target

PROBE = Path(__file__).with_name("probe.py")
MODULES = ("numpy", "pip", *(package for row in ENGINES.values() for package in row.packages))
KNOWN_MACHINES = ("x86_64", "aarch64")
PATIENCE_S = 60
SPARE_BYTES, UNPACKED, BLOCK = 8_000_000, 4, 4096
"""Room to leave, how many times its size a wheel takes when it is installed, and what the smallest file takes on a disk."""
WHEEL = re.compile(
    r"^(?P<name>[^-]+)-(?P<version>[^-]+)(-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl$"
)


@dataclass(frozen=True)
class Device:
    """As it tells of itself; see ``probe.py``."""

    machine: str
    bits: int
    python: tuple[int, int, int]
    executable: str
    libc: str
    libc_version: str
    modules: tuple[str, ...]
    prefix: str
    writable: bool
    there: bool
    free_bytes: int
    temporary: str
    host: str

    @property
    def told(self) -> str:
        """In one line."""
        version = ".".join(map(str, self.python))
        libc = f"{self.libc} {self.libc_version}" if self.libc else "no glibc"
        free = f"{self.free_bytes / 1e6:.0f} MB free at {self.prefix}"
        return f"{self.host}: {self.machine}, Python {version}, {libc}, {free}"


def ask(line: Line, python: str, prefix: str) -> Device:
    """What the device has.

    Raises:
        Unreachable: it is lost, or was never there.
        EnvironmentInvalid: it has no such Python.
    """
    words = [python, "-c", PROBE.read_text(), prefix, *MODULES]
    ended = lines.done(line, line.command(shlex.join(words)), PATIENCE_S)
    if ended.returncode in (126, 127):
        raise EnvironmentInvalid(
            f"{line.name} has no usable '{python}'; install one of Python 3.11 to 3.13 on it and name it as reach.python"
        )
    if ended.returncode:
        raise lines.failed(line, ended.returncode, ended.stderr, f"{python} -c …")
    try:
        value = json.loads(ended.stdout.strip().splitlines()[-1])
        return Device(**value | {"python": tuple(value["python"]), "modules": tuple(value["modules"])})
    except (IndexError, KeyError, TypeError, ValueError):
        raise EdgeferError(f"{line.name} answered '{ended.stdout.strip()[-80:]}' to the question what it has") from None


def check(device: Device, target: Target, engine: str, files: dict[str, int], name: str) -> None:
    """Refuse a device on which the bundle cannot run.

    Args:
        device: what it has.
        target: what it should be.
        engine: that is to run there.
        files: name → bytes of all that would be uploaded.
        name: of the device, for messages.

    Raises:
        EnvironmentInvalid: all problems at once, each with its remedy.
    """
    wheels = [Path(file).name for file in files if file.startswith("bundle/wheels/") and file.endswith(".whl")]
    found = [
        *_machine_problems(device, target),
        *_python_problems(device),
        *(_wheel_problems(device, wheels) if wheels else _module_problems(device, engine)),
        *_room_problems(device, files),
    ]
    if found:
        raise EnvironmentInvalid(f"{name}: {'; '.join(found)}")


def _machine_problems(device: Device, target: Target) -> list[str]:
    is_ = canonical(device.machine)
    if is_ not in KNOWN_MACHINES or device.bits != 64:
        wanted = " and ".join(KNOWN_MACHINES)
        return [
            f"a {device.bits}-bit {device.machine} system, and engines exist for 64-bit {wanted}: install such a system"
        ]
    should = target.reach.get("machine", is_).lower()
    if is_ != canonical(should):
        return [
            f"a {is_} machine, and devices.yaml says that {target.name} is {should}: correct reach.host, or reach.machine"
        ]
    return []


def _python_problems(device: Device) -> list[str]:
    if PYTHONS[0] <= device.python[:2] <= PYTHONS[1]:
        return []
    have, least, most = (".".join(map(str, version[:2])) for version in (device.python, *PYTHONS))
    return [f"Python {have}, and one from {least} to {most} is needed: install it and name it as reach.python"]


def _module_problems(device: Device, engine: str) -> list[str]:
    """Without wheels in the bundle, the device's Python must have what the runtime needs."""
    packages, python = ENGINES[engine].packages, device.executable
    missing = [] if "numpy" in device.modules else ["numpy"]
    if packages and not set(packages) & set(device.modules):
        missing.append(packages[0].replace("_", "-"))
    if not missing:
        return []
    what = " and ".join(missing)
    return [
        f"no {what} for {python}: run on it {python} -m pip install {' '.join(missing)}, or export the bundle with --wheels"
    ]


def _wheel_problems(device: Device, wheels: list[str]) -> list[str]:
    """The first wheel that this device cannot install; the others were chosen together with it."""
    for wheel in wheels:
        if problem := _wheel_problem(device, wheel):
            again = (
                f"export the bundle again with --wheels {device.python[0]}.{device.python[1]} for a target of this kind"
            )
            return [f"{wheel} in the bundle {problem}: {again}"]
    return []


def _wheel_problem(device: Device, wheel: str) -> str | None:
    match = WHEEL.match(wheel)
    if not match:
        return "is no wheel's name"
    platforms = match["platform"].split(".")
    if platforms != ["any"]:
        fitting = [p for p in platforms if p.endswith(f"_{canonical(device.machine)}")]
        if not fitting:
            return f"is not for {device.machine}"
        least = min(map(least_glibc, fitting))
        has = tuple(map(int, device.libc_version.split(".")[:2])) if device.libc == "glibc" else (0, 0)
        if has < least:
            return f"needs glibc {least[0]}.{least[1]}, and the device has {device.libc_version if device.libc else 'none'}"
    return None if _fits_python(match["python"], match["abi"], device.python[:2]) else "is for another Python"


def _fits_python(tags: str, abi: str, python: tuple[int, int]) -> bool:
    for tag in tags.split("."):
        version = re.match(r"^(py|cp)(\d)(\d*)$", tag)
        if not version or int(version[2]) != python[0]:
            continue
        minor = int(version[3] or 0)
        if minor == python[1] or (minor < python[1] and (tag.startswith("py") or "abi3" in abi)):
            return True
    return False


def _room_problems(device: Device, files: dict[str, int]) -> list[str]:
    if not device.writable:
        return [f"{device.prefix} cannot be written by this login: name another place as reach.path of the target"]
    wanted = room(files)
    if device.free_bytes < wanted:
        return [
            f"{device.free_bytes / 1e6:.1f} MB free at {device.prefix} and {wanted / 1e6:.1f} needed: make room there"
        ]
    return []


def room(files: dict[str, int]) -> int:
    """Bytes that a flash takes at its height: the upload, what is unpacked from it, and what wheels install."""
    wheels = sum(size for name, size in files.items() if name.endswith(".whl"))
    return 2 * (sum(files.values()) + BLOCK * len(files)) + UNPACKED * wheels + SPARE_BYTES
