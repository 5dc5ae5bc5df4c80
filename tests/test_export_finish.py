"""What a bundle gets beside its models: provenance, a benchmark's record, wheels to install without a network, a signature."""

import json
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from edgefer import bundle as bundles
from edgefer import cli, signing, targets
from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from export import finish, provenance, wheels

TINY = Path(__file__).parent / "data" / "tiny"


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "bundle"))


@pytest.fixture
def key(tmp_path) -> Path:
    if not shutil.which("ssh-keygen"):
        pytest.skip("needs ssh-keygen: apt-get install openssh-client")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    return tmp_path / "key"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def checked_by_sha256sum(folder: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


# --- provenance --------------------------------------------------------------------------------------------------------------


def test_provenance_of_the_default_bundle(bundle_folder):
    """Licence of the weights, training data, versions, evidence for every artifact, and the sums hold it."""
    text = (bundle_folder / provenance.FILE).read_text()
    opened = bundles.load(bundle_folder)
    assert opened.spec.licence in text and opened.spec.training["data_licence"] in text
    assert opened.inputs["packages"] in text and "torch==" in text and "ai-edge-quantizer==" in text
    for artifact in opened.artifacts:
        assert f"- `{artifact.name}` ({artifact.file}" in text
    assert text.count("of 1000 labels agree") + text.count("labels agree with fp32") >= 3
    assert text.count("probabilities within") == 3
    assert provenance.FILE in bundles.read_sums(bundle_folder)
    checked_by_sha256sum(bundle_folder)


def test_provenance_says_the_commit_where_it_is_known(bundle_folder, monkeypatch, tmp_path):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=provenance.ROOT, capture_output=True, text=True)
    if head.returncode == 0:
        assert provenance.commit().split()[0] == head.stdout.strip()
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert "source commit unknown" in provenance.page(bundles.load(bundle_folder))


def test_provenance_does_not_invent(folder):
    text = provenance.page(bundles.load(folder))
    assert "training data: not stated" in text and "data: not stated" in text and "(fp32.onnx, 0.01 MB): none" in text


# --- a benchmark's record ----------------------------------------------------------------------------------------------------


@pytest.fixture
def record(folder, tmp_path) -> Path:
    """As ``benchmarks/run.py --json`` writes it, for the folder's bundle."""
    run = {"artifact": {"files": bundles.load(folder).artifact("litert", "int8").files}}
    value = {
        "schema": 1,
        "target": "i7",
        "verdict": "pass",
        "metrics": {
            "latency_ms": {"value": 0.48123, "ci95": [0.35, 0.7], "unit": "ms", "budget": None, "verdict": None},
            "fps": {"value": 2078.0, "ci95": None, "unit": "1/s", "budget": {"min": 40, "max": None}, "verdict": "pass"},
            "accuracy_drop_points": {"value": None, "ci95": None, "unit": "points", "budget": None, "verdict": None},
        },
        "environment": {"cpu": {"model": "A CPU"}, "kernel": "6", "python": "3.11", "time": "now", "run": run},
        "samples": {"target": [1] * 1000},
    }  # fmt: skip
    (tmp_path / "record.json").write_text(json.dumps(value))
    return tmp_path / "record.json"


def test_a_record_becomes_evidence(folder, record):
    said = []
    finish.finish(folder, None, record, None, said.append)
    assert said == ["evidence: litert/int8 on i7: pass"]
    text = (folder / "evidence" / "BENCHMARK.md").read_text()
    assert (
        "| latency_ms | 0.4812 | 0.35 to 0.7 | ms | – | – |" in text
        and "| fps | 2078 | – | 1/s | min 40 | pass |" in text
    )
    assert "| accuracy_drop_points | not measured |" in text and "A CPU" in text
    assert "samples" not in json.loads((folder / "evidence" / "benchmark.json").read_text())
    checked_by_sha256sum(folder)


def test_a_record_of_another_bundle_is_refused_and_nothing_changes(folder, record):
    value = json.loads(record.read_text())
    value["environment"]["run"]["artifact"]["files"] = {"int8.tflite": "0" * 64}
    record.write_text(json.dumps(value))
    before = contents(folder)
    with pytest.raises(InputRejected, match="is not a record of this bundle"):
        finish.finish(folder, None, record, None, lambda text: None)
    assert contents(folder) == before and [p.name for p in folder.parent.glob(".*")] == []


def test_what_the_benchmark_really_writes_is_understood(folder, tmp_path):
    """A record of the program's own, of a bundle made for the purpose."""
    pytest.importorskip("onnx")
    from test_bench_run import devices, run_without_torch, tiny_bundle

    made = tiny_bundle(tmp_path / "made", damage=0.001)
    file = devices(tmp_path / "devices.yaml")
    done = run_without_torch(tmp_path, "--devices", file, "--bundle", made)
    assert done.returncode in (0, 3), done.stderr
    finish.finish(made, None, tmp_path / "record.json", None, lambda text: None)
    assert "onnxruntime/int8" in (made / "evidence" / "BENCHMARK.md").read_text()


# --- signature ---------------------------------------------------------------------------------------------------------------


def test_signing_is_the_last_thing_and_gives_the_same_bytes(folder, record, key, tmp_path):
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    for each in (folder, other):
        finish.finish(each, None, record, key, lambda text: None)
    assert contents(folder) == contents(other)
    (tmp_path / "signers").write_text(f"me {key.with_suffix('.pub').read_text()}")
    assert signing.verify(folder, tmp_path / "signers") == "me"
    checked_by_sha256sum(folder)


