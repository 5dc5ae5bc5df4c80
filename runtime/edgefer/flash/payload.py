"""What travels to a device: one plain tar whose first member lists all others with their size and SHA-256.

Packing gives the same bytes for the same files. Unpacking trusts the list's hash, which it is told, and nothing in the tar:
no link, no name outside, not one byte more than the list says.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from edgefer.errors import InputRejected
from edgefer.files import sha256

LIST, SCHEMA = "payload.json", 1
MOST_LIST = 4 << 20
"""Bytes of the largest list that is read."""
BLOCK = 1 << 20
REMEDY = "it was damaged on the way; flash again"


def pack(files: dict[str, Path], out: Path) -> tuple[str, int]:
    """Write a tar.

    Args:
        files: name in the tar → file here.
        out: the tar.

    Returns:
        The list's hex SHA-256, and the bytes of all files together.
    """
    entries = {name: [path.stat().st_size, sha256(path)] for name, path in sorted(files.items())}
    text = json.dumps({"schema": SCHEMA, "files": entries}, indent=1).encode()
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_entry(LIST, len(text)), io.BytesIO(text))
        for name, (size, _) in entries.items():
            with files[name].open("rb") as file:
                tar.addfile(_entry(name, size), file)
    return hashlib.sha256(text).hexdigest(), sum(size for size, _ in entries.values())


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """Of nobody, of no time."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry


def unpack(archive: Path, into: Path, digest: str) -> int:
    """Unpack a tar that ``pack`` made into a new folder.

    Args:
        archive: the tar.
        into: the folder; made, and to be thrown away by the caller when this fails.
        digest: the list's hex SHA-256.

    Returns:
        The number of files.

    Raises:
        InputRejected: the tar is not, byte for byte, what was packed.
    """
    into.mkdir(parents=True)
    try:
        with tarfile.open(archive, "r:") as tar:
            entries = _read_list(tar, into, digest)
            seen = set()
            while entry := tar.next():
                _check(entry, entries, seen)
                seen.add(entry.name)
                _write(tar.extractfile(entry), into / entry.name, *entries[entry.name])
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise InputRejected(f"the upload cannot be read as a tar ({error}): {REMEDY}") from None
    if missing := sorted(entries.keys() - seen):
        raise InputRejected(f"the upload lacks {missing[0]}{_and_more(missing)}: {REMEDY}")
    return len(entries)


def problems(folder: Path, digest: str) -> list[str]:
    """What is wrong with a folder that was unpacked earlier from a list of that hash; empty where it is whole."""
    try:
        text = (folder / LIST).read_bytes()
        if hashlib.sha256(text).hexdigest() != digest:
            return [f"{LIST} is another one"]
        entries = json.loads(text)["files"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{LIST} cannot be read ({error})"]
    found = []
    for name, (size, wanted) in entries.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != size or sha256(path) != wanted:
            found.append(f"{name} has changed")
    return found


def _read_list(tar: tarfile.TarFile, into: Path, digest: str) -> dict[str, list]:
    entry = tar.next()
    if entry is None or entry.name != LIST or entry.type != tarfile.REGTYPE or entry.size > MOST_LIST:
        raise InputRejected(f"the upload does not begin with its list of files: {REMEDY}")
    text = tar.extractfile(entry).read()
    if hashlib.sha256(text).hexdigest() != digest:
        raise InputRejected(f"the upload's list of files is not the one that was sent: {REMEDY}")
    (into / LIST).write_bytes(text)
    entries = json.loads(text)["files"]
    if outside := [name for name in entries if not inside(name)]:
        raise InputRejected(f"path '{outside[0]}' leaves the folder it is unpacked to; make the bundle again")
    return entries


def inside(name: str) -> bool:
    """Whether a name is a plain relative path that stays where it is put."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and str(path) == name != LIST


def _check(entry: tarfile.TarInfo, entries: dict[str, list], seen: set[str]) -> None:
    name = entry.name
    if name not in entries:
        raise InputRejected(f"the upload holds '{name}', which its list does not: {REMEDY}")
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise InputRejected(f"'{name}' in the upload is a link or another thing that is no file: {REMEDY}")
    if name in seen:
        raise InputRejected(f"'{name}' is in the upload twice: {REMEDY}")
    if entry.size != entries[name][0]:
        raise InputRejected(
            f"'{name}' in the upload has {entry.size} bytes, and its list says {entries[name][0]}: {REMEDY}"
        )


def _write(source: IO[bytes], path: Path, size: int, wanted: str) -> None:
    """Write exactly the bytes that were announced; they are on the disk for sure only before the switch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), size
    with path.open("xb") as file:
        while left and (block := source.read(min(BLOCK, left))):
            file.write(block)
            digest.update(block)
            left -= len(block)
    if left or digest.hexdigest() != wanted:
        raise InputRejected(f"'{path.name}' in the upload does not match its SHA-256: {REMEDY}")


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
