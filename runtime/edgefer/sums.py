"""``SHA256SUMS``: which files a folder holds. The standard library alone reads it, on a device that has nothing else yet."""

from pathlib import Path

from edgefer.errors import InputRejected
from edgefer.files import sha256

SUMS = "SHA256SUMS"
SIGNATURE = f"{SUMS}.sig"
"""Made by ``edgefer.signing``, over the sums; the one file that they cannot list."""
REMEDY = "copy the bundle again, or export it again"


def read_sums(folder: Path) -> dict[str, str]:
    """SHA256SUMS as file name → hex digest.

    Raises:
        InputRejected: it is missing or not in the form `sha256sum` writes.
    """
    path = Path(folder) / SUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise InputRejected(f"{path} {reason}; {REMEDY}") from None
    sums = {}
    for number, line in enumerate(lines, 1):
        digest, separator, name = line[:64], line[64:66], line[66:]
        if not (len(digest) == 64 and set(digest) <= set("0123456789abcdef") and separator in ("  ", " *") and name):
            raise InputRejected(f"{path}, line {number} is not a SHA-256 and a file name; {REMEDY}")
        sums[name] = digest
    return sums


def check_sums(folder: Path) -> None:
    """Have every file of a folder, and no other, be as its SHA256SUMS says.

    Raises:
        InputRejected: names the first that is not.
    """
    sums = read_sums(folder)
    there = {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if not path.is_dir()}
    for name in sorted((there - {SUMS, SIGNATURE}) ^ sums.keys()):
        raise InputRejected(f"{name} is {'missing' if name in sums else f'not listed in {SUMS}'}; {REMEDY}")
    for name, digest in sums.items():
        if sha256(Path(folder) / name) != digest:
            raise InputRejected(f"{name} does not match its SHA-256 in {SUMS}; {REMEDY}")
