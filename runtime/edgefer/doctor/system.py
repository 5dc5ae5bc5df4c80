"""Checks of the machine, from what Linux tells in files. ``root`` is where those are looked for: a test's own folder, or /."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from edgefer.doctor import BROKEN, OK, WARNING, Finding
from edgefer.platforms import PYTHONS, canonical, least_glibc

ROOT = Path("/")
CPU_NEEDS = {
    "x86_64": ("cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"),
    "aarch64": ("asimd",),
}
"""Machine → flags without which numpy's wheels, and so all engines, do not run. x86-64: level v2, found by running numpy 2.4,
ai-edge-litert 2.3, onnxruntime 1.32 and OpenVINO 2026.4 under QEMU: all run on a Nehalem, none on a Penryn."""
PACKAGES = (
    "numpy",
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
    "openvino",
    "opencv-python-headless",
    "opencv-python",
)
MB = 10**6
LEAST_MEMORY_MB, GOOD_MEMORY_MB = 64, 150
LEAST_DISK_MB = 100
HOT_C = 80.0
EARLIEST = 1_735_689_600
"""2025-01-01: no clock that was ever set is before it."""
CLOCK_UNSYNCHRONISED = 5
PI_FLAGS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of a Raspberry Pi's ``vcgencmd get_throttled``; 16 higher: it was so since boot."""


def python() -> Finding:
    """A Python that edgefer runs on."""
    version, bits = sys.version_info[:2], 64 if sys.maxsize > 2**32 else 32
    told = f"{platform.python_version()}, {bits}-bit, {platform.machine()}"
    if bits == 32:
        return Finding("python", BROKEN, told, "install a 64-bit system: the engines have no 32-bit wheels")
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        return Finding("python", BROKEN, told, "install Python 3.11, 3.12 or 3.13 and edgefer in it")
    return Finding("python", OK, told)


def cpu(root: Path = ROOT, machine: str | None = None) -> Finding:
    """The CPU has the instructions that the wheels were built with."""
    machine = machine or platform.machine()
    text = _read(root / "proc/cpuinfo") or ""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    flags, needs = set(found[1].split()) if found else set(), CPU_NEEDS.get(canonical(machine))
    if needs is None:
        return Finding("cpu", BROKEN, f"no engine has wheels for {machine}", "use an x86-64 or 64-bit ARM machine")
    if not flags:
        return Finding("cpu", WARNING, "/proc/cpuinfo does not tell its flags", "see whether /proc is mounted")
    lacking = [flag for flag in needs if flag not in flags]
    if lacking:
        told = f"it lacks {', '.join(lacking)}, which the wheels of numpy and the engines use"
        return Finding(
            "cpu",
            BROKEN,
            told,
            "install builds for this CPU (the distribution's packages), or use another",
        )
    fast = [flag for flag in ("avx2", "avx512_vnni", "avx_vnni", "asimddp", "i8mm") if flag in flags]
    return Finding("cpu", OK, f"{machine}, has what the wheels need; fast paths: {', '.join(fast) or 'none'}")


def wheels() -> Finding:
    """The wheels that are installed are for this machine and this C library."""
    libc, version = platform.libc_ver()
    have = tuple(int(part) for part in version.split(".")[:2]) if libc == "glibc" and version else None
    problems, known = [], []
    for name in PACKAGES:
        tags = _tags(name)
        known += [name] if tags else []
        problem = tags and _wheel_problem(tags, have)
        problems += [f"{name} {problem}"] if problem else []
    told = f"{libc or 'unknown C library'} {version}".strip()
    if problems:
        remedy = (
            "install wheels for this machine: pip install --force-reinstall, on the device itself; or a newer system"
        )
        return Finding("wheels", BROKEN, f"{'; '.join(problems)} (here: {told}, {platform.machine()})", remedy)
    return Finding("wheels", OK, f"{told} suits {', '.join(known) or 'nothing installed from a wheel'}")


def _tags(name: str) -> list[str]:
    """Platforms a wheel says it is for."""
    try:
        text = metadata.distribution(name).read_text("WHEEL") or ""
    except metadata.PackageNotFoundError:
        return []
    return [line.rsplit("-", 1)[1] for line in text.splitlines() if line.startswith("Tag: ") and line.count("-") >= 2]


def _wheel_problem(tags: list[str], have: tuple[int, ...] | None) -> str | None:
    machine = canonical(platform.machine())
    here = [tag for tag in tags if tag == "any" or tag.endswith(machine)]
    if not here:
        return f"is a wheel for {', '.join(sorted(tags))}"
    needed = min(map(least_glibc, here))
    return f"needs glibc {needed[0]}.{needed[1]}" if have and needed > have else None


