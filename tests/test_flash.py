"""Flashing this machine into a folder: what is said, what runs then, how it goes back, what is refused beforehand."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgefer import bundle, cli, lines, sums, targets
from edgefer.errors import EnvironmentInvalid, InputRejected
from edgefer.flash import checks, session
from edgefer.flash.checks import Device
from edgefer.flash.layout import Prefix

TINY = Path(__file__).parent / "data" / "tiny"
WAIT_S = 30


def renamed(folder: Path, name: str) -> Path:
    """The tiny bundle under another name, so that it is another version."""
    shutil.copytree(TINY, folder / name)
    path = folder / name / bundle.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": name}))
    bundle.seal(folder / name)
    return folder / name


@pytest.fixture
def place(tmp_path) -> Path:
    """A device's prefix."""
    return tmp_path / "device"


@pytest.fixture
def bundles(tmp_path) -> list[Path]:
    return [renamed(tmp_path, name) for name in ("one", "two", "three")]


def edgefer(command: str, place: Path, *words) -> int:
    return cli.main([command, "--prefix", str(place), *map(str, words)])


def flash(place: Path, folder: Path, *words) -> int:
    watch = () if "--watch" in words else ("--watch", "0")
    return edgefer("flash", place, "--bundle", folder, "--engine", "onnxruntime", *watch, *words)


def versions(place: Path) -> dict:
    """Names before the hash: what is current, previous, and there at all."""
    prefix = Prefix(place)
    short = lambda name: name and name.split("-")[0]  # noqa: E731
    there = sorted(short(path.name) for path in prefix.versions.iterdir()) if prefix.versions.exists() else []
    return {"current": short(prefix.current), "previous": short(prefix.previous), "there": there}


def test_a_first_flash_says_each_step_and_leaves_a_version_that_runs(place, bundles, capsys):
    assert flash(place, bundles[0], "--json", place.parent / "done.json") == 0
    out = capsys.readouterr().out
    steps = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert steps == ["bundle", "device", "lock", "upload", "hashes", "signature", "self-test", "switch", "watch"]
    assert "runs now on this machine (the first one there)" in out and f"{place}/current/bin/edgefer run" in out
    done = json.loads((place.parent / "done.json").read_text())
    assert done["version"].startswith("one-") and done["before"] is None and done["golden_vectors"] == 4
    assert versions(place) == {"current": "one", "previous": None, "there": ["one"]}
    assert sorted(path.name for path in place.iterdir()) == ["current", "lock", "status.json", "versions"]


def test_what_was_flashed_runs_from_there_alone(place, bundles, tmp_path):
    """The launcher, from another folder, with the version's own runtime."""
    import cv2

    assert flash(place, bundles[0]) == 0
    cv2.imwrite(str(tmp_path / "face.png"), np.full((64, 64), 90, np.uint8))
    words = ["run", "--bundle", place / "current" / "bundle", "--source", tmp_path / "face.png", "--detector", "none"]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([place / "current/bin/edgefer", *words], cwd="/", env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["faces"]) == 1


def test_two_versions_are_kept_and_older_ones_go(place, bundles):
    seen = []
    for folder in bundles:
        assert flash(place, folder) == 0
        seen.append(versions(place))
    assert seen[1] == {"current": "two", "previous": "one", "there": ["one", "two"]}
    assert seen[2] == {"current": "three", "previous": "two", "there": ["three", "two"]}


def test_the_same_bundle_again_is_checked_and_not_sent(place, bundles, capsys):
    assert flash(place, bundles[0]) == flash(place, bundles[0]) == 0
    out = capsys.readouterr().out
    assert "upload     not needed" in out and out.rstrip().splitlines()[-2].endswith("(as before)")
    assert versions(place) == {"current": "one", "previous": None, "there": ["one"]}


