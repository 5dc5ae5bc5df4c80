"""Studies of a run: fits on samples whose truth is known, peers by their published sizes, the tables, tiny real runs."""

import io
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="builds the peers: install edgefer[workshop]")
pytest.importorskip("onnx", reason="builds the kernels: install edgefer[workshop]")

from test_bench_run import devices, tiny_bundle

from benchmarks import benchmark_app, factors, growth, idle, peak, peer_networks, peers, study_tables, table
from benchmarks.interleave import Plan
from benchmarks.processes import Worker
from benchmarks.reach.local import Local
from benchmarks.session import Effort, Session
from edgefer import bundle, targets
from edgefer.errors import EdgeferError, EnvironmentInvalid, UsageError

TRUTH = {
    "input_size": ([32, 48, 64, 96, 160], {"a_ms": 0.2, "b_ms_per_pixel": 5e-5}, lambda x: 0.2 + 5e-5 * x**2),
    "faces": ([1, 2, 4, 8, 16], {"a_ms": 0.05, "b_ms_per_face": 0.7}, lambda x: 0.05 + 0.7 * x),
    "threads": ([1, 2, 3, 4, 8], {"t1_ms": 4.0, "p": 0.8}, lambda x: 4 * (0.2 + 0.8 / x)),
    "batch": ([1, 4, 16, 32], {"a_ms": 0.3, "b_ms_per_crop": 0.4}, lambda x: 0.3 + 0.4 * x),
}


def noisy_blocks(ms: float, seed: int) -> np.ndarray:
    """Nanoseconds (3 rounds, 10 blocks, 20) that scatter by 2 % from block to block."""
    random = np.random.default_rng(seed)
    return ms * 1e6 * random.lognormal(0, 0.02, (3, 10, 1)) * random.lognormal(0, 0.01, (3, 10, 20))


@pytest.mark.parametrize("axis", TRUTH)
def test_a_fit_recovers_known_coefficients(axis):
    x, truth, law = TRUTH[axis]
    told = growth.explained(axis, x, [noisy_blocks(law(each), seed) for seed, each in enumerate(x)])
    fit = told["fit"]
    assert fit["coefficients"].keys() == truth.keys()
    for name, value in truth.items():
        low, high = fit["coefficients_ci95"][name]
        margin = 0.1 * value
        assert low - margin <= value <= high + margin and low < fit["coefficients"][name] < high
    assert fit["r2"] > 0.99
    assert len(told["latency_ms"]) == len(told["ci95"]) == len(x)


def test_a_fit_through_two_points_claims_nothing():
    told = growth.explained("threads", [1, 2], [np.full((2, 2, 3), 3e6), np.full((2, 2, 3), 2e6)])
    assert told["fit"]["r2"] is None
    assert told["fit"]["coefficients"] == pytest.approx({"t1_ms": 3.0, "p": 2 / 3})
    assert "exact through two points" in growth.sentence(told["fit"])


def test_a_wrong_model_shows_in_r2():
    x = np.array([1, 2, 4, 8, 16], float)
    told = growth.explained("faces", list(x), [np.full((2, 2, 3), 1e6 * (10 + (-1) ** i)) for i in range(5)])
    assert told["fit"]["r2"] < 0.5


PUBLISHED = {
    ("efficientnet_b0", 1000): 5_288_548, ("efficientnet_b0", 8): 4_017_796,
    ("efficientnet_b2", 1000): 9_109_994, ("efficientnet_b2", 8): 7_712_266,
    ("mobilenetv2", 1000): 3_504_872, ("mobilenetv2", 8): 2_234_120,
    ("shufflenetv2", 1000): 2_278_604, ("shufflenetv2", 8): 1_261_804,
    ("resnet18", 1000): 11_689_512, ("resnet50", 1000): 25_557_032,
}  # fmt: skip


@pytest.mark.parametrize(("name", "classes"), PUBLISHED)
def test_peers_have_the_published_number_of_parameters(name, classes):
    network = peer_networks.BUILDERS[name](classes)
    assert sum(p.numel() for p in network.parameters()) == PUBLISHED[name, classes]


