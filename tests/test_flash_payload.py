"""What travels to a device: the same bytes each time; and a tar that is not, byte for byte, what was packed, is refused."""

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgefer import bundle, golden
from edgefer.errors import InputRejected
from edgefer.flash import payload
from edgefer.flash.session import _pack as pack_agent

FILES = {"bundle/a.txt": b"alpha" * 9, "bundle/deep/b.bin": bytes(range(256)) * 40, "runtime/edgefer/c.py": b""}


@pytest.fixture
def sources(tmp_path) -> dict[str, Path]:
    return {name: write(tmp_path / "from" / name, data) for name, data in FILES.items()}


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def pack(sources: dict[str, Path], out: Path) -> str:
    return payload.pack(sources, out)[0]


def refused(archive: Path, into: Path, digest: str) -> str:
    with pytest.raises(InputRejected) as caught:
        payload.unpack(archive, into, digest)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_packed_is_unpacked(sources, tmp_path):
    digest = pack(sources, tmp_path / "a.tar")
    assert payload.unpack(tmp_path / "a.tar", tmp_path / "to", digest) == len(FILES)
    assert {name: (tmp_path / "to" / name).read_bytes() for name in FILES} == FILES
    assert payload.problems(tmp_path / "to", digest) == []
    write(tmp_path / "to" / "bundle/a.txt", b"omega" * 9)
    (tmp_path / "to" / "bundle/deep/b.bin").unlink()
    assert payload.problems(tmp_path / "to", digest) == ["bundle/a.txt has changed", "bundle/deep/b.bin is missing"]


def test_the_same_files_give_the_same_bytes(sources, tmp_path):
    import os

    pack(sources, tmp_path / "a.tar")
    for path in sources.values():
        os.utime(path, (1, 1))
        path.chmod(0o700)
    pack(dict(reversed(sources.items())), tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert pack_agent(tmp_path / "a.zip") == pack_agent(tmp_path / "b.zip")


def test_every_bit_flip_and_every_cut_is_noticed(sources, tmp_path):
    """At places spread over the whole tar: headers, the list, the files, the end. What passes must be what was sent."""
    digest = pack(sources, tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    noticed = 0
    for number, at in enumerate(range(0, len(data), 97)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << number % 8
        for kind, changed in (("flip", bytes(flipped)), ("cut", data[:at])):
            archive = write(tmp_path / "changed.tar", changed)
            into = tmp_path / f"{kind}{at}"
            try:
                payload.unpack(archive, into, digest)
            except InputRejected:
                noticed += 1
            else:
                assert {name: (into / name).read_bytes() for name in FILES} == FILES
    assert noticed > len(data) / 97


# --- tars that somebody else made --------------------------------------------------------------------------------------------


def hostile(path: Path, listed: dict[str, bytes], members: list[tuple[tarfile.TarInfo, bytes]]) -> str:
    """A tar with a list that is right by its hash, and members of one's own."""
    entries = {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in listed.items()}
    text = json.dumps({"schema": 1, "files": entries}).encode()
    with tarfile.open(path, "w") as tar:
        for entry, data in [(tarfile.TarInfo(payload.LIST), text), *members]:
            entry.size = len(data) if entry.type == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(data))
    return hashlib.sha256(text).hexdigest()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "name", ["../out.txt", "bundle/../../out.txt", "/tmp/out.txt", "a//b", "./a", "", payload.LIST]
)
def test_names_that_leave_the_folder(tmp_path, name):
    digest = hostile(tmp_path / "a.tar", {name: b"x"}, [(entry(name), b"x")])
    assert "leaves the folder" in refused(tmp_path / "a.tar", tmp_path / "to", digest)
    assert not list(tmp_path.glob("out.txt")) and not Path("/tmp/out.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_links_and_what_else_is_no_file(tmp_path, kind):
    digest = hostile(tmp_path / "a.tar", {"a": b"x"}, [(entry("a", kind, "/etc/passwd"), b"")])
    assert "is a link or another thing" in refused(tmp_path / "a.tar", tmp_path / "to", digest)
    assert [path.name for path in (tmp_path / "to").iterdir()] == [payload.LIST]


def test_a_file_through_a_link_that_is_no_member(tmp_path):
    """First a link to outside, then a file under it: the link is refused before anything is written through it."""
    digest = hostile(
        tmp_path / "a.tar",
        {"d": b"", "d/x": b"x"},
        [(entry("d", tarfile.SYMTYPE, str(tmp_path)), b""), (entry("d/x"), b"x")],
    )
    refused(tmp_path / "a.tar", tmp_path / "to", digest)
    assert not (tmp_path / "x").exists()


def test_files_that_the_list_does_not_know(tmp_path):
    digest = hostile(tmp_path / "a.tar", {"a": b"x"}, [(entry("a"), b"x"), (entry("b"), b"y")])
    assert "'b', which its list does not" in refused(tmp_path / "a.tar", tmp_path / "to", digest)


def test_files_that_are_missing_twice_there_longer_or_other(tmp_path):
    cases = {
        "lacks b": [(entry("a"), b"x")],
        "twice": [(entry("a"), b"x"), (entry("a"), b"x")],
        "has 3 bytes, and its list says 1": [(entry("a"), b"xyz")],
        "does not match its SHA-256": [(entry("a"), b"z")],
    }
    for number, (told, members) in enumerate(cases.items()):
        digest = hostile(tmp_path / "a.tar", {"a": b"x", "b": b"y"}, members)
        assert told in refused(tmp_path / "a.tar", tmp_path / str(number), digest)


def test_a_compressed_tar_is_not_unpacked(sources, tmp_path):
    """So that no small file becomes a large one."""
    digest = pack(sources, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "b.tar", "w:gz") as tar:
        tar.add(tmp_path / "a.tar", payload.LIST)
    assert "cannot be read as a tar" in refused(tmp_path / "b.tar", tmp_path / "to", digest)


def test_a_list_that_is_too_long(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = entry(payload.LIST)
        info.size = payload.MOST_LIST + 1
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    assert "does not begin with its list" in refused(tmp_path / "a.tar", tmp_path / "to", "0" * 64)


# --- golden vectors are a zip, which may say that it is huge -----------------------------------------------------------------

TINY = Path(__file__).parent / "data" / "tiny"


def tiny_with(tmp_path: Path, members: dict[str, bytes]) -> bundle.Bundle:
    import shutil

    folder = Path(shutil.copytree(TINY, tmp_path / "bundle"))
    with zipfile.ZipFile(folder / golden.ARRAYS, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    bundle.seal(folder)
    return bundle.load(folder)


def test_golden_vectors_that_are_a_zip_bomb(tmp_path):
    opened = tiny_with(tmp_path, {"frames.npy": bytes(golden.MOST_BYTES + 1)})
    assert (opened.folder / golden.ARRAYS).stat().st_size < 100_000
    with pytest.raises(InputRejected, match=r"would unpack to 64 MB"):
        golden.expected(opened, "litert", "int8")


def test_golden_vectors_whose_header_lies_about_their_size(tmp_path):
    with np.load(TINY / golden.ARRAYS) as file:
        arrays = dict(file)
    members = {}
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.save(stream, array)
        members[f"{name}.npy"] = stream.getvalue()
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (1 << 60,)})
    opened = tiny_with(tmp_path, {**members, "crops.npy": stream.getvalue()})
    with pytest.raises(InputRejected, match=r"golden.npz is damaged"):
        golden.expected(opened, "litert", "int8")
