"""Reaching devices: a real sshd on loopback, the real adb client against a device of ours, and what is left behind: nothing."""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml
from device_fixtures import WAIT_S, cut_connections, free_port

from benchmarks import agreement, contenders, reach, resources, verdict
from benchmarks.reach import about, remote
from benchmarks.reach.about import About
from benchmarks.reach.local import Local
from edgefer import bundle, targets
from edgefer.errors import EdgeferError, EnvironmentInvalid, Unreachable
from edgefer.lines import adb, ssh
from edgefer.spec import FERPLUS_LABELS, Alignment, ModelSpec

ROOT = Path(__file__).resolve().parents[1]
POINTS = ((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75))
SPEC = ModelSpec("efficientface", FERPLUS_LABELS, 16, 1, Alignment(POINTS, {}))
SHARED = {
    "description": "a test",
    "precision": "int8",
    "threads": 1,
    "vnni": False,
    "margin_points": 0.5,
    "budgets": {},
}
OPEN_AND_WORK = """
import sys
from benchmarks import reach
from edgefer import targets
with reach.opened(targets.get("there", sys.argv[1])) as device, device.worker({"kind": "artifact", "engine": "null",
        "model": sys.argv[2], "threads": 1, "shape": [1, 16, 16, 1]}) as worker:
    worker.ask("load")
    print(device.folder, flush=True)
    worker.ask("run", seconds=300)
"""
"""A client that is at work on the device "there" of a devices.yaml until something happens to it."""


def target_file(path: Path, reach_: dict, engine: str = "onnxruntime", **others: dict) -> Path:
    """A devices.yaml with a target "there", and others by name and reach."""
    reaches = {"there": reach_, **others}
    entries = {name: {**SHARED, "engine": engine, "reach": each} for name, each in reaches.items()}
    path.write_text(yaml.safe_dump({"schema": 1, "targets": entries}))
    return path


def target(tmp_path: Path, reach_: dict, engine: str = "onnxruntime") -> targets.Target:
    return targets.get("there", target_file(tmp_path / "devices.yaml", reach_, engine))


def opened(tmp_path: Path, reach_: dict, engine: str = "onnxruntime"):
    return reach.opened(target(tmp_path, reach_, engine))


def null_job(folder: Path) -> dict:
    SPEC.save(folder / "model.json")
    return {
        "kind": "artifact",
        "engine": "null",
        "model": str(folder / "model.json"),
        "threads": 1,
        "shape": [1, 16, 16, 1],
    }


def processes_naming(folder: str | Path) -> list[str]:
    """Command lines, of other processes than ours, with this text in them."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            lines += [line] if str(folder) in line and int(process.name) != os.getpid() else []
    return lines


def assert_gone(folder: str | Path) -> None:
    """Soon, neither this folder nor a process that runs from it is there any more."""
    end = time.monotonic() + WAIT_S
    while (
        left := [*([folder] if Path(folder).exists() else []), *processes_naming(folder)]
    ) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []


def client(file: Path, folder: Path) -> tuple[subprocess.Popen, str]:
    """``OPEN_AND_WORK`` in a process group of its own, its worker busy; and its folder on the device."""
    command = [sys.executable, "-c", OPEN_AND_WORK, str(file), null_job(folder)["model"]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    there = process.stdout.readline().decode().strip()
    assert there, process.stderr.read().decode()
    assert Path(there).is_dir() and processes_naming(there)
    return process, there


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A tiny bundle for onnxruntime."""
    pytest.importorskip("onnx", reason="makes the tiny model: install edgefer[workshop]")
    from test_bench_run import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle", damage=0.001)


