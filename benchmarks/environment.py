"""Environment fingerprint: what a figure depends on beside the code. Read from the system; None where it does not tell.

A device gets this module too: it imports the standard library only.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm")
"""CPU flags that decide which kernels an engine picks: vector width, int8 dot products, bf16."""
PACKAGES = (
    "edgefer", "numpy", "torch", "nncf", "onnx", "onnxruntime", "openvino", "ai-edge-litert", "tflite-runtime",
    "ai-edge-quantizer", "litert-torch", "opencv-python-headless", "opencv-python",
)  # fmt: skip


def fingerprint() -> dict:
    """Of this machine, as one JSON object, with the checkout's state."""
    return {**machine(), "git": git(Path(__file__).parent)}


def machine() -> dict:
    """Of the machine this runs on, without a checkout: what a device is asked for."""
    return {
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cpu": cpu(),
        "memory_total_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average_at_start": load_average(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "packages": packages(),
    }


def cpu() -> dict:
    """Model, flags that matter, cores, affinity, governor, frequency, temperature, throttling."""
    text = _read("/proc/cpuinfo") or ""
    flags = set((_field(text, "flags") or _field(text, "Features") or "").split())
    return {
        "model": _field(text, "model name") or _field(text, "Model") or _board() or platform.processor() or None,
        "machine": platform.machine(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "affinity": sorted(os.sched_getaffinity(0)),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "mhz": _mhz(text),
        "temperature_c": temperatures(),
        "throttled": _throttled(),
    }


def climate() -> dict:
    """What may change while a run lasts, of the machine that asks; None or empty where it does not tell.

    Returns:
        temperature_c: {zone: °C}; mhz: of the first core; throttle_events: thermal events that the processor counted since
        boot; throttled: a Raspberry Pi's word; ticks: {total, steal} of processor time since boot, in clock ticks.
    """
    events = [_read(path) for path in Path("/sys/devices/system/cpu").glob("cpu*/thermal_throttle/*_throttle_count")]
    return {
        "temperature_c": temperatures(),
        "mhz": _mhz(_read("/proc/cpuinfo") or ""),
        "throttle_events": sum(int(count) for count in events if count) if events else None,
        "throttled": _throttled(),
        "ticks": ticks(_read("/proc/stat") or ""),
    }


def ticks(stat: str) -> dict[str, int] | None:
    """Processor time of all cores in the text of /proc/stat; None where there is none."""
    words = stat.partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    counts = [int(word) for word in words[1:9]]  # user, nice, system, idle, iowait, irq, softirq, steal
    return {"total": sum(counts), "steal": counts[7]}


def load_average() -> list[float] | None:
    """Over 1, 5 and 15 minutes; None where it is a secret, as on some Androids."""
    try:
        return list(os.getloadavg())
    except OSError:
        return None


def temperatures(root: Path = Path("/sys/class/thermal")) -> dict[str, float]:
    """Degrees Celsius of each thermal zone that can be read; empty in most virtual machines."""
    zones = {zone: _read(zone / "temp") for zone in sorted(root.glob("thermal_zone*"))}
    return {_read(zone / "type") or zone.name: int(value) / 1000 for zone, value in zones.items() if value}


def packages() -> dict[str, str]:
    """Versions of those of ``PACKAGES`` that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def runtime_sha256() -> str:
    """Hex SHA-256 of the code that is timed, edgefer's and the worker's: other code may be slower with the same artifact."""
    edgefer = Path(__file__).parents[1] / "runtime" / "edgefer"
    digest = hashlib.sha256()
    for path in [*sorted(edgefer.rglob("*.py")), Path(__file__).with_name("worker.py")]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def git(folder: Path) -> dict | None:
    """Commit, and whether the working tree differs from it; None outside a checkout."""
    commit = _output("git", "-C", str(folder), "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_output("git", "-C", str(folder), "status", "--porcelain"))}


def _board() -> str | None:
    """What an ARM device calls itself: its device tree, or Android's own word."""
    told = (_read("/proc/device-tree/model") or "").rstrip("\0")
    return told or (_output("getprop", "ro.product.model") if shutil.which("getprop") else None)


def _mhz(cpuinfo: str) -> float | None:
    current = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    told = _field(cpuinfo, "cpu MHz")
    return int(current) / 1000 if current else float(told) if told else None


def _throttled() -> str | None:
    """A Raspberry Pi's own word on undervoltage and throttling since boot, ``throttled=0x0`` when there was none."""
    return _output("vcgencmd", "get_throttled") if shutil.which("vcgencmd") else None


def _field(text: str, name: str) -> str | None:
    pairs = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for key, _, value in pairs if key.strip() == name), None)


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
