"""The workstation's side of flash, rollback and status: which steps, in which order, and what is said of each."""

import getpass
import hashlib
import os
import re
import socket
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edgefer import __version__, lines, targets
from edgefer import bundle as bundles
from edgefer.engines import ENGINES
from edgefer.errors import EdgeferError, EnvironmentInvalid, InputRejected, Unreachable, UsageError
from edgefer.flash import checks, payload, session
from edgefer.flash.options import PREFIX
from edgefer.flash.trial import INSTALLING_S, RESTARTING_S, TESTING_S, Run, Watch
from edgefer.lines import Line
from edgefer.targets import Target

Say = Callable[[str, str], None]
"""Is told a step and what came of it."""


@dataclass(frozen=True)
class Order:
    """What is to be put where."""

    target: Target
    bundle: Path
    run: Run
    prefix: str
    watch: Watch = field(default_factory=Watch)
    signers: Path | None = None
    """An allowed_signers file that the device is to trust from now on."""


def prefix_of(target: Target, given: str | None) -> str:
    """Where versions lie: what was given, what the target says, or the usual place."""
    return given or target.reach.get("path") or PREFIX[kind_of(target)]


def kind_of(target: Target) -> str:
    """The kind of reach.

    Raises:
        UsageError: nothing can be flashed by it.
    """
    kind = target.reach["kind"]
    if kind not in lines.KINDS:
        raise UsageError(
            f"target '{target.name}' is {kind}, which is no device that keeps anything; choose one of {', '.join(lines.KINDS)}"
        )
    return kind