def run_benchmark(name: str, file: Path, bundle: Path, record: Path) -> subprocess.CompletedProcess:
    """``benchmarks/run.py`` on a target, as a person calls it; without torch, which is quicker."""
    hide = record.parent / f"no-torch-{name}"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    command = [sys.executable, ROOT / "benchmarks" / "run.py", "--target", name, "--devices", file, "--bundle", bundle]
    command += ["--quick", "--data", "synthetic", "--json", record]
    environment = {**os.environ, "PYTHONPATH": f"{hide}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)


# --- ssh ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def over_ssh(sshd, tmp_path_factory) -> Iterator[remote.Remote]:
    """An open device of engine onnxruntime, for what can share one."""
    pytest.importorskip("onnxruntime", reason="is the engine: install edgefer[workshop]")
    with reach.opened(target(tmp_path_factory.mktemp("over-ssh"), sshd["reach"])) as device:
        yield device


def test_a_device_tells_what_it_has(over_ssh):
    has = over_ssh.about
    assert (has.machine, has.bits, has.python) == (platform.machine(), 64, sys.version_info[:2])
    assert "onnxruntime" in has.engines and has.opencv and not has.torch


def test_a_device_gets_runtime_and_worker_and_no_workshop(over_ssh):
    there = sorted(path.name for path in Path(over_ssh.folder).iterdir())
    assert there == ["benchmarks", "edgefer", "files"]
    sent = {path.name for path in Path(over_ssh.folder, "benchmarks").glob("*.py")}
    assert sent == {f"{name}.py" for name in remote.STAGED}


def test_the_fingerprint_is_read_on_the_device(over_ssh):
    found = reach.fingerprint(over_ssh)
    assert found["cpu"]["machine"] == platform.machine() and found["python"] == sys.version.split()[0]
    assert "git" not in found
    assert reach.installed_mb(over_ssh, ("numpy",)) > 5


def test_a_cold_start_is_timed_by_the_devices_own_clock(over_ssh, tmp_path):
    with over_ssh.worker(null_job(tmp_path)) as worker:
        times = worker.start()
    assert times["spawned_ns"] > worker.spawned_ns, "the device's own note replaces ours, which has the way to it in it"
    stamps = [times[name] for name in ("spawned_ns", "imported_ns", "engine_ns", "loaded_ns", "answered_ns")]
    assert stamps == sorted(stamps)


def test_files_go_and_come_back_whole_and_changed_ones_go_again(over_ssh, tmp_path):
    file = tmp_path / "some file.bin"
    for content in (bytes(range(256)) * 999, b"shorter"):
        file.write_bytes(content)
        there = over_ssh.put(file)
        assert Path(there).read_bytes() == content and there.startswith(str(over_ssh.folder))
    file.unlink()
    over_ssh.get(file)
    assert file.read_bytes() == b"shorter"


def test_predictions_over_ssh_are_those_made_here(over_ssh, tiny, tmp_path):
    crops = np.random.default_rng(1).integers(0, 256, (20, 16, 16, 1), np.uint8)
    np.save(tmp_path / "crops.npy", crops)
    model = str(tiny / "int8.onnx")
    job = {"kind": "artifact", "engine": "onnxruntime", "model": model, "threads": 1, "shape": [1, 16, 16, 1]}
    here, there = (agreement.probabilities(job, tmp_path / "crops.npy", device) for device in (Local(), over_ssh))
    assert np.array_equal(here, there)


def test_a_worker_that_is_killed_there_is_not_a_lost_device(over_ssh, tmp_path):
    with over_ssh.worker(null_job(tmp_path)) as worker:
        worker.ask("load")
        kill_naming(f"{over_ssh.folder}/benchmarks/worker.py")
        with pytest.raises(EdgeferError, match="null") as caught:
            worker.ask("first")
    assert not isinstance(caught.value, Unreachable)


def kill_naming(text: str) -> None:
    """Kill the workers of ours whose command line begins an interpreter with this text."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[1:3] == ["-P", text]:
                os.kill(int(process.name), signal.SIGKILL)


def test_a_folder_goes_with_the_block_and_with_an_error_in_it(sshd, tmp_path):
    with contextlib.suppress(ZeroDivisionError), opened(tmp_path, sshd["reach"]) as device:
        assert Path(device.folder).is_dir()
        raise ZeroDivisionError
    assert not Path(device.folder).exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_client_that_is_killed_or_stopped_leaves_nothing(sshd, tmp_path, how):
    process, there = client(target_file(tmp_path / "devices.yaml", sshd["reach"]), tmp_path)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does at Ctrl-C
    else:
        process.kill()
    process.wait(WAIT_S)
    assert_gone(there)


def test_a_connection_that_is_cut_is_a_lost_device_and_leaves_nothing(sshd, tmp_path):
    with (
        pytest.raises(Unreachable, match="cannot be reached"),
        opened(tmp_path, sshd["reach"]) as device,
        device.worker(null_job(tmp_path)) as worker,
    ):
        worker.ask("load")
        cut_connections(sshd["server"])
        worker.ask("first")
    assert_gone(device.folder)


def test_a_changed_host_key_is_refused(sshd, tmp_path):
    port = sshd["reach"]["port"]
    other = (sshd["folder"] / "login.pub").read_text().split()[:2]
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{port} {' '.join(other)}\n")
    changed = {**sshd["reach"], "options": [f"UserKnownHostsFile={known}"]}
    with pytest.raises(Unreachable, match=r"another host key.*ssh-keygen -R '\[127.0.0.1\]"), opened(tmp_path, changed):
        pass


def test_no_option_of_a_target_turns_that_check_off(sshd, tmp_path):
    careless = {**sshd["reach"], "options": ["StrictHostKeyChecking=no", *sshd["reach"]["options"]]}
    told = subprocess.run(
        [*ssh.Ssh(target(tmp_path, careless), tmp_path / "s").words[:-2], "-G", "--", "x"], capture_output=True
    )
    assert b"stricthostkeychecking accept-new" in told.stdout


def test_a_login_that_is_refused(sshd, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    refused = {**sshd["reach"], "identity": str(tmp_path / "other")}
    with pytest.raises(Unreachable, match=r"refuses the login.*ssh-copy-id"), opened(tmp_path, refused):
        pass


def test_a_port_at_which_nothing_answers(sshd, tmp_path):
    with (
        pytest.raises(Unreachable, match="Connection refused"),
        opened(tmp_path, {**sshd["reach"], "port": free_port()}),
    ):
        pass


def test_an_interpreter_that_is_not_there(sshd, tmp_path):
    nowhere = {**sshd["reach"], "python": "/nowhere/python3"}
    with (
        pytest.raises(EnvironmentInvalid, match=r"no usable '/nowhere/python3'.*reach.python"),
        opened(tmp_path, nowhere),
    ):
        pass


def test_an_interpreter_without_the_engine(sshd, tmp_path):
    """A real interpreter in which onnxruntime cannot be found."""
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    with (
        pytest.raises(EnvironmentInvalid, match="has no numpy"),
        opened(tmp_path, {**sshd["reach"], "python": str(bare)}),
    ):
        pass


FULL = {"machine": "aarch64", "bits": 64, "python": (3, 11), "modules": ("numpy", "ai_edge_litert", "onnxruntime")}


@pytest.mark.parametrize(
    ("has", "engine", "told"),
    [
        ({"machine": "armv7l", "bits": 32}, "litert", "runs a 32-bit armv7l system.*install a 64-bit system"),
        ({"bits": 32}, "litert", "runs a 32-bit aarch64 system"),
        ({"python": (3, 9)}, "litert", "has Python 3.9 .*3.11 is needed"),
        ({"modules": ("onnxruntime",)}, "onnxruntime", "has no numpy.*pip install numpy"),
        ({"modules": ("numpy",)}, "litert", "has no engine 'litert'.*pip install ai-edge-litert or tflite-runtime"),
        ({}, "openvino", "has no engine 'openvino'"),
    ],
)
def test_what_a_device_may_lack(has, engine, told):
    with pytest.raises(EnvironmentInvalid, match=f"^pi {told}"):
        about.check(About(**FULL | has), engine, "pi", "python3")


def test_a_device_that_has_all():
    about.check(About(**FULL), "litert", "pi", "python3")


def test_an_answer_that_is_none():
    with pytest.raises(EdgeferError, match="answered 'Welcome!'"):
        about.told("Welcome!\n", "pi")


def test_the_whole_benchmark_over_ssh_while_another_target_fails(sshd, tiny, tmp_path):
    """Two at once, as the nightly job does: one is nowhere, which is no matter to the other."""
    nowhere = {**sshd["reach"], "port": free_port()}
    file = target_file(tmp_path / "devices.yaml", sshd["reach"], nowhere=nowhere)
    before = set(sshd["place"].iterdir())
    with ThreadPoolExecutor() as pool:
        lost, done = pool.map(lambda n: run_benchmark(n, file, tiny, tmp_path / f"{n}.json"), ("nowhere", "there"))
    assert lost.returncode == 5 and "nothing answers" in lost.stderr and not (tmp_path / "nowhere.json").exists()
    assert done.returncode in (0, 3), done.stderr  # 3: the machine is too busy to time anything on, and the run says so
    record = json.loads((tmp_path / "there.json").read_text())
    metrics, environment = record["metrics"], record["environment"]
    for name in ("latency_ms", "fps", "pipeline_fps", "cold_start_ms", "peak_rss_mb", "flip_rate", "installed_mb"):
        assert metrics[name]["value"] is not None, name
    assert metrics["speedup_vs_onnxruntime_fp32"]["value"] > 0
    eager = metrics["speedup_vs_eager_fp32"]
    assert eager["value"] is None and "not put on devices" in eager["note"]
    assert environment["reach"] == "ssh" and environment["cpu"] and environment["workstation"]["cpu"]
    assert set(sshd["place"].iterdir()) == before


# --- adb ---------------------------------------------------------------------------------------------------------------------


def test_adb_is_a_line_with_exit_codes_and_both_streams(phone, tmp_path):
    line = adb.Adb(target(tmp_path, phone["reach"]))
    done = subprocess.run(line.command("echo out; echo err >&2; exit 7"), capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert line.failure(7, "err") is None


def test_predictions_over_adb_are_those_made_here_and_nothing_is_left(phone, tiny, tmp_path):
    crops = np.random.default_rng(1).integers(0, 256, (20, 16, 16, 1), np.uint8)
    np.save(tmp_path / "crops.npy", crops)
    job = {"kind": "artifact", "engine": "onnxruntime", "threads": 1, "shape": [1, 16, 16, 1]}
    job["model"] = str(tiny / "int8.onnx")
    with opened(tmp_path, phone["reach"]) as device:
        device.stage(bundle.load(tiny))
        there = agreement.probabilities(job, tmp_path / "crops.npy", device)
        assert reach.fingerprint(device)["cpu"]["machine"] == platform.machine()
        assert resources.memory(job, device)["steady"]["vm_hwm"] > 10e6
    assert np.array_equal(there, agreement.probabilities(job, tmp_path / "crops.npy", Local()))
    assert_gone(device.folder)


def test_a_killed_client_leaves_nothing_on_a_phone(phone, tmp_path):
    process, there = client(target_file(tmp_path / "devices.yaml", phone["reach"]), tmp_path)
    process.kill()
    process.wait(WAIT_S)
    assert_gone(there)


def test_a_phone_that_goes_in_the_middle_is_lost(phone, tmp_path):
    with (
        pytest.raises(Unreachable, match="adb lost the device"),
        opened(tmp_path, phone["reach"]) as device,
        device.worker(null_job(tmp_path)) as worker,
    ):
        worker.ask("load")
        phone["process"].kill()
        worker.ask("first")


def test_a_phone_without_termux(phone, tmp_path):
    without = {name: value for name, value in phone["reach"].items() if name != "python"}
    with pytest.raises(EnvironmentInvalid, match=r"com.termux.*not found.*by ssh"), opened(tmp_path, without):
        pass


# --- emulated aarch64 --------------------------------------------------------------------------------------------------------


def emulated(arm_root: Path, cpu: str = "cortex-a72") -> dict:
    return {"kind": "emulated", "cpu": cpu, "root": str(arm_root)}


@pytest.mark.parametrize("cpu", ["cortex-a72", "cortex-a76"])
def test_an_emulated_pi_says_what_it_is(arm_root, tmp_path, cpu):
    with opened(tmp_path, emulated(arm_root, cpu)) as device:
        found = reach.fingerprint(device)["cpu"]
        assert {"litert", "onnxruntime"} <= set(device.about.engines)
    assert found["machine"] == "aarch64" and found["model"].startswith(cpu.capitalize().replace("-a", "-A"))
    assert ("asimddp" in found["flags"]) == (cpu == "cortex-a76"), "only a Pi 5 has dot products"


@pytest.mark.parametrize(("engine", "precision"), [(e, p) for e in ("litert", "onnxruntime") for p in ("fp32", "int8")])
def test_an_emulated_pi_computes_what_was_exported(arm_root, bundle_folder, tmp_path, engine, precision):
    """The golden vectors of the default bundle, made on x86, within the bundle's own tolerance."""
    opened_ = bundle.load(bundle_folder)
    job = contenders.artifact_job(opened_, engine, precision, 1)
    with opened(tmp_path, emulated(arm_root), engine) as device:
        assert agreement.golden_problems(opened_, {precision: job}, device) == []


def test_an_emulated_run_answers_without_any_time(arm_root, tiny, tmp_path):
    """Function, agreement and memory are measured; no time is, and a budget of one stays open without harm."""
    file = target_file(tmp_path / "devices.yaml", emulated(arm_root))
    entries = yaml.safe_load(file.read_text())
    entries["targets"]["there"]["budgets"] = {"fps": {"min": 40}, "flip_rate": {"max": 0.03}}
    file.write_text(yaml.safe_dump(entries))
    done = run_benchmark("there", file, tiny, tmp_path / "there.json")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "there.json").read_text())["metrics"]
    for name, kind in verdict.KINDS.items():
        if kind.timed:
            assert (metrics[name]["value"], metrics[name]["verdict"]) == (None, "not measured")
            assert metrics[name]["note"] == "emulated: no time counts"
    assert metrics["flip_rate"]["verdict"] == "pass" and metrics["flip_rate"]["value"] < 0.03
    assert metrics["peak_rss_mb"]["value"] > 30 and "QEMU's own share" in metrics["peak_rss_mb"]["note"]
    assert " ms" not in done.stdout and "frames/s" not in done.stdout


# --- places ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach_", "place"),
    [
        ({"kind": "local", "machine": "x86_64"}, "local"),
        ({"kind": "emulated", "cpu": "cortex-a72", "root": "build/arm"}, "local"),
        ({"kind": "ssh", "host": "localhost", "user": "pi", "port": 22}, "local"),
        ({"kind": "ssh", "host": "Pi4.local", "user": "pi", "port": 22}, "pi4.local"),
        ({"kind": "ssh", "host": "pi4.local", "user": "other", "port": 2222}, "pi4.local"),
        ({"kind": "adb", "serial": ""}, "adb"),
        ({"kind": "adb", "serial": "abc"}, "adb abc"),
    ],
)
def test_targets_of_one_machine_have_one_place(tmp_path, reach_, place):
    assert reach.place(target(tmp_path, reach_)) == place