def test_mobilefacenet_costs_what_its_paper_says_and_keeps_its_activations_in_range():
    import torch

    from train.models.__main__ import macs

    network = peer_networks.build("mobilefacenet", 7, 112)
    assert sum(p.numel() for p in network.parameters()) == 1_204_103
    assert macs(network, (1, 3, 112, 112)) == pytest.approx(221e6, rel=0.005)  # the paper: 221 million
    with torch.inference_mode():
        scores = network(torch.randn(1, 3, 112, 112))
    assert scores.shape == (1, 7)
    assert 0.01 < scores.abs().max() < 100


def test_mobilevit_has_the_published_size():
    pytest.importorskip("timm", reason="has the architecture: install edgefer[peers]")
    assert sum(p.numel() for p in peer_networks.BUILDERS["mobilevit_s"](1000).parameters()) == 5_578_632


def test_without_timm_its_peer_is_listed_as_absent_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    ready, absent = peers.prepared([p for p in peers.PEERS if p.network == "mobilevit_s"], 1, lambda _: None)
    assert not ready
    assert absent[0]["name"] == "mobilevit_s" and "edgefer[peers]" in absent[0]["note"]


def test_peers_without_torchvision_are_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(EnvironmentInvalid, match=r"torchvision.*edgefer\[workshop\]"):
        peers.check_packages()


def test_every_peer_has_a_builder_and_a_role_of_its_own():
    from train.models import SYSTEMS

    assert all(p.network in (SYSTEMS if p.engine == "eager" else peer_networks.BUILDERS) for p in peers.PEERS)
    assert len({p.role for p in peers.PEERS}) == len(peers.PEERS)


FACTS = {
    "name": "involution_vit", "engine": "onnxruntime", "precision": "fp32", "input_size": 224,
    "params": 101_681_253, "macs": 20_000_000_000, "size_mb": 406.7, "note": "as somebody ships it",
}  # fmt: skip
KERNELS = {
    "peak int8 torch": {"precision": "int8", "macs": 10**9},
    "peak int8 openvino": {"precision": "int8", "macs": 2 * 10**9},
    "peak fp32 torch": {"precision": "fp32", "macs": 10**9},
}


def simulated_rows() -> tuple[list[dict], dict]:
    """Peers' rows and the peak from constant times: target 2 ms, a peer 1000 ms, kernels 10 ms each."""
    blocks = {role: np.full((2, 3, 4), 10e6) for role in KERNELS}
    blocks |= {"target": np.full((2, 3, 4), 2e6), "slow": np.full((2, 3, 2), 1e9)}
    found = peak.peaks(blocks, KERNELS)
    target = FACTS | {"name": "edgefer efficientface", "precision": "int8", "macs": 10**7}
    return [peers.row(target, "target", blocks, 2, found), peers.row(FACTS, "slow", blocks, 2, found)], found


def test_rows_hold_ratios_and_shares_of_the_peak_of_their_own_precision():
    (ours, slow), found = simulated_rows()
    assert found["int8"]["gmacs_per_s"] == 200 and found["int8"]["kernel"] == "peak int8 openvino"
    assert found["fp32"]["gmacs_per_s"] == 100
    assert [ours["ratio"], slow["ratio"], *slow["ratio_ci95"]] == pytest.approx([1, 500, 500, 500])
    assert ours["gmacs_per_s"] == 5 and ours["share_of_peak"] == 0.025
    assert slow["gmacs_per_s"] == 20 and slow["share_of_peak"] == 0.2
    assert peers.impossible([ours, slow]) == []
    (remark,) = peers.impossible([ours | {"share_of_peak": 1.4}])
    assert "140%" in remark and "quiet machine" in remark


def simulated_steps() -> list[dict]:
    """A chain of constant times: 24, 6, 2 and 0.5 ms."""
    what = {"paper": "efficientface, 224², eager PyTorch, fp32", "engine": "the same in litert", "input": "48² × 1"}
    times = {"paper": 24e6, "engine": 6e6, "input": 2e6, "int8": 0.5e6}
    return factors.steps(what | {"int8": "in int8"}, {step: np.full((2, 3, 4), ns) for step, ns in times.items()})


def test_each_step_of_the_chain_is_held_against_the_one_before_and_against_the_first():
    first, *others = simulated_steps()
    assert first["factor"] is None and first["all"] is None and first["latency_ms"] == 24
    assert [row["factor"] for row in others] == pytest.approx([4, 3, 4])
    assert [row["all"] for row in others] == pytest.approx([4, 12, 48])
    assert others[-1]["factor_ci95"] == pytest.approx([4, 4])


