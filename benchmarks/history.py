"""The store of records: one gzip file a run, the accepted baseline of each target, and the log of who accepted what and why.

    history/store.json                             the form's number
    history/<target>/<UTC time>-<commit>.json.gz   a record
    history/<target>/artifacts/<hash>/…            model files that a record timed, so that a later run can time them again
    history/<target>/accepted.json                 every acceptance, oldest first; the last one is the baseline

Knows records by their form, not what their figures mean. Nothing here is ever overwritten but the log, which only grows; model
files stay as long as the baseline or one of the latest records timed them.
"""

import contextlib
import getpass
import gzip
import hashlib
import json
import os
import shutil
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contenders import Earlier
from benchmarks.likeness import RUN, look
from benchmarks.session import SCHEMA as RECORD_SCHEMA
from edgefer.errors import BudgetBroken, EnvironmentInvalid, InputRejected, UsageError
from edgefer.files import new_folder, read_json, sha256, write_bytes, write_json
from edgefer.targets import Target

SCHEMA = 1
VARIABLE = "EDGEFER_HISTORY"
DEFAULT = Path(__file__).resolve().parents[1] / "history"
STORE, LOG, ARTIFACTS, SUFFIX = "store.json", "accepted.json", "artifacts", ".json.gz"
ARTIFACTS_OF = 10
"""Model files are kept of so many latest records, any of which may yet become the baseline, and of the baseline."""
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Found:
    """The records of a target."""

    records: list[dict]
    """Oldest first."""
    paths: list[Path]
    remarks: list[str]
    """What was skipped, and why."""


@dataclass(frozen=True)
class Baseline:
    """The record that later runs are compared with."""

    record: dict
    entry: dict
    """Its line of the log: {time, by, reason, record, commit, artifact, before}."""


