"""devices.yaml: the shipped file is right, a wrong one tells all its problems, an absent device says what to do."""

import dataclasses
import platform
import shutil
import socket
import sys
from pathlib import Path

import pytest
import yaml

from edgefer import targets
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError

SSH = {"kind": "ssh", "host": "pi.local", "user": "pi", "port": 22}


@pytest.fixture
def write(tmp_path):
    """Write a devices.yaml: one good target 'box', changed by the arguments; a field given as None is left out."""

    def _write(text: str | None = None, **fields):
        path = tmp_path / "devices.yaml"
        entry = {
            "description": "a box",
            "reach": {"kind": "local", "machine": "x86_64"},
            "engine": "litert",
            "precision": "int8",
            "threads": 2,
            "vnni": False,
            "margin_points": 0.5,
            "budgets": {"fps": {"min": 40}},
            **fields,
        }
        entry = {name: value for name, value in entry.items() if value is not None}
        path.write_text(yaml.safe_dump({"schema": 1, "targets": {"box": entry}}) if text is None else text)
        return path

    return _write


def rejected(path) -> str:
    with pytest.raises(InputRejected) as caught:
        targets.load(path)
    told = str(caught.value)
    assert told.startswith(str(path)) and "\n" not in told
    return told


def test_the_shipped_file():
    shipped = targets.load()
    assert sorted(shipped) == ["android", "i7", "rpi4", "rpi4-emulated", "rpi5", "rpi5-emulated"]
    i7 = shipped["i7"]
    assert i7.reach["kind"] == "local" and i7.budgets["fps"] == targets.Budget(min=40)
    assert {"fps", "speedup_vs_eager_fp32", "peak_rss_mb", "artifact_mb", "cold_start_ms", "flip_rate"} <= set(
        i7.budgets
    )


def test_every_field_of_the_shipped_file_is_documented():
    head = targets.default_path().read_text().split("schema: 1")[0]
    names = [f.name for f in dataclasses.fields(targets.Target) if f.name != "name"]
    names += [metric for target in targets.load().values() for metric in target.budgets]
    names += [name for wanted in (*targets.REACH.values(), *targets.REACH_OPTIONAL.values()) for name in wanted]
    assert [name for name in names if name not in head] == []


def test_unknown_target():
    with pytest.raises(UsageError) as caught:
        targets.get("i9")
    assert (
        str(caught.value)
        == "unknown target 'i9'; devices.yaml has android, i7, rpi4, rpi4-emulated, rpi5, rpi5-emulated"
    )


def test_a_good_file(write):
    box = targets.load(write())["box"]
    assert box.threads == 2 and box.budgets == {"fps": targets.Budget(min=40)}