def test_the_tables_of_studies_fit_100_columns():
    rows, found = simulated_rows()
    rows.append(rows[1] | {"name": "efficientnet_b0", "latency_ms": 12.34, "params": 65_000})
    absent = dict.fromkeys(rows[0]) | {"name": "mobilevit_s", "engine": "onnxruntime", "note": "absent: no timm"}
    axes = {axis: {"what": "litert int8", **growth.explained(axis, x, [noisy_blocks(law(e), 1) for e in x])}
            for axis, (x, _, law) in TRUTH.items()}  # fmt: skip
    app = benchmark_app.compare(np.array([1.0, 1.1, 1.0]), np.array([1.2, 1.3, 1.2]), np.array([1.0, 1.0, 1.1]))
    samples = {"peers": [*rows, absent], "peak": found, "growth": axes}
    samples |= {"benchmark_app": {"artifact": "openvino/int8", **app}, "factors": simulated_steps()}
    file = io.StringIO()
    study_tables.show(samples, table.console(file))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert "mobilevit_s, onnxruntime: absent: no timm" in file.getvalue()
    assert any("| involution_vit " in line and "500" in line for line in lines)
    assert any("| efficientnet_b0 " in line for line in lines)
    assert any("| int8 " in line and "48.0" in line for line in lines)


def test_a_record_without_studies_prints_nothing():
    file = io.StringIO()
    study_tables.show({}, table.console(file))
    assert file.getvalue() == ""


@pytest.fixture
def small_chain(tmp_path, monkeypatch):
    """The kernels' files, small."""
    monkeypatch.setattr(peak, "CHANNELS", 32)
    monkeypatch.setattr(peak, "SIDE", 14)
    monkeypatch.setattr(peak, "LAYERS", 2)
    monkeypatch.setattr(peak, "MATRIX", 256)
    return peak.jobs(1, tmp_path)


def test_every_kernel_runs_and_its_rate_is_plausible(small_chain):
    blocks = {}
    for role, job in small_chain.items():
        with Worker(job) as worker:
            worker.start()
            worker.warm_up(0.05)
            blocks[role] = np.array(worker.block(10)).reshape(2, 1, 5)
    found = peak.peaks(blocks, small_chain)
    assert found.keys() == {"fp32", "int8"}
    assert all(0.01 < best["gmacs_per_s"] < 100_000 and len(best["kernels"]) == 3 for best in found.values())


def test_openvino_runs_the_int8_chain_in_int8(small_chain):
    with Worker(small_chain["peak int8 openvino"]) as worker:
        worker.start()
        layers = worker.ask("details")["layers"]
    assert layers.get("i8", 0) + layers.get("u8", 0) >= 2 * 2


def test_opencv_runs_the_same_file(small_chain):
    with Worker(small_chain["peak fp32 onnxruntime"] | {"kind": "opencv"}) as worker:
        worker.start()
        assert "opencv" in worker.ask("details")["engine"]
        assert len(worker.block(3)) == 3


RECORDED = """[Step 11/11] Dumping statistics report
[ INFO ] Execution Devices:['CPU']
[ INFO ] Count:            69 iterations
[ INFO ] Duration:         1007.69 ms
[ INFO ] Latency:
[ INFO ]    Median:        13.28 ms
[ INFO ]    Average:       14.48 ms
[ INFO ]    Min:           0.60 ms
[ INFO ]    Max:           42.60 ms
[ INFO ] Throughput:   68.47 FPS
"""


def test_the_median_is_read_from_what_benchmark_app_prints():
    assert benchmark_app.median_ms(RECORDED) == 13.28
    in_microseconds = RECORDED.replace("13.28 ms", "660.12 us")
    assert benchmark_app.median_ms(in_microseconds) == pytest.approx(0.66012)
    with pytest.raises(EdgeferError, match="no median latency"):
        benchmark_app.median_ms("[ ERROR ] Model file /nowhere.xml cannot be opened!")


def test_agreement_is_judged_within_benchmark_apps_own_noise():
    theirs = np.array([1.0, 1.02, 0.98, 1.01, 0.99])
    close = benchmark_app.compare(theirs * 1.005, theirs * 1.1, theirs)
    assert close["agrees"] and close["outside_ms"] == pytest.approx(0.095)
    assert not benchmark_app.compare(theirs * 1.2, theirs * 1.3, theirs)["agrees"]