class Store:
    """Records in a folder, which need not exist yet.

    Raises:
        InputRejected: the folder was written in another form; says what to do.
    """

    def __init__(self, folder: str | Path | None = None):
        self.folder = Path(folder or os.environ.get(VARIABLE) or DEFAULT)
        if self.folder.exists() and any(self.folder.iterdir()):
            _check_schema(self.folder / STORE, read_json(self.folder / STORE), SCHEMA, "choose another --history DIR")

    def append(self, record: dict, bundle: Path | None = None) -> Path:
        """Keep a record, and from its bundle the model files that it timed; gives the record's file.

        A record without a time gets the present one.

        Raises:
            InputRejected: a record of another form.
            UsageError: a ``--quick`` record.
        """
        _check_schema(Path(f"the record of {record.get('target')}"), record, RECORD_SCHEMA, "measure again")
        if look(record, (*RUN, "quick")):
            raise UsageError("a --quick record is a first look and is not kept; measure without --quick")
        time = look(record, ("environment", "time")) or datetime.now(UTC).strftime(TIME)
        record = {**record, "environment": {**record["environment"], "time": time}}
        if not (self.folder / STORE).exists():
            write_json(self.folder / STORE, {"schema": SCHEMA})
        if bundle:
            self._keep_artifact(record, bundle)
        path = self._free_path(record)
        write_bytes(path, gzip.compress(json.dumps(record, ensure_ascii=False, allow_nan=False).encode(), mtime=0))
        if bundle:
            self._drop_artifacts(record["target"])
        return path

    def records(self, target: str, latest: int | None = None) -> Found:
        """Every record of a target, or only the latest so many files. A damaged one is skipped and remarked on; its name says
        when it was made.

        Raises:
            InputRejected: a whole record of another form.
        """
        found = Found([], [], [])
        for path in self._paths(target)[-(latest or 0) :]:
            try:
                record = _read(path)
            except _Damaged as error:
                found.remarks.append(f"{path} is damaged and was left out ({error}); delete it or restore it")
                continue
            _check_schema(path, record, RECORD_SCHEMA, "move it out of the store")
            found.records.append(record)
            found.paths.append(path)
        return found

    def path_of(self, record: dict) -> Path | None:
        """Where a record was kept, found by its time and commit; None where it was not."""
        whose = _whose(record)
        if not whose[0]:
            return None
        paths = [path for path in self._paths(record["target"]) if path.name.startswith(f"{_name(record)}.")]
        for path in reversed(paths):
            with contextlib.suppress(_Damaged):
                if _whose(_read(path)) == whose:
                    return path
        return None

    def log(self, target: str) -> list[dict]:
        """Every acceptance of a target's baseline, oldest first.

        Raises:
            InputRejected: its file is damaged or of another form.
        """
        path = self.folder / target / LOG
        if not path.exists():
            return []
        try:
            value = read_json(path)
        except InputRejected:
            remedy = "restore it, or move it away and accept a baseline with --accept REASON"
            raise InputRejected(f"{path}, which says what was accepted, is damaged; {remedy}") from None
        _check_schema(path, value, SCHEMA, "choose another --history DIR")
        return value["log"]

    def baseline(self, target: str) -> Baseline | None:
        """The accepted record; None where none was accepted yet.

        Raises:
            InputRejected: its file is missing or damaged.
        """
        log = self.log(target)
        if not log:
            return None
        path = self.folder / target / log[-1]["record"]
        try:
            record = _read(path)
        except _Damaged as error:
            raise InputRejected(
                f"the baseline {path} cannot be read ({error}); restore it, or accept another with --accept REASON"
            ) from None
        _check_schema(path, record, RECORD_SCHEMA, "accept a new baseline with --accept REASON")
        return Baseline(record, log[-1])

    def accept(self, target: str, reason: str, path: Path | None = None) -> dict:
        """Make a stored record the baseline, the latest where none is named; gives the new line of the log.

        Raises:
            UsageError: no reason, no record, or a ``--quick`` one.
            BudgetBroken: the record breaks a budget or parity.
            EnvironmentInvalid: it is invalid, or its checkout had uncommitted changes.
        """
        if not reason.strip():
            raise UsageError("accepting a baseline needs a reason; say why: --accept 'new weights'")
        path = path or next(reversed(self.records(target).paths), None)
        if path is None:
            raise UsageError(f"{self.folder} has no record of {target} yet; measure without --latest")
        if path.resolve().parent != (self.folder / target).resolve():
            raise UsageError(f"{path} is not a record of {target} in {self.folder}; name one that is")
        try:
            record = _read(path)
        except _Damaged as error:
            raise InputRejected(f"{path} cannot be read ({error}); restore it or accept another record") from None
        check_acceptable(record)
        log = self.log(target)
        entry = self._entry(target, record, reason.strip(), path, log)
        write_json(self.folder / target / LOG, {"schema": SCHEMA, "log": [*log, entry]})
        return entry

    def earlier(self, target: Target) -> Earlier | None:
        """The baseline's artifact, ready to be timed in turns with today's; None where there is none to be had.

        None as well where the baseline ran another engine, precision or number of threads: that comparison is refused later.

        Raises:
            InputRejected: its files are damaged.
        """
        baseline = self.baseline(target.name)
        if baseline is None or not baseline.entry["artifact"]:
            return None
        run = look(baseline.record, RUN)
        if (run["engine"], run["precision"], run["threads"]) != (target.engine, target.precision, target.threads):
            return None
        folder = self.folder / target.name / ARTIFACTS / baseline.entry["artifact"]
        files = run["artifact"]["files"]
        _verify(folder, files)
        side, model = run["input_size"], folder / run["artifact"].get("file", next(iter(files)))
        shape = [1, side, side, run["channels"]]
        job = {"kind": "artifact", "engine": run["engine"], "model": str(model.resolve()), "threads": run["threads"]}
        return Earlier({**job, "shape": shape}, files)

    def latest_of(self, target: Target) -> Path:
        """The latest record that was run as the target's entry has it: its engine, precision and number of threads.

        Raises:
            UsageError: there is none.
        """
        wanted = {"engine": target.engine, "precision": target.precision, "threads": target.threads}
        found = self.records(target.name)
        for record, path in zip(reversed(found.records), reversed(found.paths), strict=True):
            if wanted.items() <= look(record, RUN).items():
                return path
        run = f"{target.engine} {target.precision} on {target.threads} threads"
        raise UsageError(f"{self.folder} has no record of {target.name} with {run} yet; measure without --latest")

    def _entry(self, target: str, record: dict, reason: str, path: Path, log: list[dict]) -> dict:
        key = artifact_key(record)
        kept = (self.folder / target / ARTIFACTS / key).is_dir()
        return {
            "time": datetime.now(UTC).strftime(TIME),
            "by": _user(),
            "reason": reason,
            "record": path.name,
            "commit": look(record, ("environment", "git", "commit")),
            "artifact": key if kept else None,
            "before": log[-1]["record"] if log else None,
        }

    def _free_path(self, record: dict) -> Path:
        """``<target>/<time>-<commit>.json.gz``, with a number where two runs share the second."""
        name = _name(record)
        names = (name, *(f"{name}.{number}" for number in range(2, 1000)))
        paths = (self.folder / record["target"] / f"{each}{SUFFIX}" for each in names)
        return next(path for path in paths if not path.exists())

    def _paths(self, target: str) -> list[Path]:
        """Files of a target's records, oldest first; those of one second in the order of their numbers."""
        found = (self.folder / target).glob(f"*{SUFFIX}")
        return sorted(found, key=lambda path: (path.name.partition(".")[0], len(path.name), path.name))

    def _keep_artifact(self, record: dict, bundle: Path) -> None:
        folder = self.folder / record["target"] / ARTIFACTS / artifact_key(record)
        files = look(record, (*RUN, "artifact", "files"))
        if all(_is_whole(folder / name, digest) for name, digest in files.items()):
            return
        with new_folder(folder) as beside:
            for name in files:
                (beside / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(bundle) / name, beside / name)
            _verify(beside, files)

    def _drop_artifacts(self, target: str) -> None:
        """Model files that neither the baseline nor a latest record timed."""
        try:
            log, found = self.log(target), self.records(target, ARTIFACTS_OF)
        except InputRejected:  # whatever is damaged, today's record stands, and nothing is deleted
            return
        wanted = {entry["artifact"] for entry in log[-1:]} | {artifact_key(record) for record in found.records}
        for folder in (self.folder / target / ARTIFACTS).iterdir():
            if folder.name not in wanted and not folder.name.startswith("."):  # another run is writing that one
                shutil.rmtree(folder)


