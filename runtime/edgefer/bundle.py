"""Bundle: a directory a device can run. Manifest, ModelSpec, artifacts, golden vectors, SHA256SUMS.

It knows files and names. It does not know how an artifact was made, nor whether its engine is installed here. Nothing
in a bundle depends on the time or place of its making: the same inputs give the same bytes.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath

from edgefer.errors import InputRejected, unknown
from edgefer.files import is_utf8, read_json, sha256, write_json, write_text
from edgefer.finder_spec import FinderModel, FinderSpec
from edgefer.spec import ModelSpec
from edgefer.sums import REMEDY, SIGNATURE, SUMS, read_sums

SCHEMA = 1
MANIFEST, SPEC = "bundle.json", "model.json"
FINDER = "finder/finder.json"
"""The FinderSpec, where a bundle has a face finder; its artifacts lie beside it."""
PRECISIONS = ("fp32", "int8")

ARTIFACT_FIELDS = {
    "engine": str,
    "format": str,
    "precision": str,
    "file": str,
    "files": dict,
    "bytes": int,
    "parity": dict,
}
MANIFEST_FIELDS = {"name": str, "target": str, "artifacts": list, "data": dict, "inputs": dict, "defaults": dict}
DEFAULT_FIELDS = {"engine": str, "precision": str, "threads": int}


@dataclass(frozen=True)
class Artifact:
    """One model for one engine in one precision."""

    engine: str
    """Name in ``edgefer.engines.ENGINES``."""
    format: str
    """tflite, onnx or openvino."""
    precision: str
    """fp32 or int8."""
    file: str
    """The file an engine is given, relative to the bundle."""
    files: dict[str, str]
    """All files of the artifact, relative to the bundle → hex SHA-256 (OpenVINO: xml and bin)."""
    bytes: int
    """Size of all its files together."""
    parity: dict = field(default_factory=dict)
    """The evidence that let it through the parity ladder."""

    @property
    def name(self) -> str:
        return f"{self.engine}/{self.precision}"


@dataclass(frozen=True)
class BundledFinder:
    """The bundle's own face finder."""

    spec: FinderSpec
    artifacts: tuple[Artifact, ...]
    data: dict = field(default_factory=dict)
    """What it was calibrated and compared on: ``{calibration: …, parity: …}``."""

    def artifact(self, engine: str, precision: str) -> Artifact:
        """The artifact for an engine and a precision, else this engine in fp32, else in int8, else the first."""
        wanted = [(engine, precision), (engine, "fp32"), (engine, "int8")]
        by_name = {(a.engine, a.precision): a for a in self.artifacts}
        return next((by_name[pair] for pair in wanted if pair in by_name), self.artifacts[0])


