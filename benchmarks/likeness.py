"""Which records may be compared, and what changed between two of them. Pure: records in, sentences and lists out."""

from edgefer.errors import EnvironmentInvalid

RUN = ("environment", "run")
FIELDS = {
    "target": ("target",),
    "reach": ("environment", "reach"),
    "CPU model": ("environment", "cpu", "model"),
    "machine": ("environment", "cpu", "machine"),
    "CPU flags": ("environment", "cpu", "flags"),
    "cores": ("environment", "cpu", "cores"),
    "affinity": ("environment", "cpu", "affinity"),
    "governor": ("environment", "cpu", "governor"),
    "engine": (*RUN, "engine"),
    "precision": (*RUN, "precision"),
    "threads": (*RUN, "threads"),
    "system": (*RUN, "system"),
    "input size": (*RUN, "input_size"),
    "channels": (*RUN, "channels"),
}
"""What must be the same in two records that are compared. What else an environment holds, versions and commits above all, is
what the comparison is about."""
ABSENT = {"reach": "local"}
"""What a field is where a record does not have it."""
CHANGES = {
    "commit": ("environment", "git", "commit"),
    "artifact": (*RUN, "artifact", "files"),
    "code that is timed": (*RUN, "runtime"),
    "python": ("environment", "python"),
    "kernel": ("environment", "kernel"),
    "crops": (*RUN, "crops"),
    "frames": (*RUN, "frames"),
}
"""What may differ, and is listed beside ``packages``."""


def look(record: dict, path: tuple[str, ...]):
    """The value at a path of keys; None where any of them is missing."""
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def alike(a: dict, b: dict) -> bool:
    """Whether two records are of the same machine and the same kind of run."""
    return not differences(a, b)


def differences(record: dict, baseline: dict) -> list[str]:
    """Fields that keep two records from being compared, one phrase each with both values."""
    pairs = {name: [_field(each, name) for each in (record, baseline)] for name in FIELDS}
    return [
        f"{name} is {now} now and {before} in the baseline" for name, (now, before) in pairs.items() if now != before
    ]


def _field(record: dict, name: str):
    found = look(record, FIELDS[name])
    return ABSENT.get(name) if found is None else found


def check(record: dict, baseline: dict) -> None:
    """Refuse to compare unlike things.

    Raises:
        EnvironmentInvalid: lists every field that differs, with both values.
    """
    if found := differences(record, baseline):
        raise EnvironmentInvalid(
            f"records of unlike runs are never compared: {'; '.join(found)}; measure as the baseline was measured, "
            "or accept a baseline of this kind (--accept REASON)"
        )


def changed(record: dict, baseline: dict) -> dict:
    """What differs: {packages: {name: [old, new]}, commit: [old, new], …}; None where one of the two lacks a package."""
    now, before = (look(each, ("environment", "packages")) or {} for each in (record, baseline))
    names = sorted(now.keys() | before.keys())
    packages = {name: [before.get(name), now.get(name)] for name in names if now.get(name) != before.get(name)}
    pairs = {name: [look(baseline, path), look(record, path)] for name, path in CHANGES.items()}
    return {"packages": packages} | {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def same_runtime(record: dict, baseline: dict) -> bool:
    """Whether the same code of ours was timed in both, by the hash of its source; a record without one tells nothing."""
    now, before = (look(each, (*RUN, "runtime")) for each in (record, baseline))
    return now is not None and now == before


def yardstick(record: dict, role: str) -> tuple | None:
    """What a reference contender is: engine, version, precision and the hashes of its files; None where it tells nothing.

    It does not where it was not measured, or its own blocks were too noisy. Only a reference that is the same in two records
    can tell how the target moved between them.
    """
    if role in (look(record, (*RUN, "doubtful_roles")) or ()):
        return None
    details = look(record, (*RUN, "contenders", role))
    files = look(record, (*RUN, "contender_files", role)) or {}
    return None if details is None else (details, sorted(files.values()))
