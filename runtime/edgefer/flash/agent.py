"""The device's side of a flash: one process that answers one JSON line with another, until its input closes.

It comes with the flash, runs from its own archive with the standard library alone, and is all that changes anything under the
prefix. When the one who asks is gone it finishes what it is at, a watch included, and ends.

Requests are ``{"do": name, …}``; answers ``{"ok": …}`` or ``{"error": sentence, "code": exit code}``, and before them any
number of ``{"event": step, "told": words}``.
"""

import errno
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from edgefer import signing
from edgefer.errors import (
    INTERNAL,
    PASS,
    BudgetBroken,
    EdgeferError,
    EnvironmentInvalid,
    InputRejected,
    throw_away_output,
)
from edgefer.files import write_text
from edgefer.flash import lock, payload, switch, trial
from edgefer.flash.layout import Prefix
from edgefer.flash.trial import Run, Watch
from edgefer.sums import check_sums


def main(arguments: list[str]) -> int:
    """``PREFIX OWNER``: change things there, under its lock; ``PREFIX`` alone: only look."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a lost connection must not end a watch before its decision
    prefix = Prefix(arguments[0])
    try:
        if len(arguments) == 1:
            _serve(Reader(prefix))
            return PASS
        prefix.folder.mkdir(parents=True, exist_ok=True)
        with lock.held(prefix, arguments[1]) as held:
            _serve(Agent(prefix, held))
    except (EdgeferError, OSError) as error:
        _answer(_error(error, prefix))
    return PASS


def _serve(agent) -> None:
    there = _answer({"ok": agent.begin()})
    try:
        while there and (line := sys.stdin.readline()):
            there = _answer(_reply(agent, line))
    finally:
        agent.end()


def _reply(agent, line: str) -> dict:
    try:
        request = json.loads(line)
        work = getattr(agent, f"do_{request.pop('do')}")
        return {"ok": work(**request)}
    except Exception as error:  # whatever it is, the other side is told, and goes on or not
        return _error(error, agent.prefix)


def _error(error: Exception, prefix: Prefix) -> dict:
    if isinstance(error, EdgeferError):
        return {"error": str(error), "code": error.exit_code}
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        there = shutil.disk_usage(prefix.folder).free / 1e6
        told = f"the disk under {prefix.folder} is full ({there:.1f} MB free); make room there and flash again"
        return {"error": told, "code": EnvironmentInvalid.exit_code}
    if isinstance(error, OSError):
        place = error.filename or prefix.folder
        told = f"{place} cannot be used ({error.strerror}); see to it on the device, or use another --prefix"
        return {"error": told, "code": EnvironmentInvalid.exit_code}
    return {"error": f"the device's side failed: {error!r}", "code": INTERNAL}


def _answer(value: dict) -> bool:
    """Say something to the other side; whether somebody is there."""
    try:
        print(json.dumps(value), flush=True)
    except BrokenPipeError:
        throw_away_output()
        return False
    return True


class Reader:
    """Only looks."""

    def __init__(self, prefix: Prefix):
        self.prefix = prefix

    def begin(self) -> dict:
        return {}

    def end(self) -> None:
        pass

    def do_status(self, test: bool) -> dict:
        """What runs, whether it is well, what is before it, how much room there is."""
        prefix, value = self.prefix, self.prefix.read()
        name = prefix.current
        facts = value["versions"].get(name, {})
        confirmed = facts.get("confirmed", False) and not value["switch"]
        return {
            "prefix": str(prefix.folder),
            "current": name,
            "confirmed": confirmed,
            "health": self._health(name, facts) if name and test else None,
            "facts": facts,
            "previous": prefix.previous,
            "failed": value["failed"],
            "flashing": lock.holder(prefix),
            "signed_only": prefix.signers.is_file(),
            "free_bytes": shutil.disk_usage(prefix.folder).free,
        }

    def _health(self, name: str, facts: dict) -> dict:
        """``{ok, told}``: the version's own self-test, now."""
        try:
            vectors = trial.selftest(self.prefix.version(name), _run_of(name, facts))["vectors"]
        except EdgeferError as error:
            return {"ok": False, "told": str(error)}
        return {"ok": True, "told": f"{vectors} golden vectors replayed"}


