"""What a device has: its architecture, its Python, and which of the modules that matter are there."""

import importlib.util
import json
import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from edgefer.engines import ENGINES
from edgefer.errors import EdgeferError, EnvironmentInvalid

LEAST_PYTHON = (3, 11)
MACHINES = ("x86_64", "aarch64")
"""What engines are published for; with 64-bit Python only."""
PROBE = Path(__file__).with_name("probe.py")
MODULES = ("numpy", "cv2", *(package for row in ENGINES.values() for package in row.packages))


@dataclass(frozen=True)
class About:
    """As the interpreter there tells."""

    machine: str
    """As ``uname -m``."""
    bits: int
    """Of the interpreter: 32 on a 64-bit kernel too, where the system is a 32-bit one."""
    python: tuple[int, int]
    modules: tuple[str, ...]
    """Those of ``MODULES`` that can be imported, and torch on this machine."""

    @property
    def engines(self) -> list[str]:
        """Names of the real engines whose package is there, in the table's order."""
        return [name for name, row in ENGINES.items() if set(row.packages) & set(self.modules)]

    @property
    def opencv(self) -> bool:
        return "cv2" in self.modules

    @property
    def torch(self) -> bool:
        return "torch" in self.modules


def here() -> About:
    """This machine and this interpreter."""
    found = tuple(name for name in (*MODULES, "torch") if importlib.util.find_spec(name))
    return About(platform.machine(), 64 if sys.maxsize > 2**32 else 32, sys.version_info[:2], found)


def probe_arguments() -> list[str]:
    """What an interpreter is given to tell about itself: one JSON line that ``told`` reads."""
    return ["-c", PROBE.read_text(), *MODULES]


def probe_line(python: str) -> str:
    """The same as a line for a device's shell."""
    return shlex.join([python, *probe_arguments()])


def told(output: str, name: str) -> About:
    """Read a probe's answer.

    Raises:
        EdgeferError: it is something else.
    """
    try:
        value = json.loads(output.strip().splitlines()[-1])
        return About(value["machine"], value["bits"], tuple(value["python"]), tuple(value["modules"]))
    except (IndexError, KeyError, TypeError, ValueError):
        raise EdgeferError(f"{name} answered '{output.strip()[-80:]}' to the question what it has") from None


def no_python(name: str, python: str, said: str) -> EnvironmentInvalid:
    """The error for an interpreter that is not there, or that the login may not run."""
    *_, last = said.strip().splitlines() or ["not found"]
    how = "install Python 3.11 or newer on it and name it as reach.python of the target"
    termux = "; Termux's own is closed to adb on most phones: reach those by ssh, as docs/benchmarks-devices.md shows"
    return EnvironmentInvalid(f"{name} has no usable '{python}' ({last}); {how}{termux if 'termux' in python else ''}")


def check(about: About, engine: str, name: str, python: str) -> None:
    """Refuse a device that cannot run the engine.

    Args:
        about: of the device.
        engine: name in ``ENGINES``.
        name: of the device, for the message.
        python: its interpreter, for the remedy.

    Raises:
        EnvironmentInvalid: says what is missing and how to get it; the first thing only, as later ones follow from it.
    """
    if problem := _problem(about, engine, python):
        raise EnvironmentInvalid(f"{name} {problem}")


def _problem(about: About, engine: str, python: str) -> str | None:
    version, least = (".".join(map(str, numbers)) for numbers in (about.python, LEAST_PYTHON))
    if about.machine not in MACHINES or about.bits != 64:
        return (
            f"runs a {about.bits}-bit {about.machine} system, and engines exist for 64-bit {' and '.join(MACHINES)}; "
            "install a 64-bit system on it"
        )
    if about.python < LEAST_PYTHON:
        return f"has Python {version} as '{python}', and {least} is needed; install it and name it as reach.python"
    if "numpy" not in about.modules:
        return (
            f"has no numpy for '{python}'; run on it: {python} -m pip install numpy (Termux: pkg install python-numpy)"
        )
    packages = ENGINES[engine].packages
    if packages and engine not in about.engines:
        wanted = " or ".join(package.replace("_", "-") for package in packages)
        return f"has no engine '{engine}' for '{python}'; run on it: {python} -m pip install {wanted}"
    return None