@pytest.mark.parametrize(
    "fields, told",
    [
        ({"engine": "tensorrt"}, "engine 'tensorrt' is not one of litert, onnxruntime, openvino"),
        ({"engine": "null"}, "engine 'null'"),
        ({"precision": "int4"}, "precision 'int4' is not one of fp32, int8"),
        ({"threads": 0}, "threads must be"),
        ({"threads": True}, "threads must be"),
        ({"vnni": "no"}, "vnni must be true or false or auto"),
        ({"margin_points": 2}, "margin_points must be from 0 to 0.5"),
        ({"description": None}, "field 'description' is missing"),
        ({"colour": "red"}, "field 'colour' is unknown"),
        ({"budgets": []}, "'budgets' must be a mapping"),
        ({"budgets": {"fps": {"min": 1, "max": 2}}}, "budget fps: it must have exactly one of 'min' and 'max'"),
        ({"budgets": {"fps": {}}}, "budget fps: it must have exactly one"),
        ({"budgets": {"fps": {"least": 1}}}, "budget fps: it must have exactly one"),
        ({"budgets": {"fps": {"min": "fast"}}}, "budget fps: min must be a number"),
        ({"budgets": {"fps": {"min": float("nan")}}}, "budget fps: min must be a number"),
        ({"budgets": {99: {"min": 1}}}, "budget 99 must be the name of a metric"),
        ({"budgets": {"fps": {"min": 10**400}}}, "budget fps: min must be a number"),
        ({"reach": {"kind": "telepathy"}}, "one of local, ssh, adb, emulated"),
        ({"reach": {"kind": ["local"]}}, "one of local, ssh, adb, emulated"),
        ({"reach": {"kind": "local"}}, "reach of kind local needs 'machine'"),
        ({"reach": {"kind": "ssh", "host": "", "user": "pi", "port": 0}}, "reach.port must be from 1 to 65535"),
        ({"reach": {"kind": "ssh", "host": "", "user": "pi", "port": "22"}}, "reach.port must be a whole number"),
        ({"reach": {"kind": "adb", "serial": "", "host": "x"}}, "reach of kind adb has no 'host'"),
        ({"reach": {"kind": "adb", "serial": "", "options": ["x"]}}, "reach of kind adb has no 'options'"),
        ({"reach": {"kind": "adb", "serial": "-d"}}, "reach.serial must not begin with a dash"),
        ({"reach": {**SSH, "host": "-oProxyCommand=x"}}, "reach.host must not begin with a dash"),
        ({"reach": {**SSH, "python": 3}}, "reach.python must be text, not 3"),
        ({"reach": {**SSH, "path": "edgefer"}}, "reach.path must begin with / or ~/, not 'edgefer'"),
        ({"reach": {**SSH, "machine": 64}}, "reach.machine must be text, not 64"),
        ({"reach": {**SSH, "options": "ProxyJump=gate"}}, "reach.options must be a list of texts"),
        (
            {"reach": {"kind": "emulated", "cpu": "i386", "root": "x"}},
            "reach.cpu 'i386' is not one of cortex-a72, cortex-a76",
        ),
    ],
)
def test_a_wrong_field(write, fields, told):
    assert f"box: {told}" in rejected(write(**fields)) or told in rejected(write(**fields))


def test_all_problems_at_once(write):
    told = rejected(write(engine="x", threads=None, colour="red", budgets={"fps": {"min": 1, "max": 2}}))
    for part in ("engine 'x'", "'threads' is missing", "'colour' is unknown", "budget fps"):
        assert part in told


@pytest.mark.parametrize(
    "text, told",
    [
        ("schema: [", "cannot be read as YAML"),
        ("", "must hold 'schema' and 'targets'"),
        ("just words", "must hold"),
        ("schema: 2\ntargets: {a: 1}", "schema 2 is not 1"),
        ("schema: 1\ntargets: {}", "at least one name"),
        ("schema: 1\ntargets: {a: 1}", "a: it must be a mapping"),
        ("schema: 1\ntargets:\n  a: 1\n  a: 2", "'a' is there twice"),
        ("schema: 1\nother: 2\ntargets: {a: 1}", "field 'other' is unknown"),
        ("!!python/object/apply:os.getcwd []", "cannot be read as YAML"),
        ("schema: 1\ntargets: {a: {host: {{ pi_host }}}}", "cannot be read as YAML"),
        ("schema: 1\ntargets: {a: {description: 2020-13-45}}", "cannot be read as YAML"),
        ("schema: 1\ntargets: {4: 1}", "4: a target's name, in quotes where it is a number"),
        ("schema: 1\ntargets: {../x: 1}", "'../x': a target's name"),
    ],
)
def test_a_wrong_file(write, text, told):
    assert told in rejected(write(text))


def test_a_missing_file(tmp_path):
    assert "is missing" in rejected(tmp_path / "devices.yaml")


def test_without_yaml(monkeypatch, write):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(EnvironmentInvalid, match=r"edgefer\[workshop\]"):
        targets.load(write())


def reached(write, **reach) -> str | None:
    return targets.unreachable_reason(targets.load(write(reach=reach))["box"])


@pytest.mark.parametrize("here, wanted", [("x86_64", "amd64"), ("AMD64", "x86_64"), ("aarch64", "arm64")])
def test_this_machine_by_any_of_its_names(write, monkeypatch, here, wanted):
    monkeypatch.setattr(platform, "machine", lambda: here)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert reached(write, kind="local", machine=wanted) is None


@pytest.mark.parametrize("system, machine", [("Linux", "aarch64"), ("Darwin", "x86_64")])
def test_another_machine(write, monkeypatch, system, machine):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "system", lambda: system)
    told = reached(write, kind="local", machine="x86_64")
    assert (
        told.startswith("target 'box' cannot be reached: it is a Linux x86_64 machine")
        and f"{system} {machine}" in told
    )


