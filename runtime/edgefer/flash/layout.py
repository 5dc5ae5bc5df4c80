"""What lies where under a device's prefix, and the two files by which it is known what runs: ``current`` and ``status.json``.

Every change is one rename, so that a reader, and a device that loses power, sees the state before it or after it.
"""

import os
import secrets
import shutil
from pathlib import Path

from edgefer.errors import EdgeferError
from edgefer.files import read_json, write_json

SCHEMA = 1


class Prefix:
    """A device's folder of versions."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.versions, self.incoming = self.folder / "versions", self.folder / "incoming"
        self.status, self.lock = self.folder / "status.json", self.folder / "lock"
        self.signers = self.folder / "allowed_signers"

    def version(self, name: str | None) -> Path | None:
        """A version's folder, None where there is no such version."""
        place = self.versions / name if name else None
        return place if place and place.is_dir() else None

    def pointed(self, link: str) -> str | None:
        """Name of the version that ``current`` or ``previous`` points to; None where there is none."""
        try:
            name = (self.folder / link).readlink().name
        except OSError:
            return None
        return name if self.version(name) else None

    @property
    def current(self) -> str | None:
        return self.pointed("current")

    @property
    def previous(self) -> str | None:
        return self.pointed("previous")

    def point(self, link: str, name: str | None) -> None:
        """Make a link point to a version, or be gone, in one step."""
        place = self.folder / link
        if name is None:
            place.unlink(missing_ok=True)
        else:
            beside = self.folder / f".{link}.{secrets.token_hex(4)}"
            beside.symlink_to(Path("versions") / name)
            beside.replace(place)
        sync(self.folder)

    def read(self) -> dict:
        """``status.json``: ``{schema, versions: {name: {confirmed, …}}, switch, failed}``; empty ones where there is none yet.

        What runs is said by the links alone, so that a damaged file costs what was noted and nothing else.
        """
        empty = {"schema": SCHEMA, "versions": {}, "switch": None, "failed": None}
        try:
            value = read_json(self.status)
        except EdgeferError:
            return empty
        return empty | value if value.get("schema") == SCHEMA and isinstance(value.get("versions"), dict) else empty

    def write(self, value: dict) -> None:
        write_json(self.status, value)
        sync(self.folder)

    def note(self, name: str, **facts) -> None:
        """Remember facts about a version."""
        value = self.read()
        value["versions"][name] = value["versions"].get(name, {}) | facts
        self.write(value)

    def tidy(self) -> None:
        """Remove what an earlier flash left unfinished."""
        shutil.rmtree(self.incoming, ignore_errors=True)
        for link in ("current", "previous"):
            for beside in self.folder.glob(f".{link}.*"):
                beside.unlink(missing_ok=True)
        for beside in self.folder.glob(f".{self.status.name}.*"):
            beside.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Have a folder's entries on the disk before going on."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
