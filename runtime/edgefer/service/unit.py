"""The systemd unit that keeps ``edgefer run`` running. It is text only; nothing is installed by making it."""

import re
from dataclasses import dataclass, field

from edgefer.errors import ENVIRONMENT, REJECTED, USAGE, UsageError
from edgefer.sources import without_password

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
WATCHDOG_S, RESTART_S, STARTS, STARTS_WITHIN_S = 30, 5, 5, 300
"""Longest silence of the loop; pause before a restart; so many starts within so many seconds, then it stays down."""
HOPELESS = (USAGE, ENVIRONMENT, REJECTED)
"""Exit codes that a restart does not change: a wrong flag, a missing package, a damaged bundle."""


@dataclass(frozen=True)
class Service:
    """What the unit is made of."""

    python: str
    """Absolute path of the interpreter that has edgefer."""
    bundle: str
    """Absolute path of the bundle."""
    source: str
    name: str = "edgefer"
    """Of the unit, its run-time folder /run/NAME and its state folder /var/lib/NAME."""
    user: str | None = None
    """Who runs it; None: a user that systemd makes up, in the group video."""
    memory_mb: int = 256
    """Above this systemd ends it; 120 MB are usual with OpenCV."""
    environment: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    """Further flags of ``edgefer run``."""


def text(service: Service) -> str:
    """The unit file.

    Raises:
        UsageError: a name, path or flag that a unit cannot hold.
    """
    _check(service)
    state, health = f"/var/lib/{service.name}", f"/run/{service.name}/health.json"
    words = [service.python, "-m", "edgefer", "run", "--bundle", service.bundle, "--source", service.source]
    words += ["--wait"] if "--wait" not in service.more else []
    words += [] if "--jsonl" in service.more else ["--jsonl", f"{state}/faces.jsonl"]
    words += [] if "--health" in service.more else ["--health", health]
    start = " ".join(_quoted(word.replace("$", "$$")) for word in (*words, *service.more))
    who = f"User={service.user}" if service.user else "DynamicUser=yes"
    settings = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in service.environment.items())
    return f"""# Written by `edgefer service`. Install: copy to /etc/systemd/system/{service.name}.service, then
#   systemctl daemon-reload && systemctl enable --now {service.name}
# Look: systemctl status {service.name}; journalctl -u {service.name}; cat {health}
[Unit]
Description=edgefer: facial expressions from {_escaped(without_password(service.source))}
After=network-online.target time-sync.target
Wants=network-online.target
StartLimitIntervalSec={STARTS_WITHIN_S}
StartLimitBurst={STARTS}

[Service]
Type=notify
NotifyAccess=main
ExecStart={start}
{settings}Restart=on-failure
RestartSec={RESTART_S}
RestartPreventExitStatus={" ".join(map(str, HOPELESS))}
WatchdogSec={WATCHDOG_S}
WatchdogSignal=SIGKILL
TimeoutStartSec=120
TimeoutStopSec=20
{who}
SupplementaryGroups=video
RuntimeDirectory={service.name}
StateDirectory={service.name}
WorkingDirectory={state}
MemoryMax={service.memory_mb}M
OOMPolicy=stop
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SyslogIdentifier={service.name}

[Install]
WantedBy=multi-user.target
"""


def _check(service: Service) -> None:
    if not NAME.fullmatch(service.name):
        raise UsageError(f"--name {service.name!r} must be letters, digits, dots, dashes and underscores")
    if service.user is not None and not NAME.fullmatch(service.user):
        raise UsageError(f"--user {service.user!r} is no user's name")
    if service.memory_mb < 64:
        raise UsageError(f"--memory must be at least 64 MB, not {service.memory_mb}")
    for word in (service.python, service.bundle, service.source, *service.more, *service.environment.values()):
        if any(ord(letter) < 32 for letter in word):
            raise UsageError(f"{word!r} holds a control character, which a unit cannot; name it otherwise")


def _escaped(word: str) -> str:
    """``%`` begins a specifier in every line of a unit."""
    return word.replace("%", "%%")


def _quoted(word: str) -> str:
    """A word as systemd.syntax(7) reads it back: neither split nor with specifiers; ``ExecStart=`` wants its $ doubled too."""
    word = _escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return word if re.fullmatch(r"[A-Za-z0-9_./:=@%+,-]+", word) else f'"{word}"'
