"""benchmarks/run.py from end to end: a tiny real bundle, real worker processes, the table, the record and the exit codes."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks import run as program
from benchmarks.history import Store
from edgefer import bundle, targets
from edgefer.spec import FERPLUS_LABELS, Alignment, ModelSpec

onnx = pytest.importorskip("onnx", reason="makes the tiny model: install edgefer[workshop]")
pytest.importorskip("onnxruntime", reason="runs the tiny model: install edgefer[workshop]")

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "benchmarks" / "run.py"
SIDE, CLASSES = 16, len(FERPLUS_LABELS)
EYES_NOSE_MOUTH = ((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75))


def tiny_model(path: Path, weights: np.ndarray, integer: bool = False) -> None:
    """uint8 (1, S, S, 1) → float32 (1, 8): one linear layer, in float or in int8, and a softmax; weights (S·S, 8)."""
    h = onnx.helper
    scale = np.float32(np.abs(weights).max() / 127)
    constants = {"flat": np.array([1, SIDE * SIDE], np.int64), "scale": scale}
    constants["weights"] = np.round(weights / scale).astype(np.int8) if integer else weights.astype(np.float32)
    in_float = [
        h.make_node("Cast", ["row"], ["float"], to=onnx.TensorProto.FLOAT),
        h.make_node("MatMul", ["float", "weights"], ["logits"]),
    ]
    in_int8 = [
        h.make_node("MatMulInteger", ["row", "weights"], ["sums"]),
        h.make_node("Cast", ["sums"], ["float"], to=onnx.TensorProto.FLOAT),
        h.make_node("Mul", ["float", "scale"], ["logits"]),
    ]
    nodes = [
        h.make_node("Reshape", ["crop", "flat"], ["row"]),
        *(in_int8 if integer else in_float),
        h.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = h.make_graph(
        nodes,
        "tiny",
        [h.make_tensor_value_info("crop", onnx.TensorProto.UINT8, [1, SIDE, SIDE, 1])],
        [h.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [1, CLASSES])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), path)


def tiny_bundle(folder: Path, damage: float, integer: bool = True) -> Path:
    """A bundle whose int8 artifact has the weights of its fp32 one, off by ``damage`` of their own spread.

    With ``integer=False`` the artifact that is called int8 computes in float.
    """
    folder.mkdir()
    random = np.random.default_rng(0)
    weights = random.normal(0, 0.02, (SIDE * SIDE, CLASSES))
    noise = random.normal(0, 0.02, weights.shape)
    tiny_model(folder / "fp32.onnx", weights)
    tiny_model(folder / "int8.onnx", weights + damage * noise, integer)
    boxes = {"haar": (0.1, 0.1, 0.8, 0.8), "yunet": (0.1, 0.1, 0.8, 0.8)}
    spec = ModelSpec("efficientface", FERPLUS_LABELS, SIDE, 1, Alignment(EYES_NOSE_MOUTH, boxes))
    artifacts = tuple(bundle.artifact(folder, "onnxruntime", "onnx", p, [f"{p}.onnx"]) for p in ("fp32", "int8"))
    defaults = {"engine": "onnxruntime", "precision": "int8", "threads": 1}
    bundle.Bundle(folder, "tiny", "here", spec, artifacts, defaults=defaults).write_manifest()
    bundle.seal(folder)
    return folder


def devices(path: Path, **budgets: dict) -> Path:
    """A devices.yaml with this machine as "here" and one target that is nowhere."""
    shared = {"description": "a test", "engine": "onnxruntime", "precision": "int8", "threads": 1}
    shared |= {"vnni": False, "margin_points": 0.5}
    here = {**shared, "reach": {"kind": "local", "machine": platform.machine()}, "budgets": budgets}
    away = {**shared, "reach": {"kind": "ssh", "host": "", "user": "pi", "port": 22}, "budgets": {}}
    path.write_text(yaml.safe_dump({"schema": 1, "targets": {"here": here, "away": away}}))
    return path


def run(*arguments, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(RUN), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env={**os.environ, **environment})


def run_without_torch(place: Path, *arguments) -> subprocess.CompletedProcess:
    """As on a machine without torch: quicker, and eager PyTorch cannot be measured."""
    hide = place / "no-torch"
    hide.mkdir(exist_ok=True)
    (hide / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    quick = ("--quick", "--data", "synthetic", "--json", place / "record.json")
    path = os.pathsep.join([str(hide), *filter(None, [os.environ.get("PYTHONPATH")])])
    return run("--target", "here", *arguments, *quick, PYTHONPATH=path)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a good tiny bundle."""
    folder = tmp_path_factory.mktemp("bench")
    tiny_bundle(folder / "good", damage=0.001)
    return folder


