"""The workflows of continuous integration: they parse, and what they call exists."""

import re
from pathlib import Path

import pytest

from benchmarks.history import VARIABLE
from benchmarks.nightly import LIMIT_MINUTES

yaml = pytest.importorskip("yaml", reason="reads the workflows: install edgefer[workshop]")

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def steps(path: Path) -> list[dict]:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_both_are_there():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "nightly.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_make_target_and_module_exists(path):
    commands = " ".join(step.get("run", "") for step in steps(path))
    called = set(re.findall(r"\bmake ([a-z]+)", commands))
    assert called and called <= TARGETS
    for module in re.findall(r"-m ([\w.]+)", commands):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_have_versions_and_jobs_have_limits(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w/-]+@v\d+", name) for name in used)
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    assert all(job["timeout-minutes"] and job["runs-on"] for job in jobs)


def test_the_night_keeps_its_history_and_files_however_it_ends():
    saved = [s for s in steps(ROOT / ".github/workflows/nightly.yml") if "always()" in str(s.get("if"))]
    assert [s["with"]["path"].rstrip("/") for s in saved] == ["history", "build/nightly"]
    default = re.search(r'DEFAULT = .*"(\w+)"', (ROOT / "benchmarks/history.py").read_text()).group(1)
    assert saved[0]["with"]["path"] == default


def test_a_history_folder_of_the_runner_takes_the_place_of_the_cache():
    path = ROOT / ".github/workflows/nightly.yml"
    (job,) = yaml.safe_load(path.read_text())["jobs"].values()
    assert job["env"][VARIABLE] == f"${{{{ vars.{VARIABLE} }}}}"
    cached = [s for s in steps(path) if s.get("with", {}).get("path") == "history"]
    assert len(cached) == 2 and all(f"vars.{VARIABLE} == ''" in s["if"] for s in cached)


def test_the_nights_job_outlasts_the_limit_of_a_target():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())["jobs"].values()
    assert job["timeout-minutes"] >= 4 * LIMIT_MINUTES