@dataclass(frozen=True)
class Bundle:
    """A loaded manifest and where it lies."""

    folder: Path
    name: str
    target: str
    """Name of the entry of ``devices.yaml`` it was made for."""
    spec: ModelSpec
    artifacts: tuple[Artifact, ...]
    data: dict = field(default_factory=dict)
    """What it was calibrated and compared on: ``{calibration: …, parity: …}``."""
    inputs: dict = field(default_factory=dict)
    """What it was made from, by hash, so that a finished one can be reused."""
    defaults: dict = field(default_factory=dict)
    """What its target runs: ``{engine, precision, threads}``; used where a user names none. May be empty."""
    finder: BundledFinder | None = None
    """None in bundles without a face finder of their own, as all before version 0.2 were."""

    def artifact(self, engine: str, precision: str) -> Artifact:
        """The artifact for an engine and a precision; an unknown pair is a UsageError listing those that exist."""
        for artifact in self.artifacts:
            if (artifact.engine, artifact.precision) == (engine, precision):
                return artifact
        raise unknown("artifact", f"{engine}/{precision}", [a.name for a in self.artifacts], f"bundle {self.folder}")

    def model_path(self, engine: str, precision: str) -> Path:
        """The file to hand to ``edgefer.engines.load``; for the null engine, which has no model, the ModelSpec's."""
        return self.folder / (SPEC if engine == "null" else self.artifact(engine, precision).file)

    def finder_model(self, engine: str, precision: str, threads: int = 1) -> FinderModel | None:
        """What ``edgefer.detectors.load`` needs of the bundle's finder, beside a classifier on ``engine``; None without one."""
        if self.finder is None:
            return None
        chosen = self.finder.artifact(engine, precision)
        return FinderModel(self.folder / chosen.file, self.finder.spec, chosen.engine, threads)

    def to_json(self) -> dict:
        """The manifest. The ModelSpec is not in it: it has its own file."""
        fields = {name: getattr(self, name) for name in MANIFEST_FIELDS}
        value = {"schema": SCHEMA, **fields, "artifacts": [asdict(artifact) for artifact in self.artifacts]}
        if self.finder:
            artifacts = [asdict(artifact) for artifact in self.finder.artifacts]
            value["finder"] = {"artifacts": artifacts, "data": self.finder.data}
        return value

    def write_manifest(self, folder: Path | None = None) -> "Bundle":
        """Write ``bundle.json`` and ``model.json`` into a folder (default: its own); then ``seal`` the folder."""
        folder = Path(folder or self.folder)
        write_json(folder / MANIFEST, self.to_json())
        self.spec.save(folder / SPEC)
        if self.finder:
            self.finder.spec.save(folder / FINDER)
        return replace(self, folder=folder)


def artifact(
    folder: Path, engine: str, format: str, precision: str, names: list[str], parity: dict | None = None
) -> Artifact:
    """Describe model files that lie in ``folder``; the first of ``names`` is the one the engine is given."""
    hashes = {name: sha256(folder / name) for name in names}
    size = sum((folder / name).stat().st_size for name in names)
    return Artifact(engine, format, precision, names[0], hashes, size, parity or {})


def seal(folder: Path) -> None:
    """Write ``SHA256SUMS`` over every other file in the folder, sorted, as ``sha256sum -c`` reads it; an old signature goes."""
    (Path(folder) / SIGNATURE).unlink(missing_ok=True)
    names = sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())
    lines = [f"{sha256(Path(folder) / name)}  {name}\n" for name in names if name != SUMS]
    write_text(Path(folder) / SUMS, "".join(lines))


def load(folder: str | Path, verify: bool = True) -> Bundle:
    """Read a bundle.

    Args:
        folder: the bundle's directory.
        verify: hash every file and compare with SHA256SUMS. Without it only presence is checked, for a process that
            starts a bundle verified before.

    Raises:
        InputRejected: not a bundle, a newer schema, a wrong or missing hash, a missing file or field, a path that
            leaves the folder; all problems of one kind at once.
    """
    folder = Path(folder)
    if not is_utf8(folder):
        raise InputRejected(f"bundle {folder}: its name is not UTF-8, which engines need; rename the folder")
    if not (folder / MANIFEST).is_file():
        raise InputRejected(
            f"{folder} is not a bundle: it has no {MANIFEST}; give the folder that `python -m export` wrote"
        )
    value = read_json(folder / MANIFEST)
    _check_schema(folder, value)
    sums = read_sums(folder)
    _reject(folder, _sum_problems(folder, sums, verify))
    _reject(folder / MANIFEST, _manifest_problems(value, sums))
    rest = {name: value[name] for name in MANIFEST_FIELDS if name != "artifacts"}
    finder = value.get("finder")
    if finder:
        finder = BundledFinder(FinderSpec.load(folder / FINDER), _artifacts(finder), finder["data"])
    return Bundle(
        folder=folder, spec=ModelSpec.load(folder / SPEC), artifacts=_artifacts(value), finder=finder, **rest
    )  # fmt: skip


def _artifacts(value: dict) -> tuple[Artifact, ...]:
    return tuple(Artifact(**{name: entry[name] for name in ARTIFACT_FIELDS}) for entry in value["artifacts"])


