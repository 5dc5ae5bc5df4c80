"""Which files the page consists of: its own, LiteRT's web runtime, and what it reads of a bundle."""

import gzip
import os
import shutil
from pathlib import Path

import edgefer
from edgefer import bundle as bundles
from edgefer.bundle import Bundle
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from edgefer.files import new_folder, read_json
from edgefer.finder_golden import ARRAYS as FINDER_GOLDEN
from edgefer.golden import ARRAYS as GOLDEN
from edgefer.sums import SUMS

LITERT = "@litertjs/core"
LITERT_VERSION = "2.5.3"
"""What the page was written for and tested with; ``runtime/web/package.json`` pins the same."""
VARIABLE = "EDGEFER_LITERT"
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}
"""Suffix of a file of the page → its media type; everything else is plain bytes."""
NOT_SERVED = ("package.json", "package-lock.json")
LITERT_FILES = {
    "litert/package.json": f"{LITERT}/package.json",
    "litert/core/index.js": f"{LITERT}/dist/index.js",
    "litert/wasm-utils/index.js": "@litertjs/wasm-utils/dist/index.js",
} | {
    f"litert/wasm/litert_wasm_{kind}internal.{suffix}": f"{LITERT}/wasm/litert_wasm_{kind}internal.{suffix}"
    for kind in ("", "threaded_", "compat_")
    for suffix in ("js", "wasm")
}
"""Address → file under node_modules. Of the builds a browser loads one: with threads, without, or without relaxed SIMD."""
COMPRESSED = (*TYPES, ".tflite")
"""What is worth compressing on its way."""
LEAST_COMPRESSED = 512


def page_folder() -> Path:
    """Where the page's own files lie: in the wheel beside this package's modules, in a checkout in ``runtime/web``.

    Raises:
        EnvironmentInvalid: the installation lacks them.
    """
    package = Path(edgefer.__file__).parent
    for folder in (package / "web", package.parent / "web"):
        if (folder / INDEX).is_file():
            return folder
    raise EnvironmentInvalid(f"the page's files are not beside {package}; install edgefer again")


def litert_folder(named: str | Path | None = None) -> Path:
    """The ``node_modules`` that holds LiteRT's web runtime: the one named, ``EDGEFER_LITERT``'s, or the page's own.

    Raises:
        EnvironmentInvalid: it is not there, or is another version; says how to get it.
    """
    chosen = named or os.environ.get(VARIABLE)
    folder = Path(chosen) if chosen else page_folder() / "node_modules"
    missing = [name for name in LITERT_FILES.values() if not (folder / name).is_file()]
    how = f"run `make web` in a checkout, or `npm install {LITERT}@{LITERT_VERSION}` and name its node_modules with --litert"
    if missing:
        raise EnvironmentInvalid(f"LiteRT's web runtime is not in {folder} ({missing[0]} is missing); {how}")
    found = read_json(folder / LITERT / "package.json").get("version")
    if found != LITERT_VERSION:
        raise EnvironmentInvalid(f"{folder} has {LITERT} {found}, the page was made for {LITERT_VERSION}; {how}")
    return folder


def files(bundle: Bundle, litert: Path) -> dict[str, Path]:
    """Address (relative, no slash in front) → file, of all that a browser may ask for.

    Raises:
        InputRejected: the bundle has nothing that the page could run.
    """
    page = page_folder()
    own = {path.name: path for path in sorted(page.iterdir()) if path.suffix in TYPES and path.name not in NOT_SERVED}
    engine = {address: litert / name for address, name in LITERT_FILES.items()}
    return own | engine | {f"bundle/{name}": bundle.folder / name for name in bundle_files(bundle)}


def bundle_files(bundle: Bundle) -> list[str]:
    """What the page reads of a bundle: LiteRT's files only."""
    if bundle.finder is None:
        raise InputRejected(
            f"bundle {bundle.folder} has no face finder of its own, which the page needs; export it again with this version"
        )
    artifacts = [*bundle.artifacts, *bundle.finder.artifacts]
    models = [name for artifact in artifacts if artifact.engine == "litert" for name in artifact.files]
    if not any(artifact.engine == "litert" for artifact in bundle.artifacts):
        raise InputRejected(f"bundle {bundle.folder} has no LiteRT model, which a browser needs; export one that has")
    return [SUMS, bundles.MANIFEST, bundles.SPEC, bundles.FINDER, GOLDEN, FINDER_GOLDEN, *models]


def export(bundle: Bundle, litert: Path, out: Path) -> list[Path]:
    """Write the page as a folder that any web server can show; each file that compresses also as ``.gz`` beside it.

    Raises:
        UsageError: ``out`` holds something else than an earlier export.
        InputRejected: the bundle has nothing that the page could run.
    """
    found = files(bundle, litert)
    ours = {name.partition("/")[0] for name in found}
    there = {path.name.removesuffix(".gz") for path in out.iterdir()} if out.is_dir() else set()
    if out.is_file() or not there <= ours:
        raise UsageError(
            f"{out} holds something else than an exported page; name another folder with --out, or empty it"
        )
    with new_folder(out) as folder:
        for address, path in found.items():
            place = folder / address
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            if compressible(path):
                place.with_name(f"{place.name}.gz").write_bytes(packed(path))
    return [out / address for address in found]


def compressible(path: Path) -> bool:
    return path.suffix in COMPRESSED and path.stat().st_size >= LEAST_COMPRESSED


def packed(path: Path) -> bytes:
    """The file's content, gzipped; the same bytes whenever it is done."""
    return gzip.compress(path.read_bytes(), compresslevel=9, mtime=0)
