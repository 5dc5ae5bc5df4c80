"""Workers, resources, fingerprint, agreement and table, each on its own."""

import io
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import agreement, environment, resources
from benchmarks.agreement import Crops
from benchmarks.processes import WORKER, Worker
from benchmarks.reach.local import Local
from edgefer.errors import EdgeferError, InputRejected
from edgefer.spec import FERPLUS_LABELS, Alignment, ModelSpec

NULL = {"kind": "artifact", "engine": "null", "threads": 1, "shape": [1, 16, 16, 1]}
POINTS = ((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75))
SPEC = ModelSpec("efficientface", FERPLUS_LABELS, 16, 1, Alignment(POINTS, {}))


@pytest.fixture
def null_job(tmp_path) -> dict:
    """A job of the null engine: a real worker process with nothing to compute."""
    SPEC.save(tmp_path / "model.json")
    return {**NULL, "model": str(tmp_path / "model.json")}


def test_a_worker_loads_answers_and_counts(null_job):
    with Worker(null_job) as worker:
        times = worker.start()
        assert len(worker.block(17)) == 17
        assert len(worker.warm_up(0.0)) == 5
        assert worker.ask("details")["engine"] == "null"
    stamps = [times[name] for name in ("spawned_ns", "imported_ns", "engine_ns", "loaded_ns", "answered_ns")]
    assert stamps == sorted(stamps)
    assert worker.process.returncode == 0


def test_a_worker_predicts_every_crop_of_a_file(null_job, tmp_path):
    crops = np.zeros((3, 16, 16, 1), np.uint8)
    np.save(tmp_path / "crops.npy", crops)
    assert agreement.probabilities(null_job, tmp_path / "crops.npy", Local()).shape == (3, len(FERPLUS_LABELS))


def test_an_engines_error_keeps_its_sentence_and_class(null_job):
    with Worker({**null_job, "model": "/nowhere/model.json"}) as worker, pytest.raises(InputRejected, match="nowhere"):
        worker.ask("load")


def test_a_worker_that_dies_is_named(null_job):
    with Worker(null_job) as worker:
        worker.process.kill()
        with pytest.raises(EdgeferError, match=r"null.*signal 9"):
            worker.ask("load")


def test_a_worker_that_breaks_shows_its_last_words(null_job):
    with Worker(null_job) as worker, pytest.raises(EdgeferError, match="KeyError"):
        worker.ask("dance")


def test_the_eager_reference_runs_the_papers_own_network():
    pytest.importorskip("torch", reason="is the reference: install edgefer[workshop]")
    with Worker({"kind": "eager", "system": "efficientface", "threads": 1}) as worker:
        worker.start()
        details = worker.ask("details")
        assert len(worker.block(2)) == 2
    assert (details["input_size"], details["channels"], details["threads"]) == (224, 3, 1)
    assert details["precision"] == "torch.float32"
    assert len(details["source_sha256"]) == 64, "it is our own code: another one is another reference"


def test_memory_and_cold_start_workers_import_neither_torch_nor_opencv(null_job):
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(WORKER)], capture_output=True, text=True, timeout=60)
    assert "edgefer.engines" in done.stdout.split(), done.stderr
    assert not {"torch", "cv2", "yaml", "rich", "benchmarks"} & set(done.stdout.split())


def test_phases_add_up():
    milliseconds = {"spawned_ns": 0, "imported_ns": 60, "engine_ns": 80, "loaded_ns": 85, "answered_ns": 86}
    times = {name: ms * 1_000_000 for name, ms in milliseconds.items()}
    assert resources.phases(times) == {"start": 60, "import": 20, "load": 5, "first": 1, "total": 86}


def test_installed_size_counts_numpy_and_nothing_unknown():
    assert resources.installed_mb(("numpy",)) > 5
    assert resources.installed_mb(("no_such_module",)) is None


def test_temperatures_are_read_where_there_are_any(tmp_path):
    zone = tmp_path / "thermal_zone0"
    zone.mkdir()
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("48312\n")
    assert environment.temperatures(tmp_path) == {"cpu-thermal": 48.312}
    assert environment.temperatures(tmp_path / "none") == {}


def test_a_folder_outside_git_has_no_commit(tmp_path):
    assert environment.git(tmp_path) is None


def test_an_injected_loss_of_two_points_shows_with_its_sign():
    random = np.random.default_rng(0)
    labels = random.integers(0, 8, 3000)
    reference = np.where(random.random(3000) < 0.85, labels, (labels + 1) % 8)
    worse = reference.copy()
    worse[np.flatnonzero(reference == labels)[:60]] += 1
    crops = Crops(np.zeros((3000, 16, 16, 1), np.uint8), labels, "simulated")
    paired, found = agreement.compare(reference, worse % 8, crops, SPEC)
    assert found["accuracy_drop_points"].value == pytest.approx(2.0)
    assert found["flip_rate"].value == pytest.approx(0.02)
    assert found["accuracy_fp32"].value - found["accuracy"].value == pytest.approx(0.02)
    assert set(paired.recalls) == set(FERPLUS_LABELS)


def test_without_labels_there_is_only_agreement():
    crops = Crops(np.zeros((4, 16, 16, 1), np.uint8), None, "simulated")
    _, found = agreement.compare(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 4]), crops, SPEC)
    assert found["flip_rate"].value == 0.25
    assert found["accuracy"] is found["accuracy_fp32"] is found["accuracy_drop_points"] is None


class TestTable:
    table = pytest.importorskip("benchmarks.table", reason="needs rich: install edgefer[workshop]")

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.01234, "0.0123"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (823.4, "823"),
            (82048.1, "82048"),
            (0, "0.00"),
            (None, "–"),
        ],
    )
    def test_numbers_have_three_digits(self, value, text):
        assert self.table.number(value) == text

    def test_fractions_are_percent_budget_included(self):
        assert self.table.quantity(0.0219, "fraction") == "2.19 %"
        assert self.table.budget({"max": 0.03}, "fraction") == "≤ 3 %"
        assert self.table.budget({"min": 40}, "frames/s") == "≥ 40"

    def test_piped_output_is_plain_and_100_wide(self):
        file = io.StringIO()
        out = self.table.console(file)
        row = {"value": 0.5, "ci95": [0.4, 0.6], "unit": "ms", "budget": {"max": 1}, "verdict": "pass", "note": ""}
        out.print(self.table.metric_table({"speedup_vs_onnxruntime_fp32": row}, out))
        assert out.width == 100
        assert "speedup_vs_onnxruntime_fp32" in file.getvalue()
        assert "\x1b" not in file.getvalue()
