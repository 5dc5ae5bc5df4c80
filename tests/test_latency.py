"""The latency of a checkpoint in seconds: interleaved with another's, a proxy where the target is not there."""

import json
import subprocess
import sys

import pytest

from benchmarks import latency
from edgefer import targets


@pytest.fixture(scope="module")
def tiny(untrained):
    return untrained(training={}, metrics={})


def test_a_target_out_of_reach_is_timed_here_and_called_a_proxy(tiny, tmp_path):
    command = [sys.executable, "-m", "benchmarks.latency", "--target", "rpi4", "--checkpoint", str(tiny)]
    more = ["--against", str(tiny), "--precision", "fp32", "--json", str(tmp_path / "latency.json")]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=300, cwd=latency.ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "latency.json").read_text())
    assert found["proxy"] and "rpi4" in found["why_proxy"]
    assert "a proxy, not rpi4" in done.stdout
    assert (found["engine"], found["precision"], found["threads"]) == ("litert", "fp32", 4)
    low, high = found["latency_ms"]["ci95"]
    assert 0 < low <= found["latency_ms"]["value"] <= high
    assert found["speedup"]["value"] == pytest.approx(
        found["against_ms"]["value"] / found["latency_ms"]["value"], rel=0.5
    )
    assert found["artifact_mb"] == pytest.approx(0.26, abs=0.05)  # 65,000 parameters of four bytes


def test_an_emulated_target_has_no_times():
    assert latency.reason(targets.get("rpi4-emulated")) == "emulated: no time counts"
    assert latency.reason(targets.get("i7")) is None
