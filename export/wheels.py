"""``wheels/``: what a device without a network needs to run a bundle: the runtime itself, numpy, an engine, pip to install all.

On the device ``edgefer flash`` installs them; by hand it is
``python3 wheels/pip-*.whl/pip install --no-index --find-links wheels --target DIR 'edgefer[litert]'``.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from edgefer.engines import ENGINES
from edgefer.errors import EnvironmentInvalid, UsageError
from edgefer.files import read_json, sha256, write_json
from edgefer.platforms import canonical
from edgefer.targets import Target

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
FOLDER, LIST, SCHEMA = "wheels", "wheels.json", 1
PIP = "pip==26.3"
"""Goes along because Debian's Python comes without it; pinned so that the same inputs give the same bytes."""
PYTHONS = ("3.11", "3.12", "3.13")
GLIBC_MINORS = (36, 35, 34, 31, 28, 27, 17)
"""Wheels for glibc up to 2.36: Debian 12, the oldest system with a Python that the runtime supports."""
PATIENCE_S = 1800


def machine_of(target: Target) -> str:
    """The architecture that a target's wheels are for.

    Raises:
        UsageError: nobody publishes wheels for it, or devices.yaml does not say what it is.
    """
    reach = target.reach
    if reach["kind"] == "adb":
        raise UsageError(
            f"no wheels are published for Android, which {target.name} is; in Termux: pkg install python-numpy, and the engine"
        )
    machine = "aarch64" if reach["kind"] == "emulated" else reach.get("machine", "")
    machine = canonical(machine)
    if machine not in ("x86_64", "aarch64"):
        raise UsageError(
            f"--wheels needs to know the architecture of {target.name}: set reach.machine to x86_64 or aarch64"
        )
    return machine


def wanted(target: Target, python: str, camera: bool) -> dict:
    """What the wheels of a target are chosen by: ``{machine, python, extras, runtime, constraints}``.

    Raises:
        UsageError: no such Python, or as ``machine_of``.
    """
    if python not in PYTHONS:
        raise UsageError(f"--wheels {python}: the runtime supports Python {', '.join(PYTHONS)}")
    runtime = (path for folder in ("edgefer", "web") for path in (ROOT / "runtime" / folder).rglob("*"))
    files = [
        ROOT / "pyproject.toml",
        *sorted(path for path in runtime if not {"__pycache__", "node_modules"} & set(path.parts)),
    ]
    code = " ".join(sha256(path) for path in files if path.is_file())
    return {
        "schema": SCHEMA,
        "machine": machine_of(target),
        "python": python,
        "extras": [ENGINES[target.engine].extra, *(["camera"] if camera else [])],
        "runtime": _digest(code),
        "constraints": sha256(CONSTRAINTS),
    }


def are_there(folder: Path, choice: dict) -> bool:
    """Whether a bundle has the wheels of a choice already."""
    path = folder / FOLDER / LIST
    return path.is_file() and {k: v for k, v in read_json(path).items() if k != "wheels"} == choice


def add(folder: Path, choice: dict) -> list[Path]:
    """Put the wheels of a choice into a bundle that is not sealed yet; the files.

    Raises:
        EnvironmentInvalid: they cannot be built, downloaded, or do not install together.
    """
    place = folder / FOLDER
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    _run("building the runtime's wheel", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(ROOT))
    (own,) = place.glob("edgefer-*.whl")
    requirement = f"{own}[{','.join(choice['extras'])}]"
    _run("downloading wheels", "pip", "download", "--dest", str(place), *_pip_words(choice), requirement, PIP)
    with tempfile.TemporaryDirectory() as nowhere:
        offline = ("--no-index", "--find-links", str(place), "--target", nowhere, "--dry-run")
        name = f"edgefer[{','.join(choice['extras'])}]"
        _run("installing from the wheels", "pip", "install", *offline, *_pip_words(choice), name)
    found = sorted(place.glob("*.whl"))
    write_json(place / LIST, {**choice, "wheels": [_described(path) for path in found]})
    return found


def _pip_words(choice: dict) -> list[str]:
    machine = choice["machine"]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS] + [f"manylinux2014_{machine}"]
    words = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--constraint", str(CONSTRAINTS)]
    words += ["--implementation", "cp", "--python-version", choice["python"]]
    return words + [word for platform in platforms for word in ("--platform", platform)]


def _described(path: Path) -> dict:
    """Name, version and licence, as the wheel itself says."""
    with zipfile.ZipFile(path) as file:
        (name,) = (n for n in file.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        head = HeaderParser().parsestr(file.read(name).decode())
    classifiers = [c.split(" :: ")[-1] for c in head.get_all("Classifier", []) if c.startswith("License ::")]
    stated = head.get("License-Expression") or "; ".join(classifiers) or (head.get("License") or "").split("\n")[0]
    return {"file": path.name, "name": head["Name"], "version": head["Version"], "licence": stated or "see the wheel"}


def _run(what: str, module: str, *words: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *words], capture_output=True, text=True, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentInvalid(f"{what} took over {PATIENCE_S} s; try again with a better connection") from None
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
        raise EnvironmentInvalid(f"{what} failed: {lines[-1] if lines else 'it left no message'}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