def camera(root: Path = ROOT) -> Finding:
    """A camera is there and may be opened."""
    devices = sorted((root / "dev").glob("video*"))
    if not devices:
        remedy = "connect one and see `dmesg`; a Pi's own camera comes by rpicam-vid and --source -"
        return Finding("camera", WARNING, "no /dev/video* is here (files and streams need none)", remedy)
    closed = [device.name for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        remedy = "sudo usermod -aG video $USER, then log in again"
        return Finding("camera", WARNING, f"{', '.join(closed)} may not be opened by this user", remedy)
    names = [f"/dev/{device.name}" for device in devices]
    return Finding("camera", OK, f"{', '.join(names)} can be opened")


def speed(root: Path = ROOT) -> Finding:
    """Nothing slows the CPU down: governor, heat, a Pi's power supply."""
    cpus = root / "sys/devices/system/cpu"
    governors = {text for path in cpus.glob("cpu*/cpufreq/scaling_governor") if (text := _read(path))}
    hot = [f"{zone} {celsius:.0f} °C" for zone, celsius in temperatures(root).items() if celsius >= HOT_C]
    events = sum(int(_read(path) or 0) for path in cpus.glob("cpu*/thermal_throttle/*_throttle_count"))
    pi = _throttled_pi()
    if pi:
        return Finding("speed", WARNING, f"the Pi says: {pi}", "use its own power supply, a heat sink and a fan")
    if hot:
        return Finding("speed", WARNING, f"it is hot: {', '.join(hot)}", "cool it, or give it fewer threads")
    if "powersave" in governors:
        remedy = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        return Finding("speed", WARNING, "the governor is powersave", remedy)
    if events:
        return Finding("speed", WARNING, f"the CPU was throttled by heat {events} times since boot", "cool it")
    told = f"governor {', '.join(sorted(governors)) or 'not told'}"
    return Finding("speed", OK, f"{told}, {'no throttling' if temperatures(root) else 'temperatures not told'}")


def temperatures(root: Path = ROOT) -> dict[str, float]:
    """Degrees Celsius of each thermal zone that can be read."""
    zones = {zone: _read(zone / "temp") for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*"))}
    return {_read(zone / "type") or zone.name: int(text) / 1000 for zone, text in zones.items() if text}


def _throttled_pi() -> str:
    tool = shutil.which("vcgencmd")
    if not tool:
        return ""
    try:
        said = subprocess.run([tool, "get_throttled"], capture_output=True, text=True, timeout=5).stdout
        bits = int(said.partition("=")[2].strip() or "0", 16)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    now = [told for bit, told in PI_FLAGS.items() if bits >> bit & 1]
    before = [f"{told} since boot" for bit, told in PI_FLAGS.items() if bits >> (bit + 16) & 1 and told not in now]
    return ", ".join(now + before)


def memory(root: Path = ROOT) -> Finding:
    """There is room for a loop: 64 MB without OpenCV, 120 MB with it."""
    text = _read(root / "proc/meminfo") or ""
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    if not found:
        return Finding(
            "memory", WARNING, "/proc/meminfo does not tell what is available", "see whether /proc is mounted"
        )
    bounds = {"available": int(found[1]) * 1024 // MB, **_cgroup(root)}
    what, least = min(bounds.items(), key=lambda item: item[1])
    told = f"{least} MB {what}"
    if least < LEAST_MEMORY_MB:
        return Finding(
            "memory", BROKEN, told, f"end other programs, or raise the limit: {LEAST_MEMORY_MB} MB are needed"
        )
    if least < GOOD_MEMORY_MB:
        return Finding("memory", WARNING, told, "with OpenCV 120 MB are needed; end other programs")
    return Finding("memory", OK, told)


def _cgroup(root: Path) -> dict[str, int]:
    """What a container may still take."""
    folder = root / "sys/fs/cgroup"
    limit, used = _read(folder / "memory.max"), _read(folder / "memory.current")
    if limit and limit.isdecimal() and used:
        return {"left of the container's": (int(limit) - int(used)) // MB}
    return {}


def disk(folder: str | None = None) -> Finding:
    """There is room for logs, and the disk can be written to."""
    place = Path(folder or ".").resolve()
    place = place if place.exists() else Path.cwd()
    free = shutil.disk_usage(place).free // MB
    if free < LEAST_DISK_MB:
        return Finding("disk", WARNING, f"{free} MB are free at {place}", "make room: logs and videos need it")
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return Finding("disk", OK, f"{place} is read-only, {free} MB free; logs must go elsewhere")
    return Finding("disk", OK, f"{free} MB are free at {place}")


def clock(now: float | None = None) -> Finding:
    """The time of day is plausible. Tracks and smoothing do not use it; logs and certificates do."""
    now = time.time() if now is None else now
    told = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    remedy = "sudo timedatectl set-ntp true (a Pi has no clock of its own without the network)"
    installed = Path(__file__).stat().st_mtime
    if now < max(EARLIEST, installed - 86400):
        return Finding("clock", WARNING, f"it says {told}, which is before edgefer was installed", remedy)
    if _unsynchronised():
        return Finding(
            "clock", WARNING, f"{told}; nothing keeps it right (smoothing and tracks do not need it)", remedy
        )
    return Finding("clock", OK, told)


def _unsynchronised() -> bool:
    """What the kernel says; False where it does not tell."""
    try:
        return (
            ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) == CLOCK_UNSYNCHRONISED
        )  # modes 0: only asks
    except (AttributeError, OSError):
        return False


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None