def _check_schema(folder: Path, value: dict) -> None:
    schema = value.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        remedy = f"newer than {SCHEMA}, the one this version reads; install a newer edgefer"
    elif schema != SCHEMA:
        remedy = f"not {SCHEMA}, the one this version reads; export the bundle again"
    else:
        return
    raise InputRejected(f"{folder / MANIFEST}: schema {schema!r} is {remedy}")


def _reject(what: Path, problems: list[str]) -> None:
    if problems:
        shown = problems[:6] + ([f"and {len(problems) - 6} more problems"] if len(problems) > 6 else [])
        raise InputRejected(f"{what}: {'; '.join(shown)}; {REMEDY}")


def _sum_problems(folder: Path, sums: dict[str, str], verify: bool) -> list[str]:
    problems = [f"{SUMS} does not list {name}" for name in (MANIFEST, SPEC) if name not in sums]
    root = folder.resolve()
    for name, digest in sums.items():
        path = folder / name
        if not (_is_inside(name) and path.resolve().is_relative_to(root)):
            problems.append(f"path '{name}' in {SUMS} leaves the bundle")
        elif not path.is_file():
            problems.append(f"{name} is missing")
        elif verify and sha256(path) != digest:
            problems.append(f"{name} does not match its SHA-256 in {SUMS}")
    return problems


def _manifest_problems(value: dict, sums: dict[str, str]) -> list[str]:
    problems = _field_problems(value, MANIFEST_FIELDS)
    if problems:
        return problems
    problems += _field_problems(value["defaults"], DEFAULT_FIELDS, "defaults: ") if value["defaults"] else []
    return problems + _all_artifact_problems(value["artifacts"], sums, "") + _finder_problems(value, sums)


def _finder_problems(value: dict, sums: dict[str, str]) -> list[str]:
    """Of the optional section ``finder``."""
    if value.get("finder") is None:
        return []
    problems = _field_problems(value["finder"], {"artifacts": list, "data": dict}, "finder: ")
    problems += [] if FINDER in sums else [f"{SUMS} does not list {FINDER}"]
    return problems or _all_artifact_problems(value["finder"]["artifacts"], sums, "finder: ")


def _all_artifact_problems(entries: list, sums: dict[str, str], what: str) -> list[str]:
    problems, names = [], []
    for number, entry in enumerate(entries):
        where = f"{what}artifact {number}: "
        found = _field_problems(entry, ARTIFACT_FIELDS, where) or _artifact_problems(entry, sums, where)
        problems += found
        if not found:
            names.append(f"{entry['engine']}/{entry['precision']}")
    problems += [f"{what}artifact {name} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    return problems + ([] if entries else [f"{what}it lists no artifact"])


def _field_problems(value, fields: dict, where: str = "") -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}is not an object"]
    problems = [f"{where}field '{name}' is missing" for name in fields if name not in value]
    for name, kind in fields.items():
        wrong = name in value and (not isinstance(value[name], kind) or isinstance(value[name], bool))
        problems += [f"{where}field '{name}' is not {_TOLD[kind]}"] if wrong else []
    return problems


_TOLD = {str: "text", int: "a whole number", dict: "an object", list: "a list"}


def _artifact_problems(entry: dict, sums: dict[str, str], where: str) -> list[str]:
    problems = []
    if entry["precision"] not in PRECISIONS:
        problems.append(f"{where}precision '{entry['precision']}' is not one of {', '.join(PRECISIONS)}")
    if entry["file"] not in entry["files"]:
        problems.append(f"{where}its file '{entry['file']}' is not among its files")
    for name, digest in entry["files"].items():
        if not _is_inside(name):
            problems.append(f"{where}path '{name}' leaves the bundle")
        elif sums.get(name) != digest:
            problems.append(f"{where}the SHA-256 of '{name}' is not the one in {SUMS}")
    return problems


def _is_inside(name: str) -> bool:
    """Whether a manifest's path is plain and relative: the same on every system, and within the folder."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name and ":" not in name
