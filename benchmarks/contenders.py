"""Who is measured against whom: the jobs of the workers. Names only; nothing runs here."""

from dataclasses import dataclass

from benchmarks.reach.about import About
from edgefer.bundle import Bundle
from edgefer.targets import Target

TARGET, EAGER, ORT, SAME = "target", "eager_fp32", "onnxruntime_fp32", "same_engine_fp32"
BASELINE = "baseline"
"""An earlier run's artifact, timed again beside today's."""


@dataclass(frozen=True)
class Earlier:
    """The artifact of an accepted baseline."""

    job: dict
    """What its worker is told."""
    files: dict[str, str]
    """Its files → hex SHA-256, as its own record names them."""


@dataclass(frozen=True)
class Field:
    """The contenders of one run."""

    jobs: dict[str, dict]
    """Role → what its worker is told. Roles are those above and, on request, ``engine/precision``."""
    absent: dict[str, str]
    """Role → why it could not take part."""


def field(bundle: Bundle, target: Target, about: About, every: bool = False) -> Field:
    """The target's artifact and its references, as far as its device has what they need.

    With ``every``, each other artifact of the bundle whose engine is there as well.
    """
    jobs, absent = {TARGET: artifact_job(bundle, target.engine, target.precision, target.threads)}, {}
    if target.reach["kind"] != "local":
        absent[EAGER] = "eager PyTorch is not put on devices"
    elif about.torch:
        jobs[EAGER] = {"kind": "eager", "system": bundle.spec.system, "threads": target.threads}
    else:
        absent[EAGER] = "torch is not installed here (pip install 'edgefer[workshop]')"
    _reference(jobs, absent, ORT, bundle, "onnxruntime", target.threads, about)
    if target.engine != "onnxruntime" and target.precision != "fp32":
        _reference(jobs, absent, SAME, bundle, target.engine, target.threads, about)
    if every:
        jobs |= {a.name: artifact_job(bundle, a.engine, a.precision, target.threads) for a in runnable(bundle, about)}
    return Field(jobs, absent)


def files(bundle: Bundle, target: Target, earlier: Earlier | None = None) -> dict[str, dict[str, str]]:
    """Role → files and hashes of what it runs, for whoever compares records; eager PyTorch has none."""
    pairs = {TARGET: (target.engine, target.precision), ORT: ("onnxruntime", "fp32"), SAME: (target.engine, "fp32")}
    there = {(a.engine, a.precision): a.files for a in bundle.artifacts}
    found = {role: there[pair] for role, pair in pairs.items() if pair in there}
    return found | ({BASELINE: earlier.files} if earlier else {})


def runnable(bundle: Bundle, about: About) -> list:
    """The bundle's artifacts whose engine the device has."""
    return [a for a in bundle.artifacts if a.engine in about.engines]


def artifact_job(bundle: Bundle, engine: str, precision: str, threads: int) -> dict:
    """The job of one artifact; an unknown one is a UsageError listing those that exist."""
    model = bundle.folder / bundle.artifact(engine, precision).file
    shape = list(bundle.spec.crop_shape)
    return {"kind": "artifact", "engine": engine, "model": str(model.resolve()), "threads": threads, "shape": shape}


def _reference(jobs: dict, absent: dict, role: str, bundle: Bundle, engine: str, threads: int, about: About) -> None:
    if engine not in about.engines:
        absent[role] = f"{engine} is not installed (pip install 'edgefer[{engine}]')"
    elif not any((a.engine, a.precision) == (engine, "fp32") for a in bundle.artifacts):
        absent[role] = f"the bundle has no {engine}/fp32"
    else:
        jobs[role] = artifact_job(bundle, engine, "fp32", threads)