def test_a_key_that_cannot_sign_leaves_the_bundle_as_it_was(folder, record, tmp_path):
    before = contents(folder)
    with pytest.raises(UsageError, match="no key file"):
        finish.finish(folder, None, record, tmp_path / "nowhere", lambda text: None)
    assert contents(folder) == before


# --- wheels ------------------------------------------------------------------------------------------------------------------


def target(reach: dict, engine: str = "onnxruntime") -> targets.Target:
    return targets.Target("there", "", reach, engine, "int8", 1, False, 0.5)


HERE = {"kind": "local", "machine": platform.machine()}


@pytest.mark.parametrize(
    ("reach", "machine"),
    [
        ({"kind": "local", "machine": "amd64"}, "x86_64"),
        ({"kind": "ssh", "host": "", "user": "pi", "port": 22, "machine": "aarch64"}, "aarch64"),
        ({"kind": "emulated", "cpu": "cortex-a72", "root": "build/arm"}, "aarch64"),
    ],
)
def test_wheels_are_for_the_targets_architecture(reach, machine):
    choice = wheels.wanted(target(reach), "3.11", camera=True)
    assert (choice["machine"], choice["extras"]) == (machine, ["onnxruntime", "camera"])


def test_every_target_of_the_file_says_what_its_wheels_are_for():
    found = {name: each.reach["kind"] == "adb" or wheels.machine_of(each) for name, each in targets.load().items()}
    assert found["i7"] == "x86_64" and found["rpi4"] == found["rpi5"] == "aarch64"


@pytest.mark.parametrize(
    ("reach", "python", "told"),
    [
        ({"kind": "adb", "serial": ""}, "3.11", "no wheels are published for Android.*pkg install"),
        ({"kind": "ssh", "host": "", "user": "pi", "port": 22}, "3.11", "set reach.machine to x86_64 or aarch64"),
        (HERE, "3.9", "the runtime supports Python 3.11, 3.12, 3.13"),
    ],
)
def test_wheels_that_cannot_be(reach, python, told):
    with pytest.raises(UsageError, match=told):
        wheels.wanted(target(reach), python, camera=False)


@pytest.fixture(scope="module")
def with_wheels(tmp_path_factory) -> Path:
    """A tiny bundle with wheels for this machine and this Python."""
    folder = Path(shutil.copytree(TINY, tmp_path_factory.mktemp("wheels") / "bundle"))
    choice = wheels.wanted(target(HERE), f"3.{sys.version_info[1]}", camera=False)
    try:
        finish.finish(folder, choice, None, None, lambda text: None)
    except EnvironmentInvalid as error:
        if "downloading" not in str(error):
            raise
        pytest.skip(f"needs a package index: {error}")
    return folder


def test_wheels_are_listed_with_their_licences_and_sealed(with_wheels):
    checked_by_sha256sum(with_wheels)
    listed = json.loads((with_wheels / "wheels" / "wheels.json").read_text())["wheels"]
    assert {"edgefer", "numpy", "onnxruntime", "pip"} <= {wheel["name"] for wheel in listed}
    assert all(wheel["licence"] and wheel["version"] for wheel in listed)
    assert sorted(w["file"] for w in listed) == sorted(p.name for p in (with_wheels / "wheels").glob("*.whl"))
    said, choice = [], wheels.wanted(target(HERE), f"3.{sys.version_info[1]}", camera=False)
    before = contents(with_wheels)
    finish.finish(with_wheels, choice, None, None, said.append)
    assert (
        said == ["wheels: there already, the hashes of their inputs are unchanged"] and contents(with_wheels) == before
    )


def test_a_device_with_a_bare_python_runs_what_its_wheels_bring(with_wheels, tmp_path, monkeypatch, capsys):
    """No numpy, no engine, no pip, no index."""
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    assert subprocess.run([python, "-c", "import numpy"], capture_output=True, env={}).returncode == 1
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/none")
    from edgefer.lines import local

    monkeypatch.setattr(local, "PYTHON", str(python))
    place = tmp_path / "device"
    words = ["flash", "--bundle", with_wheels, "--prefix", place, "--engine", "onnxruntime", "--watch", "0"]
    assert cli.main([*map(str, words)]) == 0
    assert "from the bundle installed, nothing fetched" in capsys.readouterr().out
    assert not (place / "current" / "runtime").exists() and (place / "current" / "site" / "edgefer").is_dir()
    done = subprocess.run([place / "current" / "bin" / "edgefer", "--version"], capture_output=True, text=True, env={})
    assert done.returncode == 0 and done.stdout.startswith("edgefer "), done.stderr
    assert cli.main(["status", "--prefix", str(place)]) == 0


def test_wheels_for_another_machine_are_refused_before_anything_is_sent(with_wheels, tmp_path, capsys):
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[platform.machine()]
    folder = Path(shutil.copytree(with_wheels, tmp_path / "bundle"))
    (wheel,) = (folder / "wheels").glob("numpy-*.whl")
    wheel.rename(wheel.with_name(wheel.name.replace(platform.machine(), other)))
    bundles.seal(folder)
    words = ["flash", "--bundle", folder, "--prefix", tmp_path / "device", "--engine", "onnxruntime"]
    assert cli.main([*map(str, words)]) == 3
    assert f"is not for {platform.machine()}" in capsys.readouterr().err and not (tmp_path / "device").exists()


def test_camera_without_wheels_is_usage(program):
    done = program("export", "--checkpoint", "x", "--target", "i7", "--camera")
    assert done.returncode == 2 and "give --wheels too" in done.stderr