def test_ssh_without_a_host(write):
    told = reached(write, kind="ssh", host="", user="pi", port=22)
    assert told.startswith(
        "target 'box' cannot be reached: set reach.host of box in devices.yaml to the device's address"
    )


def test_ssh_where_nothing_answers(write):
    with socket.socket() as free:  # bound but not listening: connections are refused
        free.bind(("127.0.0.1", 0))
        told = reached(write, kind="ssh", host="127.0.0.1", user="pi", port=free.getsockname()[1])
    assert "nothing answers at 127.0.0.1" in told


@pytest.mark.skipif(not shutil.which("ssh"), reason="needs ssh: apt-get install openssh-client")
def test_ssh_by_way_of_another_machine_is_for_ssh_to_try(write):
    jump = {"host": "nowhere.invalid", "user": "pi", "port": 22, "options": ["ProxyJump=gate.invalid"]}
    assert reached(write, kind="ssh", **jump) is None
    assert "nothing answers" in reached(write, kind="ssh", **jump | {"options": []})


@pytest.mark.parametrize("host", ["pi..local", "x" * 64])
def test_a_host_that_is_no_name(write, host):
    assert f"nothing answers at {host}:22" in reached(write, kind="ssh", host=host, user="pi", port=22)


def test_ssh_that_answers(write):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert reached(write, kind="ssh", host="127.0.0.1", user="pi", port=server.getsockname()[1]) is None


def test_what_a_reach_may_have_as_well(write):
    more = {"python": "venv/bin/python", "identity": "~/.ssh/pi", "options": ["ProxyJump=gate"]}
    assert targets.load(write(reach={**SSH, **more}))["box"].reach == {**SSH, **more}


def test_emulation_without_qemu_or_without_a_root(write, monkeypatch, tmp_path):
    emulated = {"kind": "emulated", "cpu": "cortex-a72", "root": str(tmp_path / "arm")}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "qemu-aarch64-static is not installed" in reached(write, **emulated)
    (tmp_path / targets.QEMU).write_text("#!/bin/sh\n")
    (tmp_path / targets.QEMU).chmod(0o755)
    assert "python -m benchmarks.reach.emulated" in reached(write, **emulated)
    (tmp_path / "arm" / "cortex-a72").mkdir(parents=True)
    assert reached(write, **emulated) is None


def test_a_relative_root_lies_beside_the_shipped_file():
    root = Path(targets.get("rpi4-emulated").reach["root"])
    assert root == targets.default_path().parent / "build" / "arm"


def test_a_relative_root_lies_beside_the_file_that_was_named(write, tmp_path):
    path = write(reach={"kind": "emulated", "cpu": "cortex-a72", "root": "arm"})
    assert targets.load(path)["box"].reach["root"] == str(path.parent / "arm")


def fake_adb(tmp_path, monkeypatch, script: str) -> None:
    tool = tmp_path / "bin" / "adb"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")


def test_adb_is_not_installed(write, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "adb is not installed" in reached(write, kind="adb", serial="")


def test_adb_without_a_device(write, monkeypatch, tmp_path):
    fake_adb(tmp_path, monkeypatch, "echo 'error: no devices/emulators found' >&2; exit 1")
    told = reached(write, kind="adb", serial="")
    assert "no devices/emulators found" in told and "USB debugging" in told


def test_adb_with_the_chosen_device(write, monkeypatch, tmp_path):
    fake_adb(tmp_path, monkeypatch, '[ "$ANDROID_SERIAL" = abc ] && echo device')
    assert reached(write, kind="adb", serial="abc") is None
    assert "adb says" in reached(write, kind="adb", serial="")


def test_vnni_auto_asks_this_machines_cpu(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags\t\t: fpu sse avx2 avx512_vnni\n")
    assert targets._has_vnni("local", cpuinfo)
    assert not targets._has_vnni("ssh", cpuinfo)
    cpuinfo.write_text("flags\t\t: fpu sse avx2\n")
    assert not targets._has_vnni("local", cpuinfo)
    assert not targets._has_vnni("local", tmp_path / "absent")
