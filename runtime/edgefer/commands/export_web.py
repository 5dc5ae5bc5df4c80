"""``edgefer export-web``: the page and a bundle as a folder for any web server."""

import argparse

from edgefer.commands.serve import add_bundle
from edgefer.errors import PASS


def add(commands) -> None:
    help_ = "write the page that runs a bundle in a browser as a folder of static files, for any HTTPS host"
    command = commands.add_parser("export-web", help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    command.set_defaults(work=work)
    add_bundle(command.add_argument)
    command.add_argument("--out", required=True, metavar="DIR", help="the folder; an earlier export is replaced")


def work(args: argparse.Namespace) -> int:
    from pathlib import Path

    from edgefer import bundle
    from edgefer.browser import site

    out = Path(args.out)
    written = site.export(bundle.load(args.bundle), site.litert_folder(args.litert), out)
    size = sum(path.stat().st_size for path in written) / 1e6
    print(
        f"{out}: {len(written)} files, {size:.1f} MB; put it on an HTTPS host, or try it here: python3 -m http.server -d {out}"
    )
    return PASS
