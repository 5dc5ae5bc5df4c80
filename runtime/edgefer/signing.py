"""Signatures of bundles: OpenSSH's own (``ssh-keygen -Y``), over ``SHA256SUMS``, in ``SHA256SUMS.sig``.

Whoever has the files and the sums has nothing more to sign: the sums bind every file. An Ed25519 key gives the same bytes each
time. By hand:

    ssh-keygen -Y verify -f allowed_signers -I NAME -n edgefer-bundle -s SHA256SUMS.sig < SHA256SUMS
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError, last_words
from edgefer.sums import SIGNATURE, SUMS

NAMESPACE = "edgefer-bundle"
"""What a signature is for: one made for another purpose by the same key is none."""
PATIENCE_S = 120
"""Longest check. Signing may wait for a person who is to type a passphrase."""


def sign(folder: Path, key: Path) -> Path:
    """Sign a sealed bundle.

    Args:
        folder: the bundle.
        key: a private key, or a public one whose private half an ssh-agent holds. ssh-keygen asks for its passphrase itself.

    Returns:
        The signature's file.

    Raises:
        EnvironmentInvalid: there is no ssh-keygen here.
        UsageError: the key cannot be used; ssh-keygen's own words are in it.
    """
    tool = _tool("signing a bundle")
    folder, key = Path(folder), Path(key).expanduser()
    if not key.is_file():
        raise UsageError(f"{key} is no key file; make one with: ssh-keygen -t ed25519 -f {key}")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        sums = Path(shutil.copy(folder / SUMS, beside))
        done = _run([tool, "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(sums)], may_ask=True)
        if done.returncode:
            raise UsageError(f"{key} cannot sign ({last_words(done.stderr)}); give the file of a private ssh key")
        return sums.with_name(SIGNATURE).replace(folder / SIGNATURE)


def verify(folder: Path, signers: Path) -> str:
    """Check a bundle's signature.

    Args:
        folder: the bundle; that its files are those of ``SHA256SUMS`` is for ``edgefer.sums.check_sums`` to say.
        signers: an ``allowed_signers`` file, as ssh-keygen's manual describes it: a name and a public key a line.

    Returns:
        The name of who signed it.

    Raises:
        EnvironmentInvalid: there is no ssh-keygen here, or it hangs, so nothing can be known.
        InputRejected: it is not signed, or by a key that is not among those, or over other sums.
    """
    tool = _tool(f"only signed bundles are taken ({signers} is there), and checking one")
    folder = Path(folder)
    signature = folder / SIGNATURE
    if not signature.is_file():
        raise InputRejected(
            f"the bundle is not signed, and {signers} asks for it; export it with --sign KEY, or remove that file"
        )
    who = _run([tool, "-Y", "find-principals", "-s", str(signature), "-f", str(signers)])
    names = who.stdout.decode(errors="replace").split()
    if who.returncode or not names:
        raise InputRejected(
            f"the bundle is signed by a key that {signers} does not list; add the key there or sign with one of those"
        )
    words = ["-f", str(signers), "-I", names[0].split(",")[0], "-n", NAMESPACE, "-s", str(signature)]
    done = _run([tool, "-Y", "verify", *words], (folder / SUMS).read_bytes())
    if done.returncode:
        raise InputRejected(
            f"the signature of the bundle is not one of its {SUMS} ({last_words(done.stderr)}); "
            "export and sign it again, or copy it again"
        )
    return names[0]


def _tool(what: str) -> str:
    found = shutil.which("ssh-keygen")
    if not found:
        raise EnvironmentInvalid(
            f"{what} needs ssh-keygen, which is not here; install it (Debian: openssh-client, Termux: openssh)"
        )
    return found


def _run(command: list[str], given: bytes = b"", may_ask: bool = False) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(command, capture_output=True, input=given, timeout=None if may_ask else PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise EnvironmentInvalid(
            f"{command[0]} did not end within {PATIENCE_S} s; see whether the machine hangs"
        ) from None
