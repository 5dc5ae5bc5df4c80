"""Targets: the entries of ``devices.yaml``. How a device is reached, what it runs, what it must keep.

It knows the file's form and whether a device answers. It does not know what the budgets' names mean: the benchmarks do.
"""

import os
import platform
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass, field, fields
from pathlib import Path

from edgefer.bundle import PRECISIONS
from edgefer.engines import ENGINES
from edgefer.errors import EnvironmentInvalid, InputRejected, unknown
from edgefer.platforms import canonical

SCHEMA = 1
FILE = "devices.yaml"
REACH = {
    "local": {"machine": str},
    "ssh": {"host": str, "user": str, "port": int},
    "adb": {"serial": str},
    "emulated": {"cpu": str, "root": str},
}
"""Kind of reach → its fields, all required; an empty host or serial is one that is not configured yet."""
_ANY = {"path": str, "machine": str}
REACH_OPTIONAL = {
    "local": {"path": str},
    "ssh": {"python": str, "identity": str, "options": list, **_ANY},
    "adb": {"python": str, **_ANY},
}
"""Kind of reach → fields it may have as well."""
EMULATED_CPUS = ("cortex-a72", "cortex-a76")
QEMU = "qemu-aarch64-static"
TOLD = {str: "text", int: "a whole number", list: "a list of texts"}
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
"""Of a target; it is part of files' names."""
MAX_MARGIN = 0.5
AUTO = "auto"
"""``vnni: auto``: what this machine's CPU says, for a local target; false for another."""


@dataclass(frozen=True)
class Budget:
    """A bound on one metric: exactly one of the two is a number."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Target:
    """One entry of ``devices.yaml``; that file's head comment says what each field means."""

    name: str
    description: str
    reach: dict
    engine: str
    precision: str
    threads: int
    vnni: bool
    margin_points: float
    budgets: dict[str, Budget] = field(default_factory=dict)


def default_path() -> Path:
    """The checkout's ``devices.yaml`` where edgefer runs from one, otherwise the current directory's."""
    checkout = Path(__file__).parents[2] / FILE
    return checkout if checkout.is_file() else Path(FILE)


def load(path: str | Path | None = None) -> dict[str, Target]:
    """Read targets by name; None reads ``default_path()``.

    Raises:
        InputRejected: missing, not YAML, or with unknown, missing or impossible fields; all problems at once.
        EnvironmentInvalid: PyYAML is not installed.
    """
    path = Path(path or default_path())
    value = _read(path)
    problems = _file_problems(value)
    entries = value.get("targets") if isinstance(value, dict) else None
    for name, entry in (entries if isinstance(entries, dict) else {}).items():
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            problems.append(f"{name!r}: a target's name, in quotes where it is a number, is of letters, digits and ._-")
        problems += [f"{name}: {problem}" for problem in _target_problems(entry)]
    if problems:
        raise InputRejected(f"{path}: {'; '.join(problems)}")
    return {name: _target(name, entry, path.parent) for name, entry in entries.items()}


def get(name: str, path: str | Path | None = None) -> Target:
    """One target; an unknown name is a UsageError listing those that exist."""
    targets = load(path)
    if name not in targets:
        raise unknown("target", name, targets, Path(path or FILE).name)
    return targets[name]


def _read(path: Path):
    try:
        import yaml
    except ModuleNotFoundError:
        raise EnvironmentInvalid(f"reading {path} needs PyYAML; run: pip install 'edgefer[workshop]'") from None
    try:
        text = path.read_text(encoding="utf-8")
        twice = _repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader))
        value = yaml.safe_load(text)
    except FileNotFoundError:
        raise InputRejected(f"{path} is missing; run from the checkout or name the file") from None
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:  # no UTF-8, no date, odd keys
        raise InputRejected(f"{path} cannot be read as YAML ({' '.join(str(error).split())})") from None
    if twice:
        raise InputRejected(f"{path}: {'; '.join(twice)}")
    return value


def _repeated_keys(node) -> list[str]:
    """YAML lets a later key replace an earlier one without a word; here that is a mistake."""
    if node is None or isinstance(node.value, str):
        return []
    if not node.tag.endswith(":map"):
        return [problem for child in node.value for problem in _repeated_keys(child)]
    keys = [key.value for key, _ in node.value]
    twice = [
        f"'{key}' is there twice (line {node.start_mark.line + 1} on)"
        for key in dict.fromkeys(keys)
        if keys.count(key) > 1
    ]
    return twice + [problem for _, child in node.value for problem in _repeated_keys(child)]


