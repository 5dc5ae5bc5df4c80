"""HTTPS on a LAN: which address, a certificate of our own, its fingerprint, and a QR code for the phone."""

import hashlib
import io
import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

from edgefer.errors import EnvironmentInvalid, UsageError

DAYS = 365
ELSEWHERE = ("192.0.2.1", 9)
"""An address of no network (RFC 5737). Connecting a UDP socket sends nothing; it makes the system choose its own address."""


def address() -> str:
    """This machine's address on its network.

    Raises:
        EnvironmentInvalid: it has none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
            found = probe.getsockname()[0]
        except OSError:
            found = "0.0.0.0"
    if found.startswith(("127.", "0.")):
        raise EnvironmentInvalid("this machine has no address on a network; connect it, or name one with --host")
    return found


def state_folder() -> Path:
    """Where certificates are kept, so that a phone needs to accept one only once."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "edgefer" / "lan"


def certificate(host: str, folder: Path | None = None) -> tuple[Path, Path]:
    """A self-signed certificate for an address and its key, made where there is none that is good for another day.

    It signs no other certificate, so that a phone that is told to trust it trusts this address and nothing else.

    Raises:
        EnvironmentInvalid: the program openssl is missing or fails.
    """
    folder = folder or state_folder()
    place, key = folder / f"{host}.crt", folder / f"{host}.key"
    openssl = shutil.which("openssl")
    if not openssl:
        raise EnvironmentInvalid(
            "--lan needs the program openssl to make a certificate; install it (Debian: apt-get install openssl; "
            "Termux: pkg install openssl-tool), or name one with --certificate and --key"
        )
    if place.is_file() and key.is_file() and _done(openssl, "x509", "-checkend", "86400", "-noout", "-in", str(place)):
        return place, key
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kind = "IP" if host.replace(".", "").isdigit() or ":" in host else "DNS"
    new = {path: path.with_name(f"{path.name}.new") for path in (key, place)}
    before = os.umask(0o077)
    try:
        good = _done(
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256",
            "-days", str(DAYS), "-subj", "/CN=edgefer", "-addext", f"subjectAltName={kind}:{host}",
            "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth",
            "-keyout", str(new[key]), "-out", str(new[place]),
        )  # fmt: skip
    finally:
        os.umask(before)
    if not good:
        raise EnvironmentInvalid(f"openssl makes no certificate for {host}; name one with --certificate and --key")
    for path, made in new.items():
        made.replace(path)
    return place, key


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For a server.

    Raises:
        UsageError: the files are no certificate with its key.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"{certificate} and {key} are no certificate with its key ({error}); name PEM files that belong together"
        ) from None
    return made


def fingerprint(certificate: Path) -> str:
    """SHA-256 of a certificate, as browsers show it."""
    text = certificate.read_text()
    first = text[text.index("-----BEGIN CERTIFICATE") :].partition("-----END CERTIFICATE-----")
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first[0] + first[1])).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def qr(text: str) -> str | None:
    """A QR code for a terminal; None where the package segno is not installed."""
    try:
        import segno
    except ModuleNotFoundError:
        return None
    out = io.StringIO()
    segno.make(text, error="m", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()


def _done(*command: str) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