EASY = {
    "fps": {"min": 1},
    "peak_rss_mb": {"max": 2000},
    "artifact_mb": {"max": 1},
    "cold_start_ms": {"max": 60000},
    "accuracy_drop_points": {"max": 0.5},
    "flip_rate": {"max": 0.03},
}


@pytest.fixture(scope="module")
def good(place) -> tuple[subprocess.CompletedProcess, dict]:
    """One quick run with budgets that hold, and its record."""
    file = devices(place / "easy.yaml", **EASY)
    done = run_without_torch(place, "--devices", file, "--bundle", place / "good", "--engines")
    assert done.returncode in (0, 3), done.stderr  # 3: the machine is too busy to time anything on, and the run says so
    return done, json.loads((place / "record.json").read_text())


def test_a_good_bundle_passes_and_the_verdict_is_the_exit_code(good):
    done, record = good
    assert record["verdict"] == {0: "pass", 3: "invalid"}[done.returncode]
    assert record["verdict"] in done.stdout.splitlines()[-1]


def test_the_record_has_the_form_other_programs_read(good):
    _, record = good
    assert record.keys() == {"schema", "target", "verdict", "metrics", "environment", "samples"}
    assert record["target"] == "here"
    assert {
        "latency_ms", "fps", "pipeline_fps", "speedup_vs_eager_fp32", "speedup_vs_onnxruntime_fp32", "peak_rss_mb",
        "artifact_mb", "cold_start_ms", "accuracy_drop_points", "flip_rate",
    } <= record["metrics"].keys()  # fmt: skip
    for row in record["metrics"].values():
        assert {"value", "ci95", "unit", "budget", "verdict"} <= row.keys()
    assert record["metrics"]["fps"]["budget"] == {"min": 1}
    assert record["metrics"]["fps"]["value"] == pytest.approx(1000 / record["metrics"]["latency_ms"]["value"])


def test_figures_can_be_derived_again_from_the_raw_samples(good):
    _, record = good
    samples, metrics = record["samples"], record["metrics"]
    target = np.array(samples["interleaved"]["blocks"]["target"])
    assert target.shape[:2] == (3, 3)
    assert metrics["latency_ms"]["value"] == pytest.approx(np.median(target) / 1e6)
    cold = [start["total"] for start in samples["cold_start"]]
    assert metrics["cold_start_ms"]["value"] == pytest.approx(np.median(cold))
    ages = [np.median(run["camera"]["age_s"]) for run in samples["pipeline"]]
    assert metrics["result_age_ms"]["value"] is None or metrics["result_age_ms"]["value"] == pytest.approx(
        1000 * np.median(ages)
    )
    assert len(samples["climate"]) == 2 * len(target), "the climate is read before and after every round"
    assert record["environment"]["run"]["took_s"].keys() >= {"speed", "pipeline", "agreement"}
    assert metrics["peak_rss_mb"]["value"] == max(run["steady"]["vm_hwm"] for run in samples["memory"]) / 1e6


def test_memory_grows_from_stage_to_stage_and_the_baseline_is_a_bare_runtime(good):
    _, record = good
    for stages in record["samples"]["memory"]:
        peaks = [stages[name]["vm_hwm"] for name in ("baseline", "loaded", "first", "steady")]
        assert peaks == sorted(peaks)
        assert peaks[0] < 60e6, "the worker imports more than numpy and edgefer"
        assert all(stage["pss"] <= stage["vm_rss"] for stage in stages.values())


def test_without_labels_nothing_is_called_accuracy(good):
    done, record = good
    drop = record["metrics"]["accuracy_drop_points"]
    assert (drop["value"], drop["verdict"]) == (None, "not measured")
    assert "accuracy" not in record["metrics"]
    assert record["samples"]["parity"]["drop_points"] is None
    assert record["metrics"]["flip_rate"]["verdict"] == "pass"
    assert "agreement with fp32" in done.stdout