def test_benchmark_app_runs_as_our_engine_sets_openvino_up():
    words = benchmark_app.command({"model": "/m.xml", "threads": 3}, 2)
    pairs = dict(zip(words[3::2], words[4::2], strict=True))
    assert (pairs["-nthreads"], pairs["-infer_precision"], pairs["-api"]) == ("3", "f32", "sync")


def test_a_waiting_worker_that_spins_is_seen_and_one_that_sleeps_is_not():
    watch, turn = idle.Watch(), SimpleNamespace(process=SimpleNamespace(pid=0), block=lambda n: time.sleep(0.3) or [n])
    commands = {"spins": "while True: pass", "sleeps": "import time; time.sleep(60)"}
    running = {name: subprocess.Popen([sys.executable, "-S", "-c", text]) for name, text in commands.items()}
    try:
        time.sleep(0.5)
        with (
            watch.over("spins", SimpleNamespace(process=running["spins"])),
            watch.over("sleeps", SimpleNamespace(process=running["sleeps"])),
            watch.over("timed", turn) as timed,
        ):
            assert timed.block(5) == [5]
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    workers = watch.to_json()["workers"]
    assert workers["spins"]["share"] > 0.05 > workers["sleeps"]["share"]
    (remark,) = idle.remarks(watch.to_json())
    assert remark.startswith("idle: spins took")


@pytest.fixture
def tiny_session(tmp_path) -> Session:
    """A session of a tiny real bundle, with the smallest of plans."""
    pytest.importorskip("onnxruntime", reason="runs the tiny model: install edgefer[workshop]")
    opened = bundle.load(tiny_bundle(tmp_path / "tiny", damage=0.0))
    effort = Effort(Plan(rounds=2, blocks=2, warm_s=0.01), 1, 1, 1, quick=True)
    return Session(
        opened, targets.get("here", devices(tmp_path / "d.yaml")), "synthetic", effort, lambda _: None, Local()
    )


def test_growth_of_a_tiny_model_is_measured_fitted_and_drawn(tiny_session, tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "ROOT", tmp_path)
    samples = growth.study(tiny_session, checkpoint=tmp_path / "nowhere")
    found = samples["growth"]
    assert found.keys() == {"faces", "threads"}
    assert found["faces"]["x"] == [1, 4, 16]
    assert found["faces"]["fit"]["coefficients"]["b_ms_per_face"] > 0
    assert "no checkpoint" in tiny_session.remarks[-1]
    assert (tmp_path / "build" / "bench" / "here-growth.png").stat().st_size > 10_000
    assert samples["growth_interleaved"]["faces"]["unit"] == "ns"
    assert tiny_session.samples["idle_cpu"].keys() == {"growth: faces", "growth: threads"}


def test_the_chain_from_the_papers_setting_to_a_tiny_bundle_is_measured(tiny_session, tmp_path, monkeypatch):
    monkeypatch.setattr(factors, "FOLDER", tmp_path / "factors")
    samples = factors.study(tiny_session)
    steps = [row["step"] for row in samples["factors"]]
    precision = tiny_session.target.precision
    assert steps == ["paper", "engine", "input", *(["int8"] if precision == "int8" else [])]
    assert samples["factors"][-1]["all"] > 1, "a network of a few weights is faster than the paper's"
    assert samples["factors_interleaved"]["unit"] == "ns"
    made = factors.paper_checkpoint(tiny_session.bundle.spec, tmp_path / "factors")
    assert made.stat().st_mtime_ns == factors.paper_checkpoint(tiny_session.bundle.spec, made.parent).stat().st_mtime_ns


def test_a_network_is_written_for_another_size_and_batch(checkpoint_folder, tmp_path):
    from export import study

    with pytest.raises(UsageError, match="fp32"):
        study.write(checkpoint_folder, "openvino", "int8", 32, 4, tmp_path)
    model = study.artifact(checkpoint_folder, "openvino", "fp32", 32, 3, tmp_path)
    job = {"kind": "openvino", "model": str(model), "shape": [3, 32, 32, 1], "dtype": "uint8", "threads": 1}
    with Worker(job) as worker:
        worker.start()
        assert len(worker.block(2)) == 2
    written = model.stat().st_mtime_ns
    assert study.artifact(checkpoint_folder, "openvino", "fp32", 32, 3, tmp_path).stat().st_mtime_ns == written
