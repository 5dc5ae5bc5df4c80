"""Making what an emulated Raspberry Pi is: an unpacked arm64 Debian Python, and the aarch64 wheels a Pi would install.

Nothing is installed on this machine and no foreign program runs: packages are downloaded and unpacked. The result:

    DIR/root         arm64 system: Python, C library, what they need, a shell
    DIR/site         aarch64 wheels: numpy and the engines, in the versions of constraints.txt
    DIR/cortex-a72   links to root/*, with a /proc/cpuinfo of its own: what a Pi 4's processes see as /
    DIR/cortex-a76   the same for a Pi 5
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edgefer.errors import EnvironmentInvalid, last_words
from edgefer.files import new_folder

PACKAGES = ("python3", "libstdc++6", "libgomp1", "busybox-static")
WHEELS = ("numpy", "ai-edge-litert", "onnxruntime")
PLATFORMS = tuple(f"manylinux_2_{minor}_aarch64" for minor in (36, 35, 34, 31, 28, 27, 17)) + ("manylinux2014_aarch64",)
"""What pip may take: wheels for glibc up to Debian 12's 2.36."""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
CORES = 4
PATIENCE_S = 600
"""Longest that one of the tools may take: a slow line brings 70 MB in it."""
CPUS = {
    "cortex-a72": ("Cortex-A72 (Raspberry Pi 4), emulated", "0xd08", "fp asimd evtstrm crc32 cpuid"),
    "cortex-a76": (
        "Cortex-A76 (Raspberry Pi 5), emulated",
        "0xd0b",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}
"""QEMU's name of a CPU → what people call it, and its part number and features as Linux tells them."""


def make(folder: Path, say: Callable[[str], None] = print) -> None:
    """Download and unpack everything into ``folder``, whole or not at all. About 70 MB of downloads.

    Raises:
        EnvironmentInvalid: this is no Debian-like system, or a download fails.
    """
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(tool):
            raise EnvironmentInvalid(
                f"making an arm64 root needs {tool}; make it on a Debian machine and copy the folder"
            )
    with new_folder(folder.resolve()) as new:
        say("arm64 system: downloading and unpacking")
        _unpack_system(new)
        say("aarch64 wheels: downloading and unpacking")
        _unpack_wheels(new)
        for cpu in CPUS:
            _link_root(new, cpu)


def python(folder: Path) -> Path:
    """The emulated interpreter.

    Raises:
        EnvironmentInvalid: the folder has none.
    """
    found = sorted((folder / "root" / "usr" / "bin").glob("python3.[0-9]*[0-9]"))
    if not found:
        raise EnvironmentInvalid(f"{folder} holds no arm64 Python; run: python -m benchmarks.reach.emulated {folder}")
    return found[-1]


def cpuinfo(cpu: str) -> str:
    """``/proc/cpuinfo`` of a Pi: engines read it to choose their kernels, and crash without one."""
    model, part, features = CPUS[cpu]
    fields = {
        "BogoMIPS": "108.00",
        "Features": features,
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": part,
        "CPU revision": "3",
    }
    rest = "".join(f"{name}\t: {value}\n" for name, value in fields.items())
    return "".join(f"processor\t: {core}\n{rest}\n" for core in range(CORES)) + f"Model\t\t: {model}\n"


def _unpack_system(folder: Path) -> None:
    """The newest arm64 packages of this machine's own Debian release and mirror, dependencies included."""
    apt, root = folder / "apt", folder / "root"
    for place in ("state/lists/partial", "cache/archives/partial", "etc"):
        (apt / place).mkdir(parents=True)
    (apt / "state" / "status").touch()
    (apt / "etc" / "sources.list").write_text(_source())
    (apt / "apt.conf").write_text(_configuration(apt))
    settings = {**os.environ, "APT_CONFIG": str(apt / "apt.conf")}
    _run("apt-get", "-qq", "update", env=settings)
    options = ("--download-only", "--no-install-recommends", "-qq", "-y")
    _run("apt-get", *options, "install", *PACKAGES, env=settings)
    root.mkdir()
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        unpacking = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
        _run("tar", "-x", "-C", str(root), "--keep-directory-symlink", stdin=unpacking.stdout)
        unpacking.wait()
    shutil.rmtree(apt)


def _source() -> str:
    """One line of sources.list: the mirror this machine uses, for its own release."""
    policy = _run("apt-cache", "policy", "base-files")
    mirror = re.search(r"https?://\S+", policy)
    release = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
    if not (mirror and release):
        raise EnvironmentInvalid("apt knows no mirror here; run: apt-get update")
    return f"deb [arch=arm64 signed-by={KEYRING}] {mirror[0]} {release[1]} main\n"


def _configuration(apt: Path) -> str:
    settings = {
        "APT::Architecture": "arm64",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "state" / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "etc" / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "APT::Sandbox::User": "root",
    }
    lines = [f'{name} "{value}";\n' for name, value in settings.items()]
    return "".join(lines) + 'APT::Architectures { "arm64"; };\n'


def _unpack_wheels(folder: Path) -> None:
    version = python(folder).name.removeprefix("python")
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    quiet = ("--quiet", "--disable-pip-version-check", "--no-compile", "--constraint", str(CONSTRAINTS))
    foreign = ("--only-binary=:all:", "--implementation", "cp", "--python-version", version, *platforms)
    _run(sys.executable, "-m", "pip", "install", *quiet, *foreign, "--target", str(folder / "site"), *WHEELS)


def _link_root(folder: Path, cpu: str) -> None:
    place = folder / cpu
    (place / "proc").mkdir(parents=True)
    (place / "proc" / "cpuinfo").write_text(cpuinfo(cpu))
    for entry in sorted((folder / "root").iterdir()):
        if entry.name != "proc":
            (place / entry.name).symlink_to(Path("..") / "root" / entry.name)


def _run(*command: str, **how) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, **how)
    except subprocess.TimeoutExpired:
        raise EnvironmentInvalid(f"making the arm64 root failed: {command[0]} took over {PATIENCE_S} s") from None
    if done.returncode:
        how = f"{command[0]} ended with {done.returncode}: {last_words(done.stderr)}"
        raise EnvironmentInvalid(f"making the arm64 root failed: {how}")
    return done.stdout
