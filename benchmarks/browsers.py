"""Opening the page in a browser: a phone's, at the end of a cable, or Chromium on this machine."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator

from edgefer import lines
from edgefer.errors import EdgeferError, EnvironmentInvalid, Unreachable
from edgefer.lines import adb
from edgefer.targets import Target

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=412,915",
)  # fmt: skip
"""Without a window, and without the requests of its own that a browser makes when it starts."""
AS_ROOT = "--no-sandbox"
"""What Chromium asks for where root runs it, as in a container."""
PATIENCE_S = 60
FACTS = (
    "getprop ro.product.manufacturer; getprop ro.product.model; getprop ro.soc.model; uname -m; "
    "getprop ro.build.version.release"
)

Show = Callable[[str], None]
"""Opens an address in the browser."""


def chromium() -> str | None:
    """Path of a Chromium; None where none is installed."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def flags() -> tuple[str, ...]:
    """Of Chromium, for the user that we are."""
    return (*FLAGS, AS_ROOT) if os.geteuid() == 0 else FLAGS


@contextlib.contextmanager
def emulated() -> Iterator[Show]:
    """Chromium here, in an empty profile, without a window; it ends with the block.

    Raises:
        EnvironmentInvalid: there is none.
    """
    program = chromium()
    if not program:
        raise EnvironmentInvalid("--emulate needs Chromium; install it (Debian: apt-get install chromium)")
    running = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *flags(), f"--user-data-dir={profile}"]

        def show(address: str) -> None:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            running.append(subprocess.Popen([*command, address], **quiet, start_new_session=True))

        try:
            yield show
        finally:
            for process in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextlib.contextmanager
def phone(target: Target, port: int) -> Iterator[Show]:
    """The browser of an Android device, which is given this machine's port as its own; nothing of that stays.

    Raises:
        EnvironmentInvalid: adb is not installed.
        Unreachable: no device, or it opens no page.
    """
    with lines.opened(target) as line:
        way = f"tcp:{port}"
        lines.run(line, [*line.words, "reverse", way, way], PATIENCE_S)

        def show(address: str) -> None:
            said = lines.run(
                line, line.command(f"am start -a android.intent.action.VIEW -d {shlex.quote(address)} 2>&1"), PATIENCE_S
            )
            if "Error" in said:
                *_, last = said.strip().splitlines()
                raise Unreachable(f"{line.name} opens no page ({last}); unlock it, and see that it has a browser")

        try:
            yield show
        finally:
            with contextlib.suppress(EdgeferError):
                lines.run(line, [*line.words, "reverse", "--remove", way], PATIENCE_S)


def about_phone(target: Target) -> dict:
    """What the device says of itself and a browser does not: ``{model, machine, kernel}``."""
    line = adb.Adb(target)
    maker, model, chip, machine, release = (lines.run(line, line.command(FACTS), PATIENCE_S).split("\n") + [""] * 5)[:5]
    named = " ".join(filter(None, (maker, model))) or None
    return {
        "model": f"{named} ({chip})" if named and chip else named,
        "machine": machine or None,
        "kernel": f"Android {release}" if release else None,
    }