def owner() -> str:
    """Who flashes, for whoever finds the device's lock held."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container whoever it is may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def flash(order: Order, say: Say) -> dict:
    """Put a bundle on a device and have it run there; what was done, as JSON values.

    Raises:
        InputRejected: the bundle is damaged, arrived damaged, or is not signed as the device asks.
        Unreachable: the device does not answer or was lost.
        EnvironmentInvalid: it lacks something, or somebody else is flashing it.
        BudgetBroken: it computes other than was exported there, or was not well in its first minute and was taken back.
    """
    opened = bundles.load(order.bundle)
    opened.artifact(order.run.engine, order.run.precision)
    files = _files(opened)
    version, sizes = _version(opened, files), {name: path.stat().st_size for name, path in files.items()}
    say(
        "bundle",
        f"{opened.name}, made for {opened.target}: {len(bundles.read_sums(order.bundle))} files as in SHA256SUMS",
    )
    with _line(order.target) as line, tempfile.TemporaryDirectory() as folder:
        device = checks.ask(line, lines.python(order.target), order.prefix)
        checks.check(device, order.target, order.run.engine, sizes, line.name)
        say("device", device.told)
        archive = Path(folder) / "upload.tar"
        digest, size = payload.pack(files, archive)
        work = _Flash(order, line, device, version, digest, say)
        with (
            _losses(work, order.target, line),
            session.opened(line, device.executable, device.temporary, device.prefix, owner()) as work.session,
        ):
            work.begin()
            work.bring(archive, size)
            work.check(ENGINES[order.run.engine].extra)
            return work.activate()


class _Flash:
    """One flash on its way."""

    def __init__(self, order: Order, line: Line, device: checks.Device, version: str, digest: str, say: Say):
        self.order, self.line, self.device, self.version, self.digest = order, line, device, version, digest
        self.say, self.step, self.session = say, "lock", None
        self.result = {"target": order.target.name, "prefix": device.prefix, "device": asdict(device)}

    def begin(self) -> None:
        begin_told(self.session.first, self.say)
        if self.order.signers:
            self.session.ask("trust", text=self.order.signers.read_text())

    def bring(self, archive: Path, size: int) -> None:
        self.step = "upload"
        if there := self.session.ask("find", lines.CARRYING_S, name=self.version, digest=self.digest):
            self.say("upload", f"not needed: {there} is there, every hash as it was sent")
            return
        remote = self.session.ask("room")
        try:
            lines.run(self.line, self.line.put(archive, remote), lines.carrying_s(archive.stat().st_size))
        except EdgeferError as error:
            raise _full(error, self.device) from None
        self.say("upload", f"{size / 1e6:.1f} MB to {self.device.prefix}/incoming")
        self.step = "hashes"
        done = self.session.ask("unpack", lines.CARRYING_S, digest=self.digest)
        self.say("hashes", f"{done['files']} files arrived as they were sent")

    def check(self, extra: str) -> None:
        self.step = "signature"
        signer = self.session.ask("verify", lines.CARRYING_S)["signer"]
        self.say("signature", f"by {signer}, whom the device trusts" if signer else _unsigned(self.order.bundle))
        self.step = "wheels"
        wheels = self.session.ask("install", INSTALLING_S + 60, extra=extra)["wheels"]
        if wheels:
            self.say("wheels", f"{wheels} from the bundle installed, nothing fetched")
        self.step = "self-test"
        run = self.order.run
        done = self.session.ask("selftest", TESTING_S + 60, **asdict(run))
        self.say(
            "self-test", f"{run.engine} {run.precision}: {done['vectors']} golden vectors replayed within tolerance"
        )
        self.result |= {"signer": signer, "wheels": wheels, "golden_vectors": done["vectors"]}

    def activate(self) -> dict:
        self.step = "switch"
        facts = {"by": owner(), "bundle": self.version, "runtime": __version__, "digest": self.digest}
        done = activate(self.session, self.version, self.order.run, self.order.watch, facts, self.say)
        return self.result | {"run": asdict(self.order.run), **done}


def activate(talk: session.Session, name: str, run: Run, watch: Watch, facts: dict, say: Say) -> dict:
    """Have the device switch to what it has checked, and watch it."""
    patience = watch.seconds + TESTING_S + 2 * RESTARTING_S
    heard = lambda event: say(event["event"], event["told"])  # noqa: E731
    done = talk.ask("activate", patience, heard, name=name, run=asdict(run), watch=asdict(watch), facts=facts)
    say("watch", done["told"])
    return {name: done[name] for name in ("version", "before", "previous")}


def rollback(target: Target, prefix: str, watch: Watch, say: Say) -> dict:
    """Go back to the version before; what was done, as JSON values. Raises as ``flash`` does."""
    with _line(target) as line:
        device = _visited(line, target, prefix)
        step = _Step()
        with (
            _losses(step, target, line),
            session.opened(line, device.executable, device.temporary, device.prefix, owner()) as talk,
        ):
            begin_told(talk.first, say)
            there = talk.ask("previous")
            step.step = "self-test"
            vectors = talk.ask("selftest", TESTING_S + 60, **there["run"])["vectors"]
            say("self-test", f"{there['version']}: {vectors} golden vectors replayed within tolerance")
            step.step = "switch"
            how = Watch(watch.seconds, watch.health, watch.restart or there["watch"].get("restart", ""))
            done = activate(talk, there["version"], Run(**there["run"]), how, {}, say)
    return {"target": target.name, "prefix": device.prefix, **done}


def status(target: Target, prefix: str, test: bool = True) -> dict:
    """What runs on a device, as JSON values; ``current`` is None where nothing was ever flashed. Raises as ``flash`` does."""
    with _line(target) as line:
        device = checks.ask(line, lines.python(target), prefix)
        about = {"target": target.name, "device": asdict(device)}
        if not device.there:
            return {
                **about,
                "prefix": device.prefix,
                "current": None,
                "previous": None,
                "free_bytes": device.free_bytes,
            }
        with (
            _losses(_Step(), target, line),
            session.opened(line, device.executable, device.temporary, device.prefix) as talk,
        ):
            return about | talk.ask("status", TESTING_S + 60, test=test)


@dataclass
class _Step:
    step: str = "status"


class _losses:
    """Turn the loss of a device into a sentence that says what runs there now."""

    def __init__(self, work, target: Target, line: Line):
        self.work, self.target, self.line = work, target, line

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind, error, _trace) -> None:
        if not isinstance(error, Unreachable):
            return
        now = "what ran before runs on; try again"
        if self.work.step == "switch":
            now = "the device finishes by itself, and goes back if the new version is not well: see `edgefer status`"
        raise Unreachable(f"{self.line.name} was lost at '{self.work.step}' ({error}): {now}") from None


def _line(target: Target):
    kind_of(target)
    if reason := targets.unreachable_reason(target):
        raise Unreachable(reason)
    return lines.opened(target)


def _visited(line: Line, target: Target, prefix: str) -> checks.Device:
    device = checks.ask(line, lines.python(target), prefix)
    if not device.there:
        raise EnvironmentInvalid(
            f"nothing was ever flashed to {line.name}: there is no {device.prefix}; run `edgefer flash`"
        )
    return device


def begin_told(first: dict, say: Say) -> None:
    """What the agent found when it took the lock."""
    stale = first["stale"]
    if stale:
        say("lock", f"taken over: {stale.get('owner')} left it at '{stale.get('step')}' on {stale.get('since')}")
    if first["recovered"]:
        say("recovered", first["recovered"])
    now = f"{first['current']} runs there" if first["current"] else "nothing runs there yet"
    say("lock", f"held; {now}")


def _files(opened: bundles.Bundle) -> dict[str, Path]:
    """All that goes to the device: the bundle as its sums list it, and the runtime where no wheel brings it."""
    names = [*bundles.read_sums(opened.folder), bundles.SUMS]
    names += [bundles.SIGNATURE] if (opened.folder / bundles.SIGNATURE).is_file() else []
    files = {f"bundle/{name}": opened.folder / name for name in names}
    if not any(re.match(r"wheels/edgefer-.*\.whl$", name) for name in names):
        files |= {f"runtime/{name}": path for name, path in session.package_files().items()}
    if outside := [name for name in files if not payload.inside(name)]:
        raise InputRejected(f"'{outside[0]}' is no name for a file of a bundle; export it again")
    return files


def _version(opened: bundles.Bundle, files: dict[str, Path]) -> str:
    """NAME-HASH of the bundle's sums, and where the runtime is ours, -rHASH of that."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", opened.name).strip("-.") or "bundle"
    text = f"{name}-{hashlib.sha256((opened.folder / bundles.SUMS).read_bytes()).hexdigest()[:12]}"
    runtime = hashlib.sha256()
    for file, path in files.items():
        if file.startswith("runtime/"):
            runtime.update(f"{file}\0".encode() + path.read_bytes() + b"\0")
    return f"{text}-r{runtime.hexdigest()[:6]}" if any(f.startswith("runtime/") for f in files) else text


def _unsigned(folder: Path) -> str:
    signed = (folder / bundles.SIGNATURE).is_file()
    return f"{'there, but not checked' if signed else 'none'}: the device has no allowed_signers"


def _full(error: EdgeferError, device: checks.Device) -> EdgeferError:
    if "No space left" in str(error) or "Disk quota" in str(error):
        return EnvironmentInvalid(
            f"the disk under {device.prefix} is full: make room there and flash again; nothing was changed"
        )
    return error