def test_a_version_that_was_damaged_on_the_device_is_sent_again(place, bundles):
    assert flash(place, bundles[0]) == 0
    model = place / "current" / "bundle" / "int8.onnx"
    model.write_bytes(model.read_bytes()[:-7])
    assert edgefer("status", place) == 1
    assert flash(place, bundles[0]) == 0
    assert edgefer("status", place) == 0


def test_rollback_and_forward_again(place, bundles, capsys):
    assert flash(place, bundles[0]) == flash(place, bundles[1]) == 0
    assert edgefer("rollback", place) == 0
    assert versions(place) == {"current": "one", "previous": "two", "there": ["one", "two"]}
    assert "self-test" in capsys.readouterr().out
    assert edgefer("rollback", place) == 0
    assert versions(place)["current"] == "two"


def test_rollback_without_anything_to_go_back_to(place, bundles, capsys):
    assert edgefer("rollback", place) == 3
    assert "nothing was ever flashed" in capsys.readouterr().err
    assert flash(place, bundles[0]) == 0
    assert edgefer("rollback", place) == 3
    assert "no earlier version" in capsys.readouterr().err


def test_rollback_refuses_a_previous_version_that_is_damaged(place, bundles, capsys):
    assert flash(place, bundles[0]) == flash(place, bundles[1]) == 0
    (place / "previous" / "bundle" / "model.json").write_text("{}")
    assert edgefer("rollback", place) == 6
    assert "model.json does not match its SHA-256" in capsys.readouterr().err
    assert versions(place)["current"] == "two"


def test_status(place, bundles, capsys, tmp_path):
    assert edgefer("status", place, "--json", tmp_path / "none.json") == 3
    assert "nothing was flashed" in capsys.readouterr().out and not place.exists()
    assert json.loads((tmp_path / "none.json").read_text())["current"] is None
    assert flash(place, bundles[0]) == flash(place, bundles[1]) == 0
    assert edgefer("status", place, "--json", tmp_path / "two.json") == 0
    found = json.loads((tmp_path / "two.json").read_text())
    assert found["current"].startswith("two-") and found["previous"].startswith("one-")
    assert found["confirmed"] and found["health"] == {"ok": True, "told": "4 golden vectors replayed"}
    assert found["free_bytes"] > 0 and found["flashing"] is None and found["failed"] is None
    assert "confirmed, since" in capsys.readouterr().out


def test_a_bad_first_minute_goes_back_by_itself(place, bundles, capsys, tmp_path):
    log = tmp_path / "restarts"
    restart = f'readlink {place}/current >> {log}; test -n "$EDGEFER_VERSION"'
    assert flash(place, bundles[0], "--restart", restart) == 0
    assert flash(place, bundles[1], "--restart", restart, "--health", "echo it is cold >&2; exit 3") == 1
    assert versions(place) == {"current": "one", "previous": None, "there": ["one"]}
    err = capsys.readouterr().err
    assert "was taken back" in err and "it is cold" in err and "one-" in err.split(";")[-1]
    assert [line.split("/")[1].split("-")[0] for line in log.read_text().splitlines()] == ["one", "two", "one"]
    assert edgefer("status", place) == 0
    assert "it is cold" in capsys.readouterr().out


def test_a_service_that_dies_within_the_watch_goes_back(place, bundles, tmp_path):
    """The restart command starts a program; the health command sees it end after a moment."""
    assert flash(place, bundles[0]) == 0
    pid = tmp_path / "pid"
    restart = f"sleep 1.5 & echo $! > {pid}"
    words = ("--watch", "20", "--restart", restart, "--health", f"kill -0 $(cat {pid})")
    assert flash(place, bundles[1], *words) == 1
    assert versions(place) == {"current": "one", "previous": None, "there": ["one"]}


