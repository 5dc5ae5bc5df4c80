"""Signatures: made by ssh-keygen, checked where a list of signers is, refused when anything about them is not right."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edgefer import bundle, cli, signing
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError

TINY = Path(__file__).parent / "data" / "tiny"
pytestmark = pytest.mark.skipif(
    not shutil.which("ssh-keygen"), reason="needs ssh-keygen: apt-get install openssh-client"
)


@pytest.fixture
def key(tmp_path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    return tmp_path / "key"


@pytest.fixture
def signers(key, tmp_path) -> Path:
    """A list with one name and the key."""
    path = tmp_path / "allowed_signers"
    path.write_text(f"me@home {key.with_suffix('.pub').read_text()}")
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "bundle"))


def test_a_signed_bundle_names_its_signer_and_is_the_same_bytes_each_time(folder, key, signers):
    signature = signing.sign(folder, key).read_bytes()
    assert signing.verify(folder, signers) == "me@home"
    assert signing.sign(folder, key).read_bytes() == signature
    assert bundle.load(folder).name == "tiny"
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_sealing_again_removes_an_old_signature(folder, key):
    signing.sign(folder, key)
    bundle.seal(folder)
    assert not (folder / bundle.SIGNATURE).exists() and bundle.SIGNATURE not in bundle.read_sums(folder)


def test_by_hand_as_the_page_says(folder, key, signers):
    signing.sign(folder, key)
    words = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        signers,
        "-I",
        "me@home",
        "-n",
        "edgefer-bundle",
        "-s",
        "SHA256SUMS.sig",
    ]
    with (folder / bundle.SUMS).open("rb") as sums:
        subprocess.run(words, cwd=folder, stdin=sums, check=True, capture_output=True)


def test_a_bundle_without_a_signature(folder, signers):
    with pytest.raises(InputRejected, match=r"is not signed, and .*allowed_signers asks for it; export it with --sign"):
        signing.verify(folder, signers)


def test_other_sums(folder, key, signers):
    signing.sign(folder, key)
    sums = folder / bundle.SUMS
    sums.write_text(sums.read_text().replace("a", "b", 1))
    with pytest.raises(InputRejected, match=r"signature of the bundle is not one of its SHA256SUMS"):
        signing.verify(folder, signers)


def test_another_key(folder, signers, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    signing.sign(folder, tmp_path / "other")
    with pytest.raises(InputRejected, match=r"signed by a key that .* does not list"):
        signing.verify(folder, signers)


def test_a_signature_for_another_purpose(folder, key, signers):
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "git", folder / bundle.SUMS], check=True)
    with pytest.raises(InputRejected):
        signing.verify(folder, signers)


@pytest.mark.parametrize("damage", [b"", b"no signature\n"])
def test_a_damaged_signature(folder, key, signers, damage):
    signing.sign(folder, key)
    (folder / bundle.SIGNATURE).write_bytes(damage)
    with pytest.raises(InputRejected):
        signing.verify(folder, signers)


def test_keys_that_cannot_sign(folder, tmp_path):
    with pytest.raises(UsageError, match=r"is no key file; make one with: ssh-keygen"):
        signing.sign(folder, tmp_path / "nowhere")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UsageError, match="cannot sign"):
        signing.sign(folder, tmp_path / "text")
    assert not (folder / bundle.SIGNATURE).exists()


def test_an_ssh_keygen_that_hangs(folder, key, signers, tmp_path, monkeypatch):
    signing.sign(folder, key)
    monkeypatch.setattr(signing, "PATIENCE_S", 0.5)
    tool = tmp_path / "ssh-keygen"
    tool.write_text("#!/bin/sh\nexec sleep 20\n")
    tool.chmod(0o755)
    monkeypatch.setattr(signing, "_tool", lambda _what: str(tool))
    with pytest.raises(EnvironmentInvalid, match="did not end within"):
        signing.verify(folder, signers)


def test_without_ssh_keygen(folder, key, signers, monkeypatch):
    signing.sign(folder, key)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        EnvironmentInvalid, match=r"only signed bundles are taken .* needs ssh-keygen, which is not here"
    ):
        signing.verify(folder, signers)


# --- on a device -------------------------------------------------------------------------------------------------------------


def flash(place: Path, folder: Path, *words) -> int:
    always = ["--bundle", folder, "--prefix", place, "--engine", "onnxruntime", "--watch", "0"]
    return cli.main(["flash", *map(str, [*always, *words])])


def test_a_device_that_trusts_a_key_takes_nothing_else(folder, key, signers, tmp_path, capsys):
    place = tmp_path / "device"
    signing.sign(folder, key)
    assert flash(place, folder, "--allowed-signers", signers) == 0
    assert "signature  by me@home, whom the device trusts" in capsys.readouterr().out
    assert (place / "allowed_signers").read_text() == signers.read_text()

    value = json.loads((folder / bundle.MANIFEST).read_text())
    (folder / bundle.MANIFEST).write_text(json.dumps({**value, "name": "other"}))
    bundle.seal(folder)  # whole, and not signed any more
    assert flash(place, folder) == 6
    assert "is not signed" in capsys.readouterr().err
    assert (place / "current").readlink().name.startswith("tiny-")
    signing.sign(folder, key)
    assert flash(place, folder) == 0
    assert cli.main(["status", "--prefix", str(place)]) == 0
    assert "signatures asked for" in capsys.readouterr().out


def test_a_device_does_not_change_whom_it_trusts(folder, key, signers, tmp_path, capsys):
    place = tmp_path / "device"
    signing.sign(folder, key)
    assert flash(place, folder, "--allowed-signers", signers) == 0
    (tmp_path / "others").write_text(signers.read_text().replace("me@home", "you@home"))
    assert flash(place, folder, "--allowed-signers", tmp_path / "others") == 3
    assert "trusts other keys than those" in capsys.readouterr().err
    assert flash(place, folder, "--allowed-signers", tmp_path / "nowhere") == 2
