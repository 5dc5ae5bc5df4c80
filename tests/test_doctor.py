"""The doctor finds what is broken: packages that kill Python, another numpy, a desktop's OpenCV, wheels for elsewhere."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgefer import bundle, doctor
from edgefer.cli import main
from edgefer.doctor import BROKEN, OK, WARNING, packages, system

TINY = Path(__file__).parent / "data" / "tiny"
QEMU = "qemu-x86_64-static"
KILLED = "import os, signal\nos.kill(os.getpid(), signal.SIG{})\n"
ABI = "raise ImportError('numpy.core.multiarray failed to import')\n"


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Puts a package of ours before the real one, for new processes: ``broken(name, source)``."""
    folder = tmp_path / "first"
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def put(name: str, source: str) -> None:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "__init__.py").write_text(source)

    return put


def examined(name: str, bundle_: Path | None = None) -> doctor.Finding | None:
    return doctor._examined(name, bundle_, [sys.executable])


def of(findings: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {found.check: found for found in findings}


def test_this_machine_runs_the_tiny_bundle(tmp_path, capsys):
    code = main(["doctor", "--bundle", str(TINY), "--json", str(tmp_path / "d.json")])
    told, value = capsys.readouterr().out, json.loads((tmp_path / "d.json").read_text())
    found = {entry["check"]: entry for entry in value["findings"]}
    assert code == 0 and value["verdict"] == "pass", told
    for name in (
        "python",
        "cpu",
        "wheels",
        "numpy",
        "engine litert",
        "engine onnxruntime",
        "opencv",
        "bundle",
        "model",
    ):
        assert found[name]["status"] == "ok", found[name]
    assert "litert int8 computes what was exported" in found["model"]["told"]
    assert told.count("\n") == len(found) + 1, "one line each, and the verdict"
    for entry in value["findings"]:
        assert entry["status"] != "ok" or not entry["remedy"]


@pytest.mark.parametrize("how", ["ILL", "SEGV", "BUS"])
def test_a_package_that_kills_python_is_a_finding(broken, how):
    broken("onnxruntime", KILLED.format(how))
    found = examined("engine onnxruntime")
    assert found.status == BROKEN and f"killed by SIG{how}" in found.told and "==VERSION" in found.remedy
    if how == "ILL":
        assert "instructions that this CPU does not have" in found.told


def test_the_command_outlives_it_and_says_3(broken, tmp_path):
    """The engine that the bundle wants: nothing runs. The exit code is the environment's."""
    broken("ai_edge_litert", KILLED.format("ILL"))
    command = [sys.executable, "-m", "edgefer", "doctor", "--bundle", TINY, "--json", tmp_path / "d.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = {entry["check"]: entry for entry in json.loads((tmp_path / "d.json").read_text())["findings"]}
    assert done.returncode == 3 and done.stderr == ""
    assert found["engine litert"]["status"] == "broken" and "SIGILL" in found["engine litert"]["told"]
    assert found["model"]["status"] == "broken" and found["engine onnxruntime"]["status"] == "ok"
    assert "BROKEN   model" in done.stdout and done.stdout.splitlines()[-1].startswith("broken: 2 broken")


def test_an_engine_that_the_bundle_does_not_need_is_a_warning(broken):
    broken("onnxruntime", KILLED.format("ILL"))
    found = of(doctor.examine(TINY))
    assert found["engine onnxruntime"].status == WARNING and "runs without it" in found["engine onnxruntime"].told
    assert found["model"].status == OK
    assert of(doctor.examine())["engine onnxruntime"].status == BROKEN, "without a bundle nobody knows what is needed"


def test_a_numpy_that_kills_python_does_not_kill_the_doctor(broken):
    broken("numpy", KILLED.format("ILL"))
    done = subprocess.run([sys.executable, "-m", "edgefer", "doctor", "--bundle", TINY], capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("BROKEN   numpy") and "SIGILL" in line for line in lines)
    assert any(line.startswith("ok       bundle") for line in lines), "its files are checked without numpy"


@pytest.mark.parametrize("name, check", [("numpy", "numpy"), ("cv2", "opencv"), ("onnxruntime", "engine onnxruntime")])
@pytest.mark.parametrize(
    "source",
    [
        ABI,
        "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility. Expected 96, got 88')\n",
        "try:\n    raise ImportError('_ARRAY_API not found')\n"
        "except ImportError as e:\n    raise ImportError('no luck') from e\n",
        "import sys\nprint('A module that was compiled using NumPy 1.x cannot be run in\\nNumPy 2', file=sys.stderr)\n"
        "__version__ = '1'\nFaceDetectorYN = CascadeClassifier = 1\n"
        "def arange(*a, **k):\n    raise ImportError('numpy.core.multiarray failed to import')\n",
    ],
    ids=["import", "cython", "cause", "stderr"],
)
def test_another_numpys_packages(broken, name, check, source):
    broken(name, source)
    found = examined(check)
    assert found.status == BROKEN and "built for another numpy" in found.told and "numpy<2" in found.remedy


@pytest.mark.parametrize(
    "error, told",
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "needs a desktop's library: libGL.so.1",
        ),
        ("libgthread-2.0.so.0: cannot open shared object file", "needs a desktop's library"),
        ("something else", "it does not load: ImportError: something else"),
    ],
)
def test_an_opencv_for_a_desktop(broken, error, told):
    broken("cv2", f"raise ImportError({error!r})\n")
    found = examined("opencv")
    assert found.status == BROKEN and told in found.told and "opencv-python-headless" in found.remedy