def test_what_runs_and_is_flashed_again_without_being_well_is_not_the_way_back(place, bundles, capsys, tmp_path):
    assert flash(place, bundles[0]) == flash(place, bundles[1]) == 0
    assert flash(place, bundles[1], "--health", "false") == 1
    assert "runs and is not well" in capsys.readouterr().err
    assert edgefer("status", place, "--json", tmp_path / "status.json") == 0
    assert not json.loads((tmp_path / "status.json").read_text())["confirmed"]
    assert flash(place, bundles[2]) == 0
    assert versions(place) == {"current": "three", "previous": "one", "there": ["one", "three"]}


def test_lines_that_come_at_once_are_all_heard(tmp_path):
    """Such as the switch and the end of a watch of no seconds, in one packet."""

    class Here:
        def command(self, shell: str) -> list[str]:
            return ["sh", "-c", shell]

    both = r"""printf '{"event": "switch"}\n{"ok": 7}\n'; read line"""
    with (tmp_path / "said").open("w+b") as said, lines.started(Here(), both, said) as process:
        heard = []
        assert session.Session(Here(), process, said).answer(WAIT_S, heard.append) == 7
        assert heard == [{"event": "switch"}]
        process.stdin.close()


def test_a_restart_that_fails_goes_back(place, bundles, capsys):
    assert flash(place, bundles[0]) == 0
    assert flash(place, bundles[1], "--restart", "case $EDGEFER_VERSION in two*) exit 1;; esac") == 1
    assert "restart command" in capsys.readouterr().err and versions(place)["current"] == "one"


def test_a_first_flash_that_is_not_well_leaves_nothing_current(place, bundles, capsys):
    assert flash(place, bundles[0], "--health", "false") == 1
    assert "nothing ran before it" in capsys.readouterr().err
    assert versions(place) == {"current": None, "previous": None, "there": []}


def test_the_version_before_stays_the_previous_one_when_a_third_is_not_well(place, bundles):
    assert flash(place, bundles[0]) == flash(place, bundles[1]) == 0
    assert flash(place, bundles[2], "--health", "false") == 1
    assert versions(place) == {"current": "two", "previous": "one", "there": ["one", "two"]}


def test_golden_vectors_that_do_not_replay_change_nothing(place, bundles, capsys):
    assert flash(place, bundles[0]) == 0
    path = bundles[1] / "golden" / "golden.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["probabilities_onnxruntime_int8"] = arrays["probabilities_onnxruntime_int8"][:, ::-1].copy()
    np.savez_compressed(path, **arrays)
    bundle.seal(bundles[1])
    assert flash(place, bundles[1]) == 1
    assert "computes other than was exported" in capsys.readouterr().err
    assert versions(place) == {"current": "one", "previous": None, "there": ["one"]}
    assert not (place / "incoming").exists()


def test_a_bundle_that_is_damaged_here_is_not_sent(place, bundles, capsys):
    (bundles[0] / "fp32.onnx").write_bytes(b"")
    assert flash(place, bundles[0]) == 6
    assert "does not match its SHA-256" in capsys.readouterr().err and not place.exists()


@pytest.mark.parametrize(
    "words", [("--engine", "tensorrt"), ("--precision", "int4"), ("--watch", "-1"), ("--threads", "0")]
)
def test_usage(place, bundles, words):
    assert flash(place, bundles[0], *words) == 2


def test_an_emulated_target_cannot_be_flashed(place, bundles, capsys):
    assert flash(place, bundles[0], "--target", "rpi4-emulated") == 2
    assert "is no device that keeps anything" in capsys.readouterr().err


def test_a_target_without_an_address(place, bundles, capsys):
    assert flash(place, bundles[0], "--target", "rpi4") == 5
    assert "set reach.host" in capsys.readouterr().err


