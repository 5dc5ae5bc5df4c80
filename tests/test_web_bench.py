"""Benchmarks by the page: a phone's browser at the end of adb, Chromium here for one that is not there."""

import json
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import browsers, page, verdict
from benchmarks import run as program
from benchmarks.agreement import Crops
from benchmarks.session import QUICK
from edgefer import targets
from edgefer.browser import site
from edgefer.errors import EnvironmentInvalid, InputRejected, Unreachable, UsageError

ANDROID = targets.get("android")


@pytest.fixture
def fewer(monkeypatch, litert_web):
    """Little work: one round would give no interval, so two."""
    monkeypatch.setenv(site.VARIABLE, str(litert_web))
    monkeypatch.setattr(program, "QUICK", replace(QUICK, plan=replace(QUICK.plan, rounds=2, blocks=2)))
    monkeypatch.setattr(page, "FIRST_WARM_S", 0.3)
    from benchmarks import agreement
    from train.data import synthetic

    def crops(spec, _data):
        images = synthetic.faces(300, 3, spec.input_size).images[..., None]
        return Crops(np.repeat(images, spec.channels, 3), None, "300 synthetic faces")

    monkeypatch.setattr(agreement, "evaluation_crops", crops)


def measured(web_bundle, tmp_path, *flags: str) -> tuple[int, dict]:
    file = tmp_path / "record.json"
    code = program.main(
        ["--target", "android", "--quick", "--bundle", str(web_bundle.folder), "--json", str(file), *flags]
    )
    return code, json.loads(file.read_text())


def test_emulated_it_judges_agreement_and_size_and_no_time(web_bundle, chromium, fewer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "record_file", lambda _target: tmp_path / "latest.json")
    code, record = measured(web_bundle, tmp_path, "--emulate", "--peers")
    assert code == 0 and record["verdict"] == "pass", record["environment"]["run"]["problems"]
    run, metrics = record["environment"]["run"], record["metrics"]
    assert record["environment"]["reach"] == "emulated browser" and run["emulated"]
    assert any("emulated" in remark for remark in run["remarks"]) and any(
        "peers" in remark for remark in run["remarks"]
    )
    for name, row in metrics.items():
        if verdict.KINDS[name].timed:
            assert row["value"] is None and row["note"] == page.EMULATED
    assert metrics["artifact_mb"]["verdict"] == "pass" and metrics["flip_rate"]["value"] <= 0.03
    assert len(record["samples"]["predictions"]["target"]) == 300
    assert np.array(record["samples"]["interleaved"]["blocks"]["target"]).shape[:2] == (2, 2)
    assert record["environment"]["packages"] == {site.LITERT: site.LITERT_VERSION}
    assert "emulated" in capsys.readouterr().out
    assert (tmp_path / "latest.json").is_file()


FAKE_ADB = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
    get-state) echo device;;
    *getprop*) printf 'Maker\\nPhone 9\\nChip\\naarch64\\n16\\n';;
    *"am start"*) address=$(printf %s "$*" | sed "s/.*-d //; s/ 2>&1//; s/'//g")
        {chromium} --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \\
            --disable-component-update --disable-sync --user-data-dir={profile} "$address" > /dev/null 2>&1 &
        echo $! > {pid}
        echo "Starting: Intent";;
