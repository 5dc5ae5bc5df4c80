"""The doctor: what on this machine would stop a bundle, or spoil its answers, with the remedy. Standard library only.

Each check runs in a process of its own (``edgefer.doctor.child``), so that a package that kills Python, as one built for
another CPU does, is a finding and not the end of the doctor.
"""

import json
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

OK, WARNING, BROKEN = "ok", "warning", "broken"
PATIENCE_S = 120
"""Longest time of one check; OpenVINO on a cold SD card takes some 20 s to load."""
ABI_SIGNS = (
    "_ARRAY_API not found",
    "compiled using NumPy 1.x cannot be run in",
    "numpy.core.multiarray failed to import",
    "numpy._core.multiarray failed to import",
    "numpy.dtype size changed",
    "compiled against API version",
    "compiled against ABI version",
    "CreateWrapperFromFile",
)
"""What numpy, Cython, pybind11 and tflite-runtime say when a package was built for another numpy."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    status: str
    """ok, warning (it runs, but may hurt) or broken (it does not run)."""
    told: str
    remedy: str = ""

    def line(self) -> str:
        """For a person."""
        mark = {OK: "ok", WARNING: "WARNING", BROKEN: "BROKEN"}[self.status]
        return f"{mark:<8} {self.check:<18} {self.told}" + (f" → {self.remedy}" if self.remedy else "")

    def to_json(self) -> dict:
        return asdict(self)


def examine(
    bundle: str | Path | None = None, python: list[str] | None = None, on=lambda _finding: None
) -> list[Finding]:
    """Run every check.

    Args:
        bundle: a bundle's folder, to be loaded and replayed; None: the machine alone.
        python: what starts the interpreter to be examined; default: this one.
        on: called with each finding as it comes; an engine's may be mitigated later, when the bundle runs without it.
    """
    from edgefer.doctor import child

    names = [name for name in child.CHECKS if bundle or name not in child.OF_A_BUNDLE]
    findings = []
    for name in names:
        found = _examined(name, bundle, python or [sys.executable])
        findings += [found] if found else []
        if found and not (bundle and found.check.startswith("engine")):
            on(found)
    return _weighed(findings, bool(bundle), on)


def _weighed(findings: list[Finding], has_bundle: bool, on) -> list[Finding]:
    """Whether a broken engine matters: without a bundle every one does; with one, if the bundle does not run."""
    runs = any(found.check == "model" and found.status != BROKEN for found in findings)
    weighed = []
    for found in findings:
        if found.check.startswith("engine") and has_bundle:
            spare = runs and found.status == BROKEN
            found = (
                replace(found, status=WARNING, told=f"{found.told} (the bundle runs without it)") if spare else found
            )
            on(found)
        weighed.append(found)
    if not any(found.check.startswith("engine") for found in findings):
        none = Finding("engine", BROKEN, "no engine is installed", "pip install 'edgefer[litert]'")
        on(none)
        weighed.append(none)
    return weighed


def _examined(name: str, bundle, python: list[str]) -> Finding | None:
    """None where there is nothing to say."""
    command = [*python, "-m", "edgefer.doctor.child", name, *([str(bundle)] if bundle else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return Finding(name, BROKEN, f"did not answer within {PATIENCE_S} s", "see whether the machine hangs or swaps")
    except OSError as error:
        return Finding(name, BROKEN, f"could not be examined ({error.strerror})", "install Python and edgefer again")
    if done.returncode:
        return _crashed(name, done.returncode, done.stderr)
    said = json.loads(done.stdout.strip().splitlines()[-1])
    found = said and Finding(**said)
    if found and found.status == OK and any(sign in done.stderr for sign in ABI_SIGNS):
        return abi(found.check, done.stderr)
    return found


def _crashed(name: str, code: int, stderr: str) -> Finding:
    if -code == signal.SIGILL or "Illegal instruction" in stderr:
        told = "Python was killed by SIGILL: a library uses instructions that this CPU does not have"
        remedy = f"install a build for this CPU or the version that ran before: {_pin(name)}"
    elif code < 0:
        told = f"Python was killed by {_signal(-code)}"
        remedy = f"install the package again; if it stays so, the version that ran before: {_pin(name)}"
    else:
        told = f"the check ended with code {code}: {_last(stderr)}"
        remedy = "install edgefer again"
    return Finding(name, BROKEN, told, remedy)


def _pin(name: str) -> str:
    package = {"model": "the engine"}.get(name, name.removeprefix("engine "))
    return (
        f"pip install '{package}==VERSION'" if package != "the engine" else "pip install of the engine with ==VERSION"
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it left no message"


def abi(check: str, said: str) -> Finding:
    """The finding for a package that was built for another numpy."""
    sign = next((line.strip() for line in said.splitlines() if any(sign in line for sign in ABI_SIGNS)), _last(said))
    return Finding(
        check,
        BROKEN,
        f"it was built for another numpy than the one installed: {sign[:160]}",
        "pip install a newer version of the package, or the numpy it was built for (pip install 'numpy<2')",
    )