def test_two_opencvs_and_an_opencv_5(broken, tmp_path):
    broken("cv2", "__version__ = '5.0.0'\n")
    assert "lacks a face detector" in examined("opencv").told
    (tmp_path / "first" / "opencv_python-4.12.0.dist-info").mkdir()
    (tmp_path / "first" / "opencv_python-4.12.0.dist-info" / "METADATA").write_text(
        "Name: opencv-python\nVersion: 4.12.0\n"
    )
    found = examined("opencv")
    assert found.status == WARNING and "overwrite each other's files" in found.told


def test_no_opencv_and_no_engine(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    found = packages.opencv()
    assert found.status == WARNING and "pip install 'edgefer[camera]'" in found.remedy
    assert [f.check for f in doctor._weighed([found], False, lambda _: None)] == ["opencv", "engine"]


@pytest.mark.parametrize(
    "tag, told",
    [
        ("cp311-cp311-manylinux_2_99_{machine}", "onnxruntime needs glibc 2.99"),
        ("cp311-cp311-manylinux_2_17_sparc", "onnxruntime is a wheel for manylinux_2_17_sparc"),
    ],
)
def test_wheels_for_another_machine(broken, tmp_path, tag, told):
    broken("nothing", "")
    info = tmp_path / "first" / "onnxruntime-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime\nVersion: 9\n")
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag.format(machine=platform.machine())}\n")
    found = examined("wheels")
    assert found.status == BROKEN and told in found.told and "--force-reinstall" in found.remedy


def test_a_wheel_that_is_for_several_systems_needs_the_oldest():
    tags = [f"manylinux_2_99_{platform.machine()}", f"manylinux_2_17_{platform.machine()}"]
    assert system._wheel_problem(tags, (2, 31)) is None
    assert system._wheel_problem(tags, (2, 5)) == "needs glibc 2.17"
    assert system._wheel_problem(["any"], (2, 5)) is None


def test_a_check_that_hangs(broken, monkeypatch):
    broken("onnxruntime", "import time\ntime.sleep(1000)\n")
    monkeypatch.setattr(doctor, "PATIENCE_S", 1)
    assert "did not answer within 1 s" in examined("engine onnxruntime").told


def test_a_python_that_is_not_there():
    found = doctor._examined("numpy", None, ["/nowhere/python"])
    assert found.status == BROKEN and "No such file" in found.told


@pytest.mark.skipif(platform.machine() != "x86_64", reason="runs this machine's own wheels on an older x86-64 CPU")
def test_a_real_illegal_instruction(monkeypatch):
    """The installed numpy on a CPU without SSE4: no stand-in."""
    if not shutil.which(QEMU):
        pytest.skip(f"needs {QEMU}: apt-get install qemu-user-static")
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)  # it would have another CPU's kernels run
    site = str(Path(np.__file__).parents[1])
    runtime = str(Path(doctor.__file__).parents[2])
    python = [QEMU, "-E", f"PYTHONPATH={runtime}:{site}", "-cpu", "core2duo", str(Path(sys.executable).resolve())]
    found = doctor._examined("numpy", None, python)
    assert found.status == BROKEN and "SIGILL" in found.told
    python[python.index("core2duo")] = "Nehalem"
    assert doctor._examined("numpy", None, python).status == OK, "the least that the table of the doctor says"


# --- a bundle ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "bundle"))


