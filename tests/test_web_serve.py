"""``edgefer serve`` and ``edgefer export-web``: what is served to whom, where, and what is said when something is missing."""

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgefer import bundle, commands
from edgefer.browser import lan, server, site
from edgefer.cli import main
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "runtime" / "web"
TINY = ROOT / "tests" / "data" / "tiny"


@pytest.fixture
def fake_litert(tmp_path) -> Path:
    """A node_modules of the right names; nothing in it runs."""
    for name in site.LITERT_FILES.values():
        path = tmp_path / "node_modules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 2000)
    manifest = tmp_path / "node_modules" / site.LITERT / "package.json"
    manifest.write_text(json.dumps({"version": site.LITERT_VERSION}))
    return tmp_path / "node_modules"


@pytest.fixture
def served():
    """``served(files, **options)``: a server that ends with the test."""
    running = []

    def made(files, **options) -> server.Server:
        running.append(server.Server(files, **options))
        return running[-1]

    yield made
    for each in running:
        each.close()


def own_files() -> dict[str, Path]:
    return {path.name: path for path in WEB.iterdir() if path.suffix in site.TYPES and path.name not in site.NOT_SERVED}


def asked(port: int, path: str, method: str = "GET", body: bytes | None = None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer, data


# --- what is served ----------------------------------------------------------------------------------------------------------


def test_the_page_comes_with_its_headers(served):
    port = served(own_files()).port
    answer, data = asked(port, "/")
    assert answer.status == 200 and data == (WEB / "index.html").read_bytes()
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert answer.getheader("Cross-Origin-Opener-Policy") == "same-origin"
    assert answer.getheader("Cross-Origin-Embedder-Policy") == "require-corp"
    assert answer.getheader("Set-Cookie") is None
    own = re.search(r'Content-Security-Policy" content="([^"]+)"', data.decode())[1]
    assert answer.getheader("Content-Security-Policy") == f"{own}; frame-ancestors 'none'"


def test_the_policy_names_no_other_host_and_the_import_map_by_its_hash():
    page = (WEB / "index.html").read_text()
    own = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert own.startswith("default-src 'none'") and "http" not in own and "*" not in own and "unsafe-inline" not in own
    importmap = re.search(r'<script type="importmap">(.*?)</script>', page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(importmap.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in own
    assert set(json.loads(importmap)["imports"]) == {"@litertjs/core", "@litertjs/wasm-utils"}
    assert all(address.removeprefix("./") in site.LITERT_FILES for address in json.loads(importmap)["imports"].values())


@pytest.mark.parametrize("path", sorted(WEB.glob("*.*")), ids=lambda path: path.name)
def test_no_file_of_the_page_names_a_third_party(path):
    if path.name == "LICENSE.txt":
        return
    found = re.findall(r"https?://[^\s\"'`)<]+", path.read_text())
    assert [url for url in found if url != "http://www.w3.org/2000/svg"] in ([], ["http://localhost:"])


def test_files_are_compressed_where_that_is_accepted_and_not_sent_twice(served):
    port = served(own_files()).port
    plain, data = asked(port, "/app.js")
    packed, small = asked(port, "/app.js", Accept_Encoding="br, gzip;q=0.8")
    assert plain.getheader("Content-Encoding") is None and data == (WEB / "app.js").read_bytes()
    assert packed.getheader("Content-Encoding") == "gzip" and len(small) < len(data) / 2
    again, nothing = asked(port, "/app.js", If_None_Match=plain.getheader("ETag"))
    assert (again.status, nothing) == (304, b"")
    changed, _ = asked(port, "/app.js", If_None_Match='"another"')
    assert changed.status == 200
    assert asked(port, "/app.js", "HEAD")[1] == b""


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/package.json", "/bundle/../../x", "//etc/passwd", "//[", "/record", "/task.json"]
)
def test_nothing_else_is_served(served, path):
    assert asked(served(own_files()).port, path)[0].status == 404


def test_another_name_is_refused(served):
    port = served(own_files()).port
    assert asked(port, "/", Host="localhost")[0].status == 200
    answer, said = asked(port, "/", Host=f"rebound.example:{port}")
    assert answer.status == 403 and b"served to 127.0.0.1 and localhost only" in said


def test_a_record_is_taken_from_who_knows_the_token(served):
    assert asked(served(own_files()).port, "/record?token=", "POST", b"{}")[0].status == 403
    desk = server.Desk("secret", {"task.json": b"{}"})
    port = served(own_files(), desk=desk).port
    assert asked(port, "/task.json")[0].status == 404
    assert asked(port, "/task.json?token=secret")[1] == b"{}"
    assert asked(port, "/record?token=guess", "POST", b"{}")[0].status == 403
    assert asked(port, "/record?token=secret", "POST", b"{}", Host="elsewhere")[0].status == 403
    assert asked(port, "/other?token=secret", "POST", b"{}")[0].status == 403
    assert desk.handed_in.empty()
    assert asked(port, "/record?token=secret", "POST", b'{"a": 1}')[0].status == 200
    assert desk.handed_in.get_nowait() == b'{"a": 1}'


def test_a_port_that_is_taken(served):
    port = served(own_files()).port
    with pytest.raises(EnvironmentInvalid, match=f"port {port} of 127.0.0.1 cannot be served .* another with --port"):
        server.Server(own_files(), port=port)


# --- on a LAN ----------------------------------------------------------------------------------------------------------------

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl: apt-get install openssl")


@needs_openssl
def test_a_certificate_of_our_own_serves_https_and_is_kept(served, tmp_path):
    certificate, key = lan.certificate("127.0.0.1", tmp_path / "state")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    running = served(own_files(), names=("127.0.0.1",), context=lan.context(certificate, key))
    assert running.address.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=str(certificate))  # checks the address too
    connection = http.client.HTTPSConnection("127.0.0.1", running.port, timeout=10, context=trusting)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    presented = hashlib.sha256(connection.sock.getpeercert(binary_form=True)).hexdigest().upper()
    assert lan.fingerprint(certificate).replace(":", "") == presented
    connection.close()
    before = certificate.read_bytes()
    assert lan.certificate("127.0.0.1", tmp_path / "state")[0].read_bytes() == before
    says = subprocess.run(["openssl", "x509", "-noout", "-text", "-in", certificate], capture_output=True, text=True)
    assert "CA:FALSE" in says.stdout  # who has its key can speak for this address only
    with pytest.raises(UsageError, match="no certificate with its key"):
        lan.context(certificate, certificate)


@needs_openssl
def test_a_client_that_dawdles_over_its_handshake_holds_nobody_up(served, tmp_path):
    import socket

    certificate, key = lan.certificate("127.0.0.1", tmp_path)
    running = served(own_files(), names=("127.0.0.1",), context=lan.context(certificate, key))
    with socket.create_connection(("127.0.0.1", running.port)):
        trusting = ssl.create_default_context(cafile=str(certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", running.port, timeout=5, context=trusting)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()


def test_without_openssl(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentInvalid, match=r"needs the program openssl .* apt-get install openssl"):
        lan.certificate("127.0.0.1", tmp_path)


def test_a_qr_code_says_the_address():
    pytest.importorskip("segno", reason="draws QR codes: install edgefer[web]")
    code = lan.qr("https://192.0.2.7:8377/")
    assert code.count("\n") > 10 and "█" in code and code != lan.qr("https://192.0.2.8:8377/")


# --- the commands ------------------------------------------------------------------------------------------------------------


def test_both_commands_are_there():
    assert {"serve", "export-web"} <= set(commands.NAMES)


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--port", "70000"], "--port must be a port"),
        (["--host", "x"], "are for --lan"),
        (["--lan", "--certificate", "x"], "belong together"),
        (["--lan", "--host", "../x"], "--host must be an IPv4 address or a name"),
    ],
)
def test_flags_that_make_no_sense(capsys, flags, said):
    assert main(["serve", "--bundle", str(TINY), *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_bundle_without_a_finder(fake_litert, capsys):
    assert main(["serve", "--bundle", str(TINY), "--litert", str(fake_litert)]) == 6
    assert "has no face finder of its own" in capsys.readouterr().err


def test_litert_is_missing_or_another(tmp_path, fake_litert, monkeypatch):
    with pytest.raises(EnvironmentInvalid, match=r"run `make web` in a checkout, or `npm install @litertjs/core@"):
        site.litert_folder(tmp_path / "nothing")
    monkeypatch.setenv(site.VARIABLE, str(fake_litert))
    assert site.litert_folder() == fake_litert
    (fake_litert / site.LITERT / "package.json").write_text('{"version": "1.0.0"}')
    with pytest.raises(
        EnvironmentInvalid, match=f"has @litertjs/core 1.0.0, the page was made for {site.LITERT_VERSION}"
    ):
        site.litert_folder()


def test_the_lock_file_pins_that_version_and_names_no_host():
    lock = json.loads((WEB / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages[f"node_modules/{site.LITERT}"]["version"] == site.LITERT_VERSION
    assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in packages.values())
    assert json.loads((WEB / "package.json").read_text())["dependencies"] == {site.LITERT: site.LITERT_VERSION}


def test_an_export_is_whole_and_replaces_an_earlier_one_only(web_bundle, fake_litert, tmp_path, capsys):
    out = tmp_path / "page"
    command = ["export-web", "--bundle", str(web_bundle.folder), "--litert", str(fake_litert), "--out", str(out)]
    assert main(command) == 0 and "put it on an HTTPS host" in capsys.readouterr().out
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"index.html", "sw.js", "manifest.webmanifest", "litert/core/index.js", "bundle/int8.tflite"} <= files
    assert "app.js.gz" in files and not any(
        "node_modules" in name or name.endswith((".onnx", ".xml")) for name in files
    )
    own = site.files(web_bundle, fake_litert)
    assert files == own.keys() | {f"{name}.gz" for name, path in own.items() if site.compressible(path)}
    assert main(command) == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    shutil.copytree(out / "bundle", other / "bundle")  # a bundle alone is no exported page
    assert main([*command[:-1], str(other)]) == 2 and (other / "thesis.tex").exists()
    assert "holds something else than an exported page" in capsys.readouterr().err


def test_a_bundle_without_litert_is_refused(web_bundle):
    from dataclasses import replace

    others = tuple(artifact for artifact in web_bundle.artifacts if artifact.engine != "litert")
    with pytest.raises(InputRejected, match="has no LiteRT model, which a browser needs"):
        site.bundle_files(replace(web_bundle, artifacts=others))


def test_it_serves_until_it_is_stopped(web_bundle, fake_litert):
    command = [
        sys.executable,
        "-m",
        "edgefer",
        "serve",
        "--bundle",
        web_bundle.folder,
        "--litert",
        fake_litert,
        "--port",
        "0",
    ]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    try:
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", running.stdout.readline())
        assert asked(int(address[1]), "/bundle/bundle.json")[0].status == 200
        assert f"adb reverse tcp:{address[1]}" in running.stdout.readline()
    finally:
        running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 0


@needs_openssl
def test_on_a_lan_it_says_fingerprint_and_limits(web_bundle, fake_litert, tmp_path):
    try:
        host = lan.address()
    except EnvironmentInvalid as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "edgefer", "serve", "--bundle", web_bundle.folder, "--litert", fake_litert]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    running = subprocess.Popen([*command, "--lan", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment)
    said = []
    try:
        while not said or "the page is at" not in said[-1]:
            said.append(running.stdout.readline())
            assert said[-1], "it ended"
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(20)
    text = "".join(said)
    assert re.search(r"SHA-256: ([0-9A-F]{2}:){31}[0-9A-F]{2}", text) and "neither offline use nor installation" in text
    assert f"https://{host}:" in said[-1]


def test_the_shown_bundle_is_verified_first(web_bundle, fake_litert, tmp_path, capsys):
    bad = tmp_path / "bad"
    shutil.copytree(web_bundle.folder, bad)
    (bad / "int8.tflite").write_bytes(b"x")
    assert main(["serve", "--bundle", str(bad), "--litert", str(fake_litert)]) == 6
    assert "int8.tflite does not match its SHA-256" in capsys.readouterr().err
    assert bundle.load(web_bundle.folder).finder