def artifact_key(record: dict) -> str:
    """One name for the files of a record's artifact: the same files, the same name."""
    files = look(record, (*RUN, "artifact", "files"))
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:16]


def check_acceptable(record: dict) -> None:
    """Refuse what must not become a baseline; see ``Store.accept``. An inconclusive record may: the person says why."""
    if look(record, (*RUN, "quick")):
        raise UsageError("a --quick record is never a baseline; measure without --quick")
    if record["verdict"] == "fail":
        raise BudgetBroken("the record breaks a budget or parity, so it is no baseline; mend it, or change the budget")
    if record["verdict"] == "invalid":
        raise EnvironmentInvalid("the record is invalid, so it is no baseline; measure again on a quiet machine")
    if look(record, ("environment", "git", "dirty")):
        raise EnvironmentInvalid(
            "the record is from a checkout with uncommitted changes, which nobody can go back to; commit them, measure again"
        )


class _Damaged(Exception):
    """A record's file does not hold a JSON object."""


def _read(path: Path) -> dict:
    try:
        value = json.loads(gzip.decompress(path.read_bytes()))
    except FileNotFoundError:
        raise _Damaged("it is missing") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _Damaged(" ".join(str(error).split()) or type(error).__name__) from None
    if not isinstance(value, dict) or not isinstance(value.get("environment"), dict):
        raise _Damaged("it holds no record")
    return value


def _check_schema(what: Path, value: dict, known: int, remedy: str) -> None:
    schema = value.get("schema")
    if schema == known:
        return
    newer = isinstance(schema, int) and schema > known
    told = f"newer than {known}, the one this version reads; install a newer edgefer, or {remedy}"
    raise InputRejected(
        f"{what}: schema {schema!r} is {told if newer else f'not {known}, the one this version reads; {remedy}'}"
    )


def _verify(folder: Path, files: dict[str, str]) -> None:
    for name, digest in files.items():
        if not _is_whole(folder / name, digest):
            raise InputRejected(
                f"{folder / name} is not the file that the record timed; export the bundle and measure again, "
                "or accept another baseline with --accept REASON"
            )


def _is_whole(file: Path, digest: str) -> bool:
    return file.is_file() and sha256(file) == digest


def _name(record: dict) -> str:
    """How the name of a record's file begins."""
    time, commit = _whose(record)
    return f"{time.replace(':', '')}-{(commit or 'unknown')[:7]}"


def _whose(record: dict) -> tuple[str | None, str | None]:
    """Time and commit: whose record it is."""
    return look(record, ("environment", "time")), look(record, ("environment", "git", "commit"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name for this user id, as in a container
        return "unknown"