def _file_problems(value) -> list[str]:
    if not isinstance(value, dict):
        return ["it must hold 'schema' and 'targets'"]
    problems = [f"field '{name}' is unknown" for name in value if name not in ("schema", "targets")]
    if value.get("schema") != SCHEMA:
        problems.append(f"schema {value.get('schema')!r} is not {SCHEMA}, the one this version reads")
    if not (isinstance(value.get("targets"), dict) and value["targets"]):
        problems.append("'targets' must be a mapping of at least one name")
    return problems


def _target_problems(entry) -> list[str]:
    if not isinstance(entry, dict):
        return ["it must be a mapping of fields"]
    known = [f.name for f in fields(Target) if f.name != "name"]
    problems = [f"field '{name}' is missing" for name in known if name not in entry]
    problems += [f"field '{name}' is unknown" for name in entry if name not in known]
    for name, check in CHECKS.items():
        problems += check(entry[name]) if name in entry else []
    return problems


def _description_problems(value) -> list[str]:
    return [] if isinstance(value, str) and value else ["'description' must be text"]


def _reach_problems(value) -> list[str]:
    if not (isinstance(value, dict) and isinstance(value.get("kind"), str) and value["kind"] in REACH):
        return [f"'reach' must have a 'kind' that is one of {', '.join(REACH)}"]
    wanted, kind = REACH[value["kind"]], value["kind"]
    known = {"kind": str, **wanted, **REACH_OPTIONAL.get(kind, {})}
    problems = [f"reach of kind {kind} needs '{name}'" for name in wanted if name not in value]
    problems += [f"reach of kind {kind} has no '{name}'" for name in value if name not in known]
    for name, type_ in known.items():
        if name in value and not _is_of(value[name], type_):
            problems.append(f"reach.{name} must be {TOLD[type_]}, not {value[name]!r}")
    return problems or _reach_value_problems(value)


def _reach_value_problems(value: dict) -> list[str]:
    problems = []
    if not 0 < value.get("port", 1) < 65536:
        problems.append(f"reach.port must be from 1 to 65535, not {value['port']}")
    if value.get("cpu", EMULATED_CPUS[0]) not in EMULATED_CPUS:
        problems.append(f"reach.cpu {value['cpu']!r} is not one of {', '.join(EMULATED_CPUS)}")
    if not value.get("path", "/").startswith(("/", "~/")):
        problems.append(f"reach.path must begin with / or ~/, not {value['path']!r}")
    dashed = [name for name in ("host", "user", "serial") if value.get(name, "").startswith("-")]
    return problems + [f"reach.{name} must not begin with a dash, which tools take for an option" for name in dashed]


def _is_of(value, type_: type) -> bool:
    return type(value) is type_ and (type_ is not list or all(isinstance(item, str) for item in value))


def _engine_problems(value) -> list[str]:
    names = [name for name in ENGINES if name != "null"]
    return [] if value in names else [f"engine {value!r} is not one of {', '.join(names)}"]


def _precision_problems(value) -> list[str]:
    return [] if value in PRECISIONS else [f"precision {value!r} is not one of {', '.join(PRECISIONS)}"]


def _threads_problems(value) -> list[str]:
    return [] if type(value) is int and value >= 1 else [f"threads must be a whole number of at least 1, not {value!r}"]


def _vnni_problems(value) -> list[str]:
    return [] if isinstance(value, bool) or value == AUTO else [f"vnni must be true or false or auto, not {value!r}"]


def _margin_problems(value) -> list[str]:
    return (
        []
        if _is_number(value) and 0 <= value <= MAX_MARGIN
        else [f"margin_points must be from 0 to {MAX_MARGIN}, not {value!r}"]
    )


def _budgets_problems(value) -> list[str]:
    if not isinstance(value, dict):
        return ["'budgets' must be a mapping of metric names"]
    strange = [f"budget {name!r} must be the name of a metric" for name in value if not isinstance(name, str)]
    return strange + [
        f"budget {name}: {problem}" for name, budget in value.items() for problem in _budget_problems(budget)
    ]


def _budget_problems(budget) -> list[str]:
    if not isinstance(budget, dict) or len(budget) != 1 or not budget.keys() <= {"min", "max"}:
        return ["it must have exactly one of 'min' and 'max'"]
    return [f"{bound} must be a number, not {number!r}" for bound, number in budget.items() if not _is_number(number)]


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