esac
"""
"""An adb whose phone is this machine: am start opens Chromium."""


@pytest.fixture
def phone(chromium, tmp_path, monkeypatch):
    """Lines that adb was called with."""
    tool, log, pid = tmp_path / "bin" / "adb", tmp_path / "log", tmp_path / "pid"
    tool.parent.mkdir()
    tool.write_text(FAKE_ADB.format(log=log, chromium=chromium, profile=tmp_path / "profile", pid=pid))
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    yield lambda: log.read_text().splitlines()
    if pid.is_file():
        os.kill(int(pid.read_text()), 15)


def test_a_phone_measures_in_its_browser_and_its_times_count(web_bundle, phone, fewer, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "record_file", lambda _target: tmp_path / "latest.json")
    monkeypatch.setattr(verdict, "NOISE_BOUND", 100.0)  # this machine may be busy
    code, record = measured(web_bundle, tmp_path)
    assert code == 0, record["environment"]["run"]
    environment, metrics = record["environment"], record["metrics"]
    assert environment["reach"] == "browser" and not environment["run"]["emulated"]
    assert environment["cpu"]["model"] == "Maker Phone 9 (Chip)" and environment["kernel"] == "Android 16"
    assert metrics["latency_ms"]["value"] > 0.1 and metrics["pipeline_fps"]["value"] > 1
    assert metrics["fps"]["value"] == pytest.approx(1000 / metrics["latency_ms"]["value"])
    said = phone()
    forwarded = next(line for line in said if line.startswith("reverse tcp:"))
    assert f"reverse --remove {forwarded.split()[1]}" in said


def test_a_phone_that_opens_no_page(phone, tmp_path, monkeypatch):
    tool = tmp_path / "bin" / "adb"
    tool.write_text('#!/bin/sh\ncase "$*" in *"am start"*) echo "Error: Activity not started, no browser";; esac\n')
    with (
        pytest.raises(Unreachable, match=r"opens no page \(Error: Activity not started"),
        browsers.phone(ANDROID, 1) as show,
    ):
        show("http://127.0.0.1:1/")


def test_when_a_browser_measures():
    with_python = replace(ANDROID, reach={**ANDROID.reach, "python": "/usr/bin/python3"})
    assert page.wanted(ANDROID, False) and page.wanted(ANDROID, True)
    assert not page.wanted(with_python, False) and page.wanted(with_python, True)
    assert not page.wanted(targets.get("i7"), False)
    with pytest.raises(UsageError, match="i7 is none"):
        page.wanted(targets.get("i7"), True)
    with pytest.raises(UsageError, match="a browser runs litert only, not onnxruntime"):
        page.wanted(replace(ANDROID, engine="onnxruntime"), False)


def test_a_dry_run_says_what_a_browser_measures(web_bundle, capsys):
    flags = ["--target", "android", "--emulate", "--dry-run", "--bundle", str(web_bundle.folder)]
    assert program.main(flags) == 0
    said = capsys.readouterr().out
    assert "freshly compiled models" in said and "cold start" not in said


def test_no_chromium(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentInvalid, match="--emulate needs Chromium"), browsers.emulated():
        pass


@pytest.mark.parametrize(
    "handed_in, said",
    [
        (b"garbage", "is no record"),
        (b'{"schema": 2}', "is no record"),
        (b'{"error": "no model"}', "could not measure: no model"),
    ],
)
def test_what_is_no_record_is_refused(handed_in, said):
    with pytest.raises(InputRejected, match=said):
        page.checked(handed_in)


def test_a_page_that_computes_something_else_fails(web_bundle):
    """Its golden vectors' problems, and labels that flip, decide: by the samples, not by what the page thinks."""
    crops = Crops(np.zeros((100, 1, 1, 1), np.uint8), None, "nothing")
    blocks = {"target": [[[1000, 1100]] * 2] * 2}
    run = {"precision": "int8", "threads": 1, "remarks": [], "problems": []}
    cpu = {"model": "m", "machine": "m", "flags": [], "cores": 1, "affinity": []}
    surroundings = {"packages": {}, "cpu": cpu, "time": "", "kernel": "", "run": run}

    def told(flips: int, problems: list[str]) -> dict:
        predictions = {"fp32": [0] * 100, "target": [1] * flips + [0] * (100 - flips)}
        samples = {
            "interleaved": {"blocks": blocks},
            "pipeline": [{"ns": [10**6], "faces": [1]}],
            "predictions": predictions,
        }
        found = {
            "schema": 1,
            "verdict": "pass",
            "samples": samples,
            "environment": {**surroundings, "run": {**run, "problems": problems}},
        }
        here = {"time": "", "cpu": cpu, "load_average_at_start": [0.0], "git": None}
        return page.judged(found, web_bundle, ANDROID, crops, QUICK, here, {}, False, [])

    assert told(0, [])["verdict"] == "pass"
    assert told(10, [])["verdict"] == "fail"
    assert told(0, ["golden 0: another label"])["verdict"] == "fail"
    assert told(0, [])["metrics"]["latency_ms"]["value"] == pytest.approx(0.00105)


def test_the_flag_is_known_and_chromium_is_the_one_the_tests_use(chromium):
    assert program.arguments(["--target", "android", "--emulate"]).emulate
    assert Path(chromium).name in browsers.CHROMIUM and shutil.which(Path(chromium).name)
