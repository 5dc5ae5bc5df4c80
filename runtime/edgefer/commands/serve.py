"""``edgefer serve``: the page that runs a bundle in a browser."""

import argparse
import re

from edgefer.commands import note
from edgefer.errors import PASS, UsageError

PORT = 8377


def add(commands) -> None:
    help_ = "serve a page that runs a bundle in a browser, on this machine or on a phone; pictures stay in the browser"
    command = commands.add_parser("serve", help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    command.set_defaults(work=work)
    add = command.add_argument
    add_bundle(add)
    add("--port", type=int, default=PORT, metavar="N", help="default %(default)s; 0 for any that is free")
    add("--lan", action="store_true", help="by HTTPS to the network this machine is on, instead of to itself alone")
    add("--host", metavar="ADDRESS", help="with --lan: the address or name to serve (default: this machine's own)")
    signed = "with --lan: a certificate that the phone trusts, such as a local CA's (default: a self-signed one)"
    add("--certificate", metavar="FILE", help=signed)
    add("--key", metavar="FILE", help="the certificate's key")


def add_bundle(add) -> None:
    """The flags that `edgefer export-web` has as well."""
    from edgefer.browser.site import LITERT, LITERT_VERSION, VARIABLE

    add("--bundle", required=True, metavar="DIR", help="the bundle to run")
    litert = f"node_modules with {LITERT} {LITERT_VERSION} (default: {VARIABLE}, or what `make web` installed)"
    add("--litert", metavar="DIR", help=litert)


def work(args: argparse.Namespace) -> int:
    from edgefer import bundle
    from edgefer.browser import site
    from edgefer.signals import Terminated, terminable

    _check(args)
    files = site.files(bundle.load(args.bundle), site.litert_folder(args.litert))
    try:
        with terminable():
            _serve(args, files)
    except Terminated:
        note("stopped")
    return PASS


def _check(args: argparse.Namespace) -> None:
    if not 0 <= args.port < 65536:
        raise UsageError(f"--port must be a port from 0 to 65535, not {args.port}")
    if not args.lan and (args.host or args.certificate or args.key):
        raise UsageError("--host, --certificate and --key are for --lan; add it, or leave them out")
    if args.host and not re.fullmatch(r"[\w.-]+", args.host):
        raise UsageError(f"--host must be an IPv4 address or a name, not {args.host}")
    if bool(args.certificate) != bool(args.key):
        raise UsageError("--certificate and --key belong together; name both")


def _serve(args: argparse.Namespace, files: dict) -> None:
    import threading

    from edgefer.browser import server

    served = _on_lan(args, files) if args.lan else server.Server(files, port=args.port)
    try:
        print(f"the page is at {served.address} – Ctrl-C ends", flush=True)
        if not args.lan:
            print(
                f"on a phone by cable: adb reverse tcp:{served.port} tcp:{served.port}, then open it there", flush=True
            )
        threading.Event().wait()
    finally:
        served.close()


def _on_lan(args: argparse.Namespace, files: dict):
    from pathlib import Path

    from edgefer.browser import lan, server

    host = args.host or lan.address()
    own = not args.certificate
    certificate, key = lan.certificate(host) if own else (Path(args.certificate), Path(args.key))
    context = lan.context(certificate, key)
    served = server.Server(files, host, args.port, (host,), context)
    if own:
        print(f"certificate, SHA-256: {lan.fingerprint(certificate)}")
        print("it is self-signed: compare it on the phone before you accept it; the page then has the camera, and")
        print("neither offline use nor installation. Those need localhost, an HTTPS host, or a local CA's certificate.")
    code = lan.qr(served.address)
    print(code or "no QR code: install segno for one (pip install 'edgefer[web]')")
    return served