CHECKS = {
    "description": _description_problems,
    "reach": _reach_problems,
    "engine": _engine_problems,
    "precision": _precision_problems,
    "threads": _threads_problems,
    "vnni": _vnni_problems,
    "margin_points": _margin_problems,
    "budgets": _budgets_problems,
}


def _target(name: str, entry: dict, folder: Path) -> Target:
    budgets = {metric: Budget(**budget) for metric, budget in entry["budgets"].items()}
    reach = entry["reach"]
    reach = {**reach, "root": str(folder / reach["root"])} if "root" in reach else reach
    vnni = _has_vnni(entry["reach"]["kind"]) if entry["vnni"] == AUTO else entry["vnni"]
    margin = float(entry["margin_points"])
    changed = {"reach": reach, "margin_points": margin, "vnni": vnni, "budgets": budgets}
    return Target(name=name, **{**entry, **changed})


def _has_vnni(reach: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this machine's CPU says it has VNNI; False for a target elsewhere, and where the CPU says nothing."""
    if reach != "local" or not cpuinfo.is_file():
        return False
    return bool({"avx512_vnni", "avx_vnni"} & set(cpuinfo.read_text().split()))


def unreachable_reason(target: Target) -> str | None:
    """Why nothing can be measured on the target from here, with what to do about it; None where something answers.

    Asked before anything is built; who it is that answers, and what it has, shows when it is used (``benchmarks.reach``).
    """
    checks = {"local": _local_reason, "ssh": _ssh_reason, "adb": _adb_reason, "emulated": _emulated_reason}
    check = checks[target.reach["kind"]]
    reason = check(target.name, target.reach)
    return reason and f"target '{target.name}' cannot be reached: {reason}"


def _local_reason(name: str, reach: dict) -> str | None:
    here, wanted = platform.machine().lower(), reach["machine"].lower()
    if platform.system() == "Linux" and canonical(here) == canonical(wanted):
        return None
    return (
        f"it is a Linux {wanted} machine and this is {platform.system()} {here}; "
        f"run there, or add a target for this machine to {FILE}"
    )


def _ssh_reason(name: str, reach: dict) -> str | None:
    host, port = reach["host"], reach["port"]
    if not host:
        return (
            f"set reach.host of {name} in {FILE} to the device's address "
            f"(a name or an IP at which ssh answers on port {port})"
        )
    address = _ssh_address(reach)
    try:
        if address:
            socket.create_connection(address, timeout=2).close()
    except (OSError, UnicodeError) as error:
        return (
            f"nothing answers at {address[0]}:{address[1]} ({error}); "
            f"switch it on, or correct reach.host and reach.port of {name} in {FILE}"
        )
    return None


def _ssh_address(reach: dict) -> tuple[str, int] | None:
    """Where ssh connects to by its configuration, in which a host may have another name; None by way of another machine."""
    options = [word for option in reach.get("options", []) for word in ("-o", option)]
    command = ["ssh", "-G", *options, "-p", str(reach["port"]), "-l", reach["user"], "--", reach["host"]]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return reach["host"], reach["port"]
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    if any(said.get(way, "none") != "none" for way in ("proxyjump", "proxycommand")):
        return None
    return said.get("hostname", reach["host"]), int(said.get("port", reach["port"]))


def _adb_reason(name: str, reach: dict) -> str | None:
    if not shutil.which("adb"):
        return "the tool adb is not installed; install it (Debian: apt-get install adb) and connect the device by USB"
    chosen = {**os.environ, **({"ANDROID_SERIAL": reach["serial"]} if reach["serial"] else {})}
    try:
        state = subprocess.run(["adb", "get-state"], env=chosen, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`adb get-state` does not answer ({error}); restart it with `adb kill-server`"
    if state.returncode or state.stdout.strip() != "device":
        said = " ".join((state.stderr or state.stdout).split()) or "no device"
        return (
            f"adb says '{said}'; connect the device, allow USB debugging on it, "
            f"and set reach.serial of {name} in {FILE} if there are several"
        )
    return None


def _emulated_reason(_name: str, reach: dict) -> str | None:
    if not shutil.which(QEMU):
        return f"the tool {QEMU} is not installed; install it (Debian: apt-get install qemu-user-static)"
    if not (Path(reach["root"]) / reach["cpu"]).is_dir():
        return f"{reach['root']} holds no arm64 system yet; run: python -m benchmarks.reach.emulated {reach['root']}"
    return None
