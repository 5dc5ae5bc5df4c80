"""Files that are never half-written, and their hashes."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO

from edgefer.errors import InputRejected, UsageError


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def new_text(path: Path) -> Iterator[TextIO]:
    """Give a text file beside ``path`` that takes its place when the block ends well, else it is removed.

    A reader sees the old file or the new one, never a part. What is no file (``/dev/stdout``, a pipe) is written straight.

    Raises:
        UsageError: the place cannot be written.
    """
    with _new_file(path, "w", "utf-8") as file:
        yield file


@contextlib.contextmanager
def new_binary(path: Path) -> Iterator[IO[bytes]]:
    """The same for bytes."""
    with _new_file(path, "wb") as file:
        yield file


@contextlib.contextmanager
def _new_file(path: Path, mode: str, encoding: str | None = None) -> Iterator[IO]:
    path = Path(path)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            handle, beside = os.open(path, os.O_WRONLY), None
        else:
            handle, beside = _beside(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); choose another place") from None
    try:
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            if beside:
                os.fsync(file.fileno())
        if beside:
            beside.chmod(0o644)
            beside.replace(path.resolve())
    except BaseException as error:
        if beside:
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # such as a full disk
            error.filename = str(path)
        raise


def _beside(path: Path) -> tuple[int, Path]:
    """A new, open file in the folder that ``path`` is in, links followed, so that renaming it there is one step."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    return handle, Path(name)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all; see ``new_text``."""
    with new_text(path) as file:
        file.write(text)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all; see ``new_text``."""
    with new_binary(path) as file:
        file.write(data)


def write_json(path: Path, value) -> None:
    """Write ``value`` as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def is_utf8(path: str | Path) -> bool:
    """Whether a file's name is; OpenCV and the engines take no other."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_json(path: Path) -> dict:
    """Read a JSON object.

    Raises:
        InputRejected: the file is missing, is not JSON, or does not hold an object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputRejected(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputRejected(f"{path} cannot be read as JSON ({error}); make it again or copy it again") from None
    if not isinstance(value, dict):
        raise InputRejected(f"{path} holds {type(value).__name__}, not a JSON object; make it again or copy it again")
    return value


def check_writable(path: Path | None) -> None:
    """Find out, before the work, whether its result can be written there; None: nothing is to be written.

    Raises:
        UsageError: it cannot.
    """
    if path is None or (path.exists() and not (path.is_file() or path.is_dir())):
        return  # a pipe: opening it would tell its reader something
    with contextlib.suppress(_Checked), _new_file(path, "wb"):
        raise _Checked


class _Checked(Exception):
    """Ends the check before anything is written."""


def check_ours(path: Path, mark: str) -> None:
    """Refuse to replace what may not be ours, before any work is done for it.

    Args:
        path: that ``new_folder`` is to replace.
        mark: a file that an earlier one of ours has.

    Raises:
        UsageError: it is a file, or a folder with something in it and without the mark.
    """
    path = Path(path)
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not (path / mark).is_file()):
        raise UsageError(
            f"{path} holds something else and would be replaced; name another folder with --out, or empty it"
        )


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside ``path``; it replaces ``path`` when the block ends well, else it is removed."""
    path = Path(path)
    path = path.resolve() if path.name in ("", "..") else path
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    beside.chmod(0o755)
    try:
        yield beside
        _take_place(beside, path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _take_place(beside: Path, path: Path) -> None:
    """Rename ``beside`` to ``path``; what was there comes back if that fails, and goes if it does not."""
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    before = aside / "before"
    try:
        if path.exists():
            path.replace(before)
        beside.replace(path)
    except BaseException:
        if os.path.lexists(before):
            before.replace(path)
        aside.rmdir()
        raise
    shutil.rmtree(aside)