def test_the_record_says_what_it_was_measured_on(good):
    _, record = good
    environment = record["environment"]
    assert environment["cpu"]["model"] and environment["cpu"]["cores"] >= 1 and environment["cpu"]["affinity"]
    assert environment["packages"]["numpy"] == np.__version__
    assert len(environment["load_average_at_start"]) == 3
    ran = environment["run"]
    assert (ran["engine"], ran["precision"], ran["threads"], ran["quick"]) == ("onnxruntime", "int8", 1, True)
    assert "onnxruntime" in ran["contenders"]["target"]["engine"]


def test_the_table_is_plain_and_whole_in_a_pipe(good):
    done, record = good
    assert "\x1b" not in done.stdout and "…" not in done.stdout.replace(" … ", "")
    table = [line.rstrip() for line in done.stdout.splitlines() if line.startswith(("|", "+"))]
    assert max(map(len, table)) <= 100
    assert all(any(line.split("|")[1].strip() == name for line in table if "|" in line) for name in record["metrics"])
    assert "quick" in done.stdout


@pytest.fixture(scope="module")
def compared(place, good) -> tuple[subprocess.CompletedProcess, dict, Store]:
    """A quick run beside the good one, which is the accepted baseline, and the store they are in."""
    store, baseline = Store(place / "history"), json.loads(json.dumps(good[1]))
    baseline["environment"]["run"]["quick"], baseline["verdict"] = False, "pass"
    baseline["environment"]["git"] = {"commit": "0" * 40, "dirty": False}
    store.append(baseline, place / "good")
    store.accept("here", "the good one")
    options = ("--bundle", place / "good", "--history", store.folder, "--compare")
    for _ in range(
        4
    ):  # where the machine is so restless that the baseline's own blocks tell nothing, it is tried again
        done = run_without_torch(place, "--devices", place / "easy.yaml", *options)
        record = json.loads((place / "record.json").read_text())
        if not record["environment"]["run"]["doubtful_roles"]:
            break
    return done, record, store


def test_the_baselines_own_artifact_is_timed_beside_todays(compared):
    done, record, _ = compared
    assert done.returncode in (0, 3, 4), done.stderr  # three quick rounds may leave doubt
    assert record["samples"]["interleaved"]["blocks"].keys() == {"target", "onnxruntime_fp32", "baseline"}
    assert len(record["samples"]["cold_start"]) == len(record["samples"]["cold_start_baseline"])
    rows = {row["metric"]: row for row in record["comparison"]["rows"]}
    assert rows["latency_vs_baseline"]["ratio"] == pytest.approx(1, abs=0.3)
    assert (rows["flips_vs_baseline"]["now"], rows["artifact_mb"]["ratio"]) == (0, 1)
    assert record["comparison"]["baseline"]["reason"] == "the good one"


def test_the_comparison_is_printed_and_a_quick_run_is_not_kept(compared):
    done, record, store = compared
    assert f"comparison: {record['comparison']['verdict']}" in done.stdout
    assert "the good one" in done.stdout and "| latency_vs_baseline " in done.stdout
    assert max(len(line.rstrip()) for line in done.stdout.splitlines() if line.startswith(("|", "+"))) <= 100
    assert len(store.records("here").records) == 1


def test_a_broken_budget_fails_the_run(place):
    """Size does not depend on the machine's mood: the file is a few kilobytes, one is allowed."""
    file = devices(place / "impossible.yaml", **EASY | {"artifact_mb": {"max": 0.001}})
    done = run_without_torch(place, "--devices", file, "--bundle", place / "good")
    assert done.returncode == 1, done.stderr
    record = json.loads((place / "record.json").read_text())
    assert record["verdict"] == record["metrics"]["artifact_mb"]["verdict"] == "fail"


def test_every_engine_stands_in_one_table(good):
    done, record = good
    rows = {row["name"]: row for row in record["samples"]["engines"]}
    assert rows.keys() == {"onnxruntime/fp32", "onnxruntime/int8"}
    assert rows["onnxruntime/fp32"]["flip_rate"] == 0
    assert all(row["latency_ms"] > 0 and row["peak_rss_mb"] > 0 and row["cold_start_ms"] > 0 for row in rows.values())
    assert all(any(line.startswith(f"| {name} ") for line in done.stdout.splitlines()) for name in rows)


def test_a_damaged_artifact_fails_parity_without_any_budget(place):
    tiny_bundle(place / "damaged", damage=1.0)
    done = run_without_torch(place, "--devices", devices(place / "none.yaml"), "--bundle", place / "damaged")
    assert done.returncode == 1, done.stderr
    assert "labels flip" in done.stdout