@pytest.mark.parametrize("name", ["bundle.json", "model.json", "int8.tflite", "golden/golden.npz", "SHA256SUMS"])
def test_a_flipped_bit(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 4
    (copy / name).write_bytes(data)
    found = packages.bundle(copy)
    assert found.status == BROKEN and packages.model(copy).status == BROKEN
    assert "\n" not in found.told and "again" in found.told


def test_a_bundle_that_computes_something_else_here(copy):
    from edgefer import golden

    with np.load(copy / golden.ARRAYS) as file:
        arrays = dict(file)
    arrays["probabilities_litert_int8"] = np.roll(arrays["probabilities_litert_int8"], 1, axis=1)
    np.savez(copy / golden.ARRAYS, **arrays)
    bundle.seal(copy)
    found = examined("model", copy)
    assert found.status == BROKEN and "litert int8 does not compute here what was exported: golden 0" in found.told
    assert "run with --engine litert --precision fp32, which does" in found.remedy


def test_an_engine_that_is_not_installed_is_replaced_with_a_warning(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    found = packages.model(TINY)
    assert found.status == WARNING and "using 'onnxruntime'; that computes what was exported" in found.told


def test_what_is_no_bundle(tmp_path, capsys):
    assert main(["doctor", "--bundle", str(tmp_path)]) == 3
    assert "is not a bundle" in capsys.readouterr().out


# --- the machine -------------------------------------------------------------------------------------------------------------


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    "machine, text, status, told",
    [
        ("x86_64", "flags\t\t: fpu sse2 ssse3 cx16 lahf_lm sse4_1", BROKEN, "it lacks popcnt, sse4_2"),
        ("x86_64", "flags\t\t: ssse3 cx16 lahf_lm sse4_1 sse4_2 popcnt avx2", OK, "fast paths: avx2"),
        ("aarch64", "Features\t: fp asimd crc32", OK, "fast paths: none"),
        ("aarch64", "Features\t: fp", BROKEN, "it lacks asimd"),
        ("aarch64", "", WARNING, "does not tell"),
        ("riscv64", "", BROKEN, "no engine has wheels for riscv64"),
    ],
)
def test_cpu(tmp_path, machine, text, status, told):
    found = system.cpu(put(tmp_path, {"proc/cpuinfo": f"processor\t: 0\n{text}\n"}), machine)
    assert found.status == status and told in found.told


@pytest.mark.parametrize(
    "files, status, told",
    [
        ({"proc/meminfo": "MemAvailable:   8000000 kB\n"}, OK, "8192 MB available"),
        ({"proc/meminfo": "MemAvailable:   100000 kB\n"}, WARNING, "102 MB available"),
        ({"proc/meminfo": "MemAvailable:   10000 kB\n"}, BROKEN, "10 MB available"),
        ({"proc/meminfo": "nothing"}, WARNING, "does not tell"),
        (
            {
                "proc/meminfo": "MemAvailable:   8000000 kB\n",
                "sys/fs/cgroup/memory.max": "100000000",
                "sys/fs/cgroup/memory.current": "60000000",
            },
            BROKEN,
            "40 MB left of the container's",
        ),
    ],
)
def test_memory(tmp_path, files, status, told):
    found = system.memory(put(tmp_path, files))
    assert found.status == status and told in found.told


GOVERNOR = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
ZONE = "sys/class/thermal/thermal_zone0/"


@pytest.mark.parametrize(
    "files, status, told",
    [
        ({GOVERNOR: "performance\n", f"{ZONE}temp": "51000"}, OK, "governor performance, no throttling"),
        ({GOVERNOR: "powersave\n"}, WARNING, "the governor is powersave"),
        ({f"{ZONE}temp": "85500", f"{ZONE}type": "cpu-thermal"}, WARNING, "it is hot: cpu-thermal 86 °C"),
        (
            {"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "7\n"},
            WARNING,
            "throttled by heat 7 times",
        ),
        ({}, OK, "temperatures not told"),
    ],
)
def test_speed(tmp_path, monkeypatch, files, status, told):
    monkeypatch.setattr(system, "_throttled_pi", lambda: "")
    found = system.speed(put(tmp_path, files))
    assert found.status == status and told in found.told and bool(found.remedy) == (status != OK)


@pytest.mark.parametrize(
    "said, told",
    [
        ("throttled=0x0", ""),
        ("throttled=0x5", "under-voltage, throttled"),
        ("throttled=0x50005", "under-voltage, throttled"),
        ("throttled=0x20000", "frequency capped since boot"),
        ("error", ""),
    ],
)
def test_what_a_pi_says(tmp_path, monkeypatch, said, told):
    tool = tmp_path / "vcgencmd"
    tool.write_text(f"#!/bin/sh\necho '{said}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert system._throttled_pi() == told
    assert (system.speed(tmp_path).status == WARNING) == bool(told)


def test_cameras(tmp_path, monkeypatch):
    assert "no /dev/video*" in system.camera(tmp_path).told
    put(tmp_path, {"dev/video0": "", "dev/video1": ""})
    assert system.camera(tmp_path).told == "/dev/video0, /dev/video1 can be opened"
    monkeypatch.setattr(os, "access", lambda path, _: path.name != "video1")
    found = system.camera(tmp_path)
    assert found.status == WARNING and "video1 may not be opened" in found.told and "usermod" in found.remedy


def test_the_clock(monkeypatch):
    monkeypatch.setattr(system, "_unsynchronised", lambda: False)
    assert system.clock().status == OK
    assert "1970-01-01 00:01 UTC, which is before edgefer was installed" in system.clock(60.0).told
    monkeypatch.setattr(system, "_unsynchronised", lambda: True)
    assert system.clock().status == WARNING


def test_the_disk(tmp_path, monkeypatch):
    assert str(tmp_path) in system.disk(str(tmp_path)).told
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5 * 10**6})())
    assert system.disk(str(tmp_path)).status == WARNING


@pytest.mark.parametrize(
    "version, bits, status",
    [((3, 11), 2**63, OK), ((3, 10), 2**63, BROKEN), ((3, 14), 2**63, BROKEN), ((3, 12), 2**31, BROKEN)],
)
def test_pythons(monkeypatch, version, bits, status):
    monkeypatch.setattr(system.sys, "version_info", (*version, 0))
    monkeypatch.setattr(system.sys, "maxsize", bits)
    assert system.python().status == status
