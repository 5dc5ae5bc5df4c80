"""What a model costs beside time: memory and cold start, each in fresh processes of their own, and installed size.

A device gets this module too, for the installed size: at run time it imports the standard library only.
"""

import re
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.reach import Device

STEADY_INFERENCES = 100
PHASES = {
    "start": ("spawned_ns", "imported_ns"),
    "import": ("imported_ns", "engine_ns"),
    "load": ("engine_ns", "loaded_ns"),
    "first": ("loaded_ns", "answered_ns"),
    "total": ("spawned_ns", "answered_ns"),
}
"""Phase of a cold start → when it begins and ends. start: the interpreter, numpy and edgefer; import: the engine's package;
load: reading and compiling the model; first: the first inference. The files are in the page cache."""


def memory(job: dict, device: "Device") -> dict[str, dict[str, int]]:
    """Bytes of a fresh process at four stages, {stage: {vm_hwm, vm_rss, pss}}. It runs the model and nothing else."""
    with device.worker(job) as worker:
        stages = {"baseline": worker.ask("memory")}
        worker.ask("load")
        stages["loaded"] = worker.ask("memory")
        worker.ask("first")
        stages["first"] = worker.ask("memory")
        worker.ask("run", n=STEADY_INFERENCES)
        stages["steady"] = worker.ask("memory")
    return stages


def cold_start(job: dict, device: "Device") -> dict[str, float]:
    """Milliseconds of each phase from spawning a process to its first answer."""
    with device.worker(job) as worker:
        times = worker.start()
    return phases(times)


def phases(times: dict[str, int]) -> dict[str, float]:
    """The phases between a worker's time stamps (nanoseconds), in milliseconds."""
    return {name: (times[end] - times[begin]) / 1e6 for name, (begin, end) in PHASES.items()}


def installed_mb(top_level: tuple[str, ...]) -> float | None:
    """MB (10⁶ bytes) of the distributions that give these modules, with all they require and numpy; None if none is here."""
    owners = metadata.packages_distributions()
    waiting = [name for module in top_level for name in owners.get(module, [])]
    waiting += ["numpy"] if waiting else []
    seen: dict[str, int] = {}
    while waiting:
        name = _plain(waiting.pop())
        if name in seen:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # a requirement for another platform
            continue
        seen[name] = sum(_size(file) for file in distribution.files or ())
        waiting += [line for line in distribution.requires or () if "extra ==" not in line]
    return sum(seen.values()) / 1e6 if seen else None


def _plain(requirement: str) -> str:
    """The distribution's name in a requirement such as ``numpy>=1.23; python_version < "3.12"``."""
    return re.match(r"[A-Za-z0-9._-]+", requirement).group().lower().replace("_", "-")


def _size(file: metadata.PackagePath) -> int:
    path = file.locate()
    return path.stat().st_size if path.is_file() else 0