def busy_flash(place: Path, folder: Path, flag: Path) -> subprocess.Popen:
    """A flash in its watch, which ends well when the flag goes."""
    flag.touch()
    health = f"while test -e {flag}; do sleep 0.1; done"
    words = [
        "flash",
        "--bundle",
        folder,
        "--prefix",
        place,
        "--engine",
        "onnxruntime",
        "--watch",
        "0",
        "--health",
        health,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgefer", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("  switch"):
            return process
    raise AssertionError(process.stderr.read())


def test_a_second_flash_while_one_runs(place, bundles, tmp_path, capsys):
    first = busy_flash(place, bundles[0], tmp_path / "flag")
    assert flash(place, bundles[1]) == 3
    err = capsys.readouterr().err
    assert "has been flashing this device since" in err and "(at 'watch')" in err and "kill " in err
    assert edgefer("status", place) == 0
    assert "its first minute goes on" in capsys.readouterr().out
    (tmp_path / "flag").unlink()
    assert first.wait(WAIT_S) == 0
    assert flash(place, bundles[1]) == 0 and versions(place)["previous"] == "one"


def test_a_lock_whose_holder_was_killed_is_taken_over(place, bundles, tmp_path, capsys):
    first = busy_flash(place, bundles[0], tmp_path / "flag")
    end = time.monotonic() + WAIT_S
    while '"watch"' not in (place / "lock").read_text() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.1)  # the note is written, then cut to its length
    os.kill(json.loads((place / "lock").read_text())["pid"], 9)
    assert first.wait(WAIT_S) == 5
    (tmp_path / "flag").unlink()
    assert "lost at 'switch'" in first.stderr.read()
    assert edgefer("status", place) == 0
    assert "unconfirmed: its first minute was cut short" in capsys.readouterr().out
    assert flash(place, bundles[1]) == 0
    out = capsys.readouterr().out
    assert "taken over:" in out and "left it at 'watch'" in out and "was cut short: it runs, unconfirmed" in out
    assert versions(place) == {"current": "two", "previous": "one", "there": ["one", "two"]}


def test_a_client_that_goes_in_the_watch_does_not_stop_it(place, bundles, tmp_path):
    first = busy_flash(place, bundles[0], tmp_path / "flag")
    first.kill()
    first.wait(WAIT_S)
    (tmp_path / "flag").unlink()
    end = time.monotonic() + WAIT_S
    while (place / "lock").stat().st_size and time.monotonic() < end:
        time.sleep(0.05)
    facts = Prefix(place).read()["versions"]
    assert [f["confirmed"] for f in facts.values()] == [True]


def test_a_damaged_status_file_costs_no_version(place, bundles):
    assert flash(place, bundles[0]) == flash(place, bundles[1]) == 0
    (place / "status.json").write_text('{"schema": 1, "versions"')
    assert flash(place, bundles[2]) == 0
    assert versions(place)["current"] == "three" and versions(place)["previous"] in ("one", "two")


# --- what a device must have -------------------------------------------------------------------------------------------------

PI = Device(
    "aarch64", 64, (3, 11, 2), "/usr/bin/python3", "glibc", "2.36", ("numpy", "pip", "ai_edge_litert"), "/home/pi/e", True,
    False, 10**9, "/tmp", "pi",
)  # fmt: skip
WHEELS = [
    f"bundle/wheels/{name}.whl"
    for name in ("edgefer-0.1.0-py3-none-any", "numpy-2.4.6-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64")
]


def target(machine: str | None = "aarch64", **others) -> targets.Target:
    reach = {"kind": "ssh", "host": "pi", "user": "pi", "port": 22, **({"machine": machine} if machine else {})}
    return targets.Target("rpi4", "", {**reach, **others}, "litert", "int8", 4, True, 0.5)


def refused(files: dict[str, int] | list[str] = (), target_=None, engine: str = "litert", **has) -> str:
    device = Device(**{**vars(PI), **has})
    with pytest.raises(EnvironmentInvalid) as caught:
        checks.check(device, target_ or target(), engine, dict.fromkeys(files, 1000), "the pi")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_device_that_has_all():
    checks.check(PI, target(), "litert", {"bundle/a": 10**6}, "the pi")
    checks.check(Device(**{**vars(PI), "modules": ()}), target(None), "litert", dict.fromkeys(WHEELS, 10), "the pi")