class Agent:
    """Changes things, under the lock."""

    def __init__(self, prefix: Prefix, held: lock.Lock):
        self.prefix, self.held = prefix, held
        self.arrived = prefix.incoming / "version"
        self.at: Path | None = None
        """The version that is being worked on: it has arrived, or is there already."""

    def begin(self) -> dict:
        """Put right what an earlier flash left."""
        self.prefix.tidy()
        return {
            "stale": self.held.stale,
            "recovered": switch.recover(self.prefix),
            "current": self.prefix.current,
            "previous": self.prefix.previous,
            "signed_only": self.prefix.signers.is_file(),
        }

    def end(self) -> None:
        self.prefix.tidy()

    def do_room(self) -> str:
        """Where the upload is to go."""
        self.held.step("upload")
        self.prefix.incoming.mkdir(exist_ok=True)
        return str(self.prefix.incoming / "upload.tar")

    def do_find(self, name: str, digest: str) -> str | None:
        """Name of the version that was unpacked from a list of that hash and is whole, where there is one."""
        for folder in sorted(self.prefix.versions.glob(f"{name}*")):
            if not payload.problems(folder, digest):
                self.at = folder
                return folder.name
        return None

    def do_trust(self, text: str) -> None:
        """From now on, take only bundles signed by one of these keys."""
        there = self.prefix.signers
        if there.exists() and there.read_text() != text:
            raise EnvironmentInvalid(
                f"the device trusts other keys than those: compare {there} there with yours, and replace it by hand"
            )
        write_text(there, text)

    def do_unpack(self, digest: str) -> dict:
        """Unpack the upload; every file is as it was sent."""
        self.held.step("hashes")
        archive = self.prefix.incoming / "upload.tar"
        count = payload.unpack(archive, self.arrived, digest)
        archive.unlink()
        self.at = self.arrived
        return {"files": count}

    def do_verify(self) -> dict:
        """The bundle's own hashes, and its signature where one is asked for."""
        self.held.step("signature")
        folder = self.at / "bundle"
        check_sums(folder)
        return {"signer": signing.verify(folder, self.prefix.signers) if self.prefix.signers.is_file() else None}

    def do_install(self, extra: str) -> dict:
        """The bundle's wheels, and the command."""
        self.held.step("wheels")
        trial.write_launcher(self.at)
        if self.at != self.arrived:
            return {"wheels": 0}
        count = trial.install(self.at, extra)
        return {"wheels": count}

    def do_selftest(self, engine: str, precision: str, threads: int) -> dict:
        """The golden vectors, on this device."""
        self.held.step("self-test")
        return trial.selftest(self.at, Run(engine, precision, threads))

    def do_activate(self, name: str, run: dict, watch: dict, facts: dict) -> dict:
        """Switch to the version, watch it, and keep it or go back; asks nobody on the way."""
        how, run_ = Watch(**watch), Run(**run)
        self.held.step("switch")
        if self.at == self.arrived:
            name = switch.place(self.prefix, self.arrived.name, name)
            self.at = self.prefix.versions / name
        name, before = self.at.name, self.prefix.current
        known = self.prefix.read()["versions"].get(name)
        os.sync()  # all that was unpacked and installed: one wait instead of one a file
        self._point(name, before, {**facts, "run": run, "watch": watch, "switched": lock.now()})
        _answer({"event": "switch", "told": f"current -> versions/{name}"})
        self.held.step("watch")
        try:
            told = trial.watch(self.prefix, self.at, run_, how)
        except Exception as error:
            gone_back = self._gone_back(name, before, str(error), how)
            if known and name != before and self.prefix.version(name):
                self.prefix.note(name, **known)
            raise gone_back from None
        switch.confirm(self.prefix)
        return {"version": name, "before": before, "previous": self.prefix.previous, "told": told}

    def _point(self, name: str, before: str | None, facts: dict) -> None:
        """Note the version and switch to it; all is as it was when that fails."""
        undo = {"to": name, "current": before, "previous": self.prefix.previous}
        try:
            known = self.prefix.read()["versions"].get(name, {})
            self.prefix.note(name, **facts, confirmed=known.get("confirmed", False))
            if name != before:
                switch.switch(self.prefix, name)
        except BaseException:
            switch.undo(self.prefix, undo)
            raise

    def _gone_back(self, name: str, before: str | None, why: str, how: Watch) -> BudgetBroken:
        """Undo the switch; the sentence that says so."""
        if name == before:
            self.prefix.note(name, confirmed=False)
            return BudgetBroken(f"{name} runs and is not well: {why}; see `edgefer rollback`")
        now = switch.go_back(self.prefix, why, lock.now())
        told = f"{now} runs again" if now else "nothing ran before it, so nothing runs now"
        try:
            if now:
                trial.restart(self.prefix, self.prefix.version(now), how)
        except BudgetBroken as error:
            told += f", but {error}"
        return BudgetBroken(f"{name} was not well and was taken back: {why}; {told}")

    def do_previous(self) -> dict:
        """Take the previous version up again: ``{version, run, watch}``, as it was flashed.

        Raises:
            EnvironmentInvalid: there is none.
        """
        self.held.step("rollback")
        name = self.prefix.previous
        if not name:
            raise EnvironmentInvalid("there is no earlier version on the device to go back to; flash one")
        self.at = self.prefix.version(name)
        facts = self.prefix.read()["versions"].get(name, {})
        return {"version": name, "run": vars(_run_of(name, facts)), "watch": facts.get("watch", {})}


def _run_of(name: str, facts: dict) -> Run:
    """How a version is run, as was noted when it was flashed.

    Raises:
        InputRejected: the note is gone.
    """
    try:
        return Run(**facts["run"])
    except (KeyError, TypeError):
        raise InputRejected(f"status.json on the device does not say how {name} is run; flash it again") from None