def test_a_dry_run_says_what_and_how_long_and_measures_nothing(place):
    file = devices(place / "easy.yaml", **EASY)
    told = place / "plan.json"
    flags = ("--bundle", place / "good", "--sustained", 30, "--dry-run", "--json", told)
    done = run("--target", "here", "--devices", file, *flags)
    assert done.returncode == 0, done.stderr
    plan = json.loads(told.read_text())
    assert plan["dry_run"] and plan["target"] == "here"
    assert plan["seconds"] == pytest.approx(sum(part["seconds"] for part in plan["passes"]))
    assert [part["name"] for part in plan["passes"]] == [
        "speed", "memory and cold start", "pipeline", "agreement", "sustained",
    ]  # fmt: skip
    assert "nothing was measured" in done.stdout and "7 rounds of fresh processes" in done.stdout


@pytest.mark.parametrize(
    ("target", "there", "not_there"),
    [("rpi4", "speed", "eager_fp32"), ("rpi4-emulated", "memory", "sustained"), ("android", "pipeline", "peers")],
)
def test_a_dry_run_asks_no_device_anything(target, there, not_there):
    """None of them can be reached here, and the plan has only what such a device can do."""
    done = run("--target", target, "--dry-run", "--sustained", 30, "--peers", "--engines")
    assert done.returncode == 0, done.stderr
    assert there in done.stdout and not_there not in done.stdout


def test_a_dry_run_refuses_what_the_run_would_refuse():
    done = run("--target", "i7", "--dry-run", "--quick", "--accept", "because")
    assert done.returncode == 2 and "--quick" in done.stderr
    assert run("--target", "i7", "--dry-run", "--sustained", -5).returncode == 2


def test_int8_executed_as_float_fails_whatever_it_measures(place):
    tiny_bundle(place / "float", damage=0.001, integer=False)
    done = run_without_torch(place, "--devices", devices(place / "none.yaml"), "--bundle", place / "float")
    assert done.returncode == 1, done.stderr
    assert "1 in float32, though the artifact is int8" in done.stdout


def test_without_torch_the_eager_reference_is_not_measured_and_says_why(good):
    eager = good[1]["metrics"]["speedup_vs_eager_fp32"]
    assert (eager["value"], eager["verdict"]) == (None, "not measured")
    assert "torch is not installed" in eager["note"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--target", "i9"], 2, ["i9", "here", "away"]),
        (["--target", "away"], 5, ["away", "reach.host"]),
        (["--target", "here", "--engine", "tensorrt"], 2, ["tensorrt", "onnxruntime"]),
        (["--target", "here", "--engine", "litert"], 2, ["litert/int8", "onnxruntime/int8"]),
        (["--target", "here", "--bundle", "nowhere"], 6, ["nowhere", "bundle"]),
    ],
)
def test_what_cannot_be_measured_is_one_sentence_and_its_code(place, arguments, code, words):
    file = devices(place / "plain.yaml")
    done = run("--devices", file, *(["--bundle", place / "good"] if "--bundle" not in arguments else []), *arguments)
    assert done.returncode == code
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and all(word in last for word in words), last


def test_another_engine_runs_from_the_targets_own_bundle(place, monkeypatch):
    build = pytest.importorskip("export.build", reason="builds bundles: install edgefer[workshop]")
    seen = []
    monkeypatch.setattr(build, "bundle", lambda _checkpoint, target, *_: seen.append(target) or place / "good")
    args = program.arguments(["--target", "i7", "--engine", "openvino", "--precision", "fp32"])
    chosen = program.named_target(args)
    program.open_bundle(args)
    assert (chosen.engine, chosen.precision) == ("openvino", "fp32")
    assert seen == [targets.get("i7")]


def test_a_budget_for_no_metric_is_a_usage_error(place):
    file = devices(place / "typo.yaml", fsp={"min": 40})
    done = run("--target", "here", "--devices", file, "--bundle", place / "good")
    assert done.returncode == 2 and "fsp" in done.stderr


def test_the_shipped_pi_is_unreachable_until_its_address_is_set():
    done = run("--target", "rpi4")
    assert done.returncode == 5
    assert "reach.host" in done.stderr and "devices.yaml" in done.stderr