@pytest.mark.parametrize(
    ("has", "told"),
    [
        ({"machine": "x86_64"}, "a x86_64 machine, and devices.yaml says that rpi4 is aarch64"),
        ({"machine": "armv7l", "bits": 32}, "a 32-bit armv7l system.*install such a system"),
        ({"bits": 32}, "a 32-bit aarch64 system"),
        ({"python": (3, 9, 2)}, "Python 3.9, and one from 3.11 to 3.13 is needed"),
        ({"python": (3, 14, 0)}, "Python 3.14, and one from 3.11 to 3.13 is needed"),
        (
            {"modules": ("numpy",)},
            "no ai-edge-litert for /usr/bin/python3: .*pip install ai-edge-litert, or .*--wheels",
        ),
        ({"modules": ()}, "no numpy and ai-edge-litert"),
        ({"writable": False}, "cannot be written by this login: .*reach.path"),
        ({"free_bytes": 5_000_000}, r"5.0 MB free at /home/pi/e and 8\.\d needed"),
    ],
)
def test_what_a_device_may_lack(has, told):
    assert re.search(f"^the pi: .*{told}", refused(["bundle/a"], **has))


@pytest.mark.parametrize(
    ("has", "told"),
    [
        ({"machine": "x86_64"}, "numpy-2.4.6-.*is not for x86_64"),
        ({"python": (3, 13, 1)}, "is for another Python: export the bundle again with --wheels 3.13"),
        ({"libc_version": "2.26"}, "needs glibc 2.27, and the device has 2.26"),
        ({"libc": "", "libc_version": ""}, "needs glibc 2.27, and the device has none"),
    ],
)
def test_wheels_that_a_device_cannot_install(has, told):
    assert re.search(told, refused(WHEELS, target(None), **has))


def test_all_problems_at_once():
    told = refused(["bundle/a"], python=(3, 10, 0), free_bytes=0)
    assert "Python 3.10" in told and "MB free" in told


def test_room_is_for_upload_unpacked_files_and_installed_wheels():
    files = {"bundle/a": 1_000_000, "bundle/wheels/b.whl": 1_000_000}
    assert checks.room(files) >= 2 * 2_000_000 + 4 * 1_000_000


def test_this_machine_tells_what_it_is(tmp_path):
    here = targets.Target("here", "", {"kind": "local", "machine": platform.machine()}, "litert", "int8", 1, False, 0.5)
    from edgefer import lines

    with lines.opened(here) as line:
        device = checks.ask(line, sys.executable, str(tmp_path / "not" / "yet"))
        assert (device.machine, device.python) == (platform.machine(), sys.version_info[:3])
        assert device.prefix == str(tmp_path / "not" / "yet") and device.writable and not device.there
        with pytest.raises(EnvironmentInvalid, match="no usable '/nowhere/python3'"):
            checks.ask(line, "/nowhere/python3", str(tmp_path))


def test_the_agent_needs_nothing_but_the_standard_library():
    blocked = "import sys\nfor n in ('numpy', 'yaml', 'cv2', 'onnxruntime'): sys.modules[n] = None\n"
    program = f"{blocked}import edgefer.flash.agent\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_files_that_the_sums_do_not_list_are_not_taken(bundles):
    sums.check_sums(bundles[0])
    (bundles[0] / "more.py").touch()
    with pytest.raises(InputRejected, match=r"more\.py is not listed in SHA256SUMS"):
        sums.check_sums(bundles[0])
    (bundles[0] / "more.py").rename(bundles[0] / "model.json")
    with pytest.raises(InputRejected, match=r"model\.json does not match its SHA-256"):
        sums.check_sums(bundles[0])
    (bundles[0] / "model.json").unlink()
    with pytest.raises(InputRejected, match=r"model\.json is missing"):
        sums.check_sums(bundles[0])
