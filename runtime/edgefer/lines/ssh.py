"""Devices over ssh: the system's own client, its configuration, its keys, its known hosts. It never asks for a password."""

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgefer.errors import EdgeferError, EnvironmentInvalid, Unreachable, last_words
from edgefer.targets import FILE, Target

OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "4",
    "StrictHostKeyChecking": "accept-new",
    "ControlMaster": "auto",
    "ControlPersist": "no",
    "LogLevel": "ERROR",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "RequestTTY": "no",
}
"""No questions; a host that is new is remembered, one whose key changed is refused. The first connection carries all others.
ssh takes the first value it is given, so none of these can be changed by reach.options."""
PYTHON = "python3"
LOST = 255
"""ssh's own exit code."""


class Ssh:
    """See ``edgefer.lines.Line``.

    Args:
        target: whose reach is of kind ssh.
        socket: where the shared connection listens; a short path, since systems bound its length.
    """

    def __init__(self, target: Target, socket: Path):
        self.target, self.reach = target.name, target.reach
        self.name = f"{target.name} ({self.reach['user']}@{self.reach['host']}:{self.reach['port']})"
        given = self.reach.get("options", [])
        options = [*(f"{name}={value}" for name, value in OPTIONS.items()), f"ControlPath={socket}", *given]
        words = [word for option in options for word in ("-o", option)]
        identity = ["-i", str(Path(self.reach["identity"]).expanduser())] if "identity" in self.reach else []
        login = ["-p", str(self.reach["port"]), "-l", self.reach["user"]]
        self.words = ["ssh", *words, *identity, *login, "--", self.reach["host"]]

    def command(self, shell: str) -> list[str]:
        return [*self.words, f"exec sh -c {shlex.quote(shell)}"]

    def put(self, local: Path, remote: str) -> list[str]:
        return [
            "sh",
            "-c",
            f'exec "$@" < {shlex.quote(str(local))}',
            "sh",
            *self.command(f"cat > {shlex.quote(remote)}"),
        ]

    def get(self, remote: str, local: Path) -> list[str]:
        return ["sh", "-c", f'exec "$@" > {shlex.quote(str(local))}', "sh", *self.command(f"cat {shlex.quote(remote)}")]

    def failure(self, code: int, said: str) -> EdgeferError | None:
        return Unreachable(f"target '{self.target}' cannot be reached: {self._reason(said)}") if code == LOST else None

    def _reason(self, said: str) -> str:
        user, host, port = self.reach["user"], self.reach["host"], self.reach["port"]
        if "HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
            known = host if port == 22 else f"[{host}]:{port}"
            return (
                f"{host} shows another host key than before, so it was set up anew or something else answers in its place; "
                f"if you know that it is right, run: ssh-keygen -R '{known}'"
            )
        if "Permission denied" in said:
            return (
                f"{host} refuses the login of {user} without a password; "
                f"run: ssh-copy-id -p {port} {user}@{host}, or name a key as reach.identity in {FILE}"
            )
        told = f"ssh to {host}:{port} was lost or not made ({last_words(said)})"
        return f"{told}; see whether it is on and in reach, and try again"


@contextmanager
def opened(target: Target) -> Iterator[Ssh]:
    """See ``edgefer.lines.opened``."""
    if not shutil.which("ssh"):
        raise EnvironmentInvalid(
            "reaching a device over ssh needs ssh; install it (Debian: apt-get install openssh-client)"
        )
    with tempfile.TemporaryDirectory(prefix="edgefer-") as folder:
        yield Ssh(target, Path(folder) / "s")
