"""A night with made-up programs: what one target does must not touch the others, and the verdict is the exit code."""

import gzip
import json
import os
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from test_bench_report import Page, made_comparison, made_record

from benchmarks import junit, lanes, nightly, outcome, report, run
from benchmarks.history import Store
from benchmarks.outcome import CRASHED, SKIPPED, Outcome
from edgefer.errors import UsageError
from edgefer.targets import Target

pytest.importorskip("jinja2", reason="makes the page: install edgefer[workshop]")
pytest.importorskip("rich", reason="prints the table: install edgefer[workshop]")

FAKE = """
import json, os, signal, subprocess, sys, time
told = dict(zip(sys.argv[1::2], sys.argv[2::2]))
name, file = told["--target"], told["--json"]
how = name.rstrip("0123456789")
if how in ("good", "bad", "unlike", "badunlike", "unsure"):
    record = json.load(open(os.path.join(os.environ["FAKE_RECORDS"], how + ".json")))
    os.makedirs(os.path.dirname(file), exist_ok=True)
    json.dump(record | {"target": name}, open(file, "w"))
    if "unlike" in how:
        print("kept: somewhere")
        print("error: records of unlike runs are never compared: CPU model is A now and B in the baseline", file=sys.stderr)
    sys.exit({"good": 0, "bad": 1, "unlike": 3, "badunlike": 1, "unsure": 4}[how])
if how == "gone":
    print("error: target 'gone' cannot be reached: nothing answers")
    sys.exit(5)
if how == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "hang":
    child = subprocess.Popen(["sleep", "600"])
    open(os.environ["FAKE_RECORDS"] + "/child", "w").write(str(child.pid))
    time.sleep(600)
print("internal error: KeyError('x'); this is a bug")
sys.exit(70)
"""
ALL = ("good1", "bad1", "crash1", "killed1", "hang1", "gone1", "good2")


@pytest.fixture
def stage(tmp_path, monkeypatch) -> Path:
    """A folder with made-up records and a devices.yaml whose local targets are named by what their program does."""
    bad = made_record("bad", budgets={"artifact_mb": nightly.targets.Budget(max=1.0)})
    records = {
        "good": made_record("good"),
        "bad": bad,
        "unlike": made_record("unlike"),
        "badunlike": bad,
        "unsure": made_record("unsure"),
    }
    nothing = {"baseline": None, "rows": [], "changed": {}, "change_points": [], "accuracy": None, "remarks": []}
    for name, record in records.items():
        verdict = {"unsure": "inconclusive"}.get(name, "pass")
        extra = {} if "unlike" in name else {"comparison": {"verdict": verdict, **nothing}}
        (tmp_path / f"{name}.json").write_text(json.dumps(record | extra))
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.setattr(nightly, "MEASURE", [sys.executable, str(tmp_path / "fake.py")])
    monkeypatch.setattr(nightly, "EXPORT", [sys.executable, "-c", "pass"])
    monkeypatch.setenv("FAKE_RECORDS", str(tmp_path))
    return tmp_path


def devices(place: Path, *names: str) -> Path:
    shared = {"description": "a test", "engine": "onnxruntime", "precision": "int8", "threads": 1, "vnni": False}
    shared |= {"margin_points": 0.5, "budgets": {}}
    reach = {"kind": "local", "machine": nightly.targets.platform.machine()}
    entries = {name: {**shared, "reach": reach} for name in names}
    entries["away"] = {**shared, "reach": {"kind": "ssh", "host": "", "user": "pi", "port": 22}}
    path = place / "devices.yaml"
    path.write_text(yaml.safe_dump({"schema": 1, "targets": entries}))
    return path


def night(place: Path, *names: str, options: tuple = ()) -> tuple[int, dict]:
    """Exit code and ``nightly.json``."""
    where = ["--devices", str(devices(place, *names)), "--history", str(place / "history"), "--out", str(place / "out")]
    code = nightly.main([*where, *options])
    return code, json.loads((place / "out" / "nightly.json").read_text())


def by_name(found: dict) -> dict[str, dict]:
    return {entry["target"]: entry for entry in found["targets"]}


def test_whatever_one_target_does_the_others_are_measured(stage, capsys):
    began = time.monotonic()
    code, found = night(stage, *ALL, options=("--limit", "0.1"))
    assert time.monotonic() - began < 60
    entries = by_name(found)
    assert code == 1 and found["verdict"] == "fail"
    assert {name: entry["state"] for name, entry in entries.items()} == {
        "good1": "measured", "bad1": "measured", "crash1": "crashed", "killed1": "crashed", "hang1": "crashed",
        "gone1": "skipped", "good2": "measured", "away": "skipped",
    }  # fmt: skip
    assert "KeyError" in entries["crash1"]["reason"] and "code 70" in entries["crash1"]["reason"]
    assert "signal 9" in entries["killed1"]["reason"] and "--limit" in entries["hang1"]["reason"]
    assert "nothing answers" in entries["gone1"]["reason"] and "reach.host" in entries["away"]["reason"]
    assert not alive(int((stage / "child").read_text())), "what a hanging program started was left running"
    page = Page((stage / "out" / "report.html").read_text()).text
    assert all(entry["reason"] in page for entry in entries.values())
    assert "verdict: fail" in capsys.readouterr().out


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_junit_has_a_suite_a_target_and_only_what_spoils_the_night_is_red(stage):
    night(stage, "good1", "bad1", "unsure1", "crash1")
    root = ET.parse(stage / "out" / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"good1", "bad1", "unsure1", "crash1", "away"}
    red = {
        name: {c.get("name") for c in s if c.find("failure") is not None or c.find("error") is not None}
        for name, s in suites.items()
    }
    assert red == {
        "good1": set(),
        "bad1": {"target", "artifact_mb"},
        "unsure1": {"target"},
        "crash1": {"target"},
        "away": set(),
    }
    assert suites["away"].get("skipped") == suites["away"].get("tests") == "1"
    for element in [root, *root]:
        cases = list(element.iter("testcase"))
        assert int(element.get("tests")) == len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.get(attribute)) == sum(case.find(tag) is not None for case in cases)


@pytest.mark.parametrize(
    ("names", "options", "code", "verdict"),
    [
        (["good1"], (), 0, "pass"),
        (["good1"], ("--require", "away"), 5, "unreachable"),
        (["good1", "unsure1"], (), 4, "inconclusive"),
        (["unsure1", "unlike1"], (), 3, "invalid"),
        (["bad1"], ("--require", "away"), 1, "fail"),
        (["good1", "bad1"], ("--targets", "good1"), 0, "pass"),
        (["good1"], ("--targets", "away"), 5, "unreachable"),
    ],
)
def test_the_exit_code_is_the_worst_verdict(stage, names, options, code, verdict):
    got, found = night(stage, *names, options=options)
    assert (got, found["verdict"]) == (code, verdict)


def test_a_record_of_another_machine_is_shown_and_not_compared(stage):
    _, found = night(stage, "unlike1")
    entry = by_name(found)["unlike1"]
    assert entry["state"] == "measured" and entry["summary"]["verdict"] == "pass" and entry["verdict"] == "invalid"
    assert "never compared" in entry["comparison"]["remarks"][0]


def test_a_record_that_fails_is_kept_where_its_comparison_is_refused(stage):
    code, found = night(stage, "badunlike1")
    entry = by_name(found)["badunlike1"]
    assert (code, entry["state"], entry["verdict"]) == (1, "measured", "fail")
    assert "never compared" in entry["comparison"]["remarks"][0]
    page = Page((stage / "out" / "report.html").read_text()).text
    look = page[page.index("What needs a look") : page.index("Figures")]
    assert "artifact_mb" in look and "never compared" in look


def test_one_store_that_cannot_be_read_spoils_nothing_but_its_trends(stage):
    store = Store(stage / "history")
    path = store.append(made_record("good2"))
    path.write_bytes(gzip.compress(json.dumps(made_record("good2") | {"schema": 99}).encode()))
    code, found = night(stage, "good1", "good2")
    assert code == 0
    assert "schema 99" in by_name(found)["good2"]["remarks"][0]
    assert (stage / "out" / "report.html").exists()
    report.main(["--night", str(stage / "out"), "--history", str(stage / "history")])


def test_a_missing_bundle_is_a_crash_of_its_target_only(stage, monkeypatch):
    script = "import sys; sys.exit('error: no' if 'good2' in sys.argv else 0)"
    monkeypatch.setattr(nightly, "EXPORT", [sys.executable, "-c", script])
    code, found = night(stage, "good1", "good2")
    assert code == 1
    assert {n: e["state"] for n, e in by_name(found).items()} == {
        "good1": "measured",
        "good2": "crashed",
        "away": "skipped",
    }
    assert by_name(found)["good2"]["reason"] == "no bundle: no"
    lacks = "import sys; print('error: no NNCF', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(nightly, "EXPORT", [sys.executable, "-c", lacks])
    code, found = night(stage, "good1")
    assert code == 3 and by_name(found)["good1"]["verdict"] == "invalid", "no artifact is bad"


def test_nothing_of_the_night_before_is_left(stage):
    night(stage, "good1")
    (stage / "good.json").unlink()
    code, found = night(stage, "good1")
    assert code == 1 and by_name(found)["good1"]["state"] == "crashed"


def test_nothing_of_a_target_that_was_not_asked_for_is_left(stage):
    night(stage, "good1", "bad1")
    night(stage, "good1", "bad1", options=("--targets", "good1"))
    left = sorted(path.name for path in (stage / "out").rglob("*") if path.is_file())
    assert left == ["good1-bundle.txt", "good1.json", "good1.txt", "junit.xml", "nightly.json", "report.html"]


def test_unknown_names_and_a_quick_baseline_are_refused(stage):
    for options in (("--targets", "i9"), ("--require", "i9")):
        with pytest.raises(UsageError, match=r"i9.*away, good1"):
            night(stage, "good1", options=options)
    with pytest.raises(UsageError, match="quick"):
        night(stage, "good1", options=("--quick", "--accept", "why not"))


def target(name: str, **reach) -> Target:
    return Target(name, "", reach, "litert", "int8", 1, False, 0.5)


def test_targets_of_one_machine_share_a_lane():
    chosen = [
        target("here", kind="local"), target("loop", kind="ssh", host="localhost"), target("emulated", kind="emulated"),
        target("pi", kind="ssh", host="10.0.0.4"), target("pi2", kind="ssh", host="10.0.0.4"),
        target("phone", kind="adb", serial="A1"), target("tablet", kind="adb", serial="B2"),
    ]  # fmt: skip
    found = nightly.lane_names(chosen)
    assert found["here"] == found["loop"] == found["emulated"]
    assert found["pi"] == found["pi2"]
    assert len(set(found.values())) == 4
    any_phone = nightly.lane_names([*chosen, target("any", kind="adb", serial="")])
    assert any_phone["phone"] == any_phone["tablet"] == any_phone["any"]


def test_lanes_run_beside_each_other_and_a_lane_one_by_one():
    running, most, lock = {"a": 0, "b": 0}, {"a": 0, "b": 0}, threading.Lock()
    both = threading.Barrier(2, timeout=10)

    def work(job: str) -> str:
        with lock:
            running[job[0]] += 1
            most[job[0]] = max(most[job[0]], running[job[0]])
        if job in ("a1", "b1"):
            both.wait()
        with lock:
            running[job[0]] -= 1
        return job.upper()

    jobs = ["a1", "a2", "b1", "a3", "b2"]
    assert lanes.in_lanes(jobs, lambda job: job[0], work, threading.Event()) == [job.upper() for job in jobs]
    assert most == {"a": 1, "b": 1}


def test_this_machines_own_targets_run_before_the_others_and_alone(monkeypatch):
    chosen = [
        target("pi", kind="ssh", host="10.0.0.4"),
        target("here", kind="local"),
        target("phone", kind="adb", serial="A"),
    ]
    running, seen, lock = set(), {}, threading.Lock()
    remote = threading.Barrier(2, timeout=10)

    def work(outcome: Outcome, *_) -> None:
        name = outcome.target.name
        with lock:
            running.add(name)
        if name != "here":
            remote.wait()
        seen[name] = set(running)
        if name != "here":
            remote.wait()
        running.discard(name)

    monkeypatch.setattr(nightly.targets, "unreachable_reason", lambda _: None)
    monkeypatch.setattr(nightly, "run", work)
    nightly.measure([Outcome(each) for each in chosen], nightly.arguments(["--bundle", "B"]), None, lambda _: None)
    assert next(iter(seen)) == "here"
    assert seen == {"here": {"here"}, "pi": {"pi", "phone"}, "phone": {"pi", "phone"}}


def test_an_exception_ends_what_runs_in_the_other_lanes(tmp_path):
    stop = threading.Event()

    def work(job: str):
        if job == "a":
            raise KeyboardInterrupt
        return lanes.run(["sleep", "60"], tmp_path / "log", 60, stop)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        lanes.in_lanes(["a", "b"], lambda job: job, work, stop)
    assert time.monotonic() - began < 20


RECORD = made_record()
WORSE = made_comparison()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"record": RECORD}, "pass"),
        ({"record": RECORD, "comparison": WORSE}, "fail"),
        ({"record": RECORD, "comparison": WORSE, "accepted": "meant"}, "pass"),
        ({"record": RECORD | {"verdict": "invalid"}, "comparison": WORSE | {"verdict": "inconclusive"}}, "invalid"),
        ({"state": SKIPPED}, None),
        ({"state": SKIPPED, "required": True}, "unreachable"),
        ({"state": CRASHED, "code": 70}, "fail"),
        ({"state": CRASHED, "code": None}, "fail"),
        ({"state": CRASHED, "code": 3}, "invalid"),
    ],
)
def test_a_targets_verdict(changes, expected):
    assert Outcome(target("t", kind="local"), **changes).verdict == expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["pass", "inconclusive", "invalid", "unreachable", "fail"], "fail"),
        (["pass", "inconclusive", "invalid", "unreachable"], "unreachable"),
        (["pass", "inconclusive", "invalid"], "invalid"),
        (["pass", "inconclusive", None], "inconclusive"),
        (["pass"], "pass"),
        ([None], "unreachable"),
    ],
)
def test_fail_outweighs_unreachable_outweighs_invalid_outweighs_inconclusive_outweighs_pass(verdicts, expected):
    def made(told: str | None) -> Outcome:
        if told in (None, "unreachable"):
            return Outcome(target("t", kind="local"), state=SKIPPED, required=bool(told))
        return Outcome(target("t", kind="local"), record=RECORD | {"verdict": told})

    assert outcome.overall([made(each) for each in verdicts]) == expected


def test_only_tonights_record_becomes_the_baseline(tmp_path):
    store, tonight = Store(tmp_path), made_record(night=1)
    store.append(made_record(night=0))
    shown = Outcome(target("here", kind="local"), record=tonight)
    nightly.accept(store, shown, "meant")
    assert shown.accepted == "" and "tonight's record is not in" in shown.remarks[0]
    path = store.append(tonight)
    store.append(made_record(night=2))
    nightly.accept(store, shown, "meant")
    assert shown.accepted == "meant" and store.log("here")[-1]["record"] == path.name


def test_a_night_that_accepts_compares_nothing_with_a_lost_baseline(tmp_path):
    store, args = Store(tmp_path), nightly.arguments(["--history", str(tmp_path), "--accept", "meant"])
    path, shown = store.append(made_record()), Outcome(target("here", kind="local"))
    store.accept("here", "first")
    assert not nightly.lost_baseline(shown, args, store)
    path.unlink()
    assert nightly.lost_baseline(shown, args, store) and "missing" in shown.remarks[0]
    assert nightly.run_options(args, lost=True) == ["--engines", "--history", str(tmp_path)]
    assert not nightly.lost_baseline(shown, nightly.arguments([]), store), "without --accept it stops the run"


def test_what_this_machine_lacks_is_no_failure_in_junit_either(tmp_path):
    shown = Outcome(target("t", kind="local"), state=CRASHED, reason="litert is not installed", code=3)
    junit.write(tmp_path / "junit.xml", [shown], "2026-11-01T02:17:00+00:00")
    root = ET.parse(tmp_path / "junit.xml").getroot()
    assert (root.get("failures"), root.get("errors")) == ("0", "1")


def test_accepted_differences_are_not_red(tmp_path):
    shown = Outcome(target("t", kind="local"), record=RECORD, comparison=WORSE, accepted="meant", code=0)
    junit.write(tmp_path / "junit.xml", [shown], "2026-11-01T02:17:00+00:00")
    root = ET.parse(tmp_path / "junit.xml").getroot()
    assert root.get("failures") == root.get("errors") == "0"
    assert "meant" in (tmp_path / "junit.xml").read_text()


def test_last_words_that_xml_forbids_are_left_out(tmp_path):
    shown = Outcome(target("t", kind="local"), state=CRASHED, reason="\x1b[31m<bad> & \x00worse", code=70)
    junit.write(tmp_path / "junit.xml", [shown], "2026-11-01T02:17:00+00:00")
    assert "<bad> & worse" in ET.parse(tmp_path / "junit.xml").find(".//failure").get("message")


def test_every_option_that_a_run_knows_as_well_is_passed_on():
    flags = ["--quick", "--peers", "--benchmark-app", "--growth", "--factors"]
    options = [*flags, "--sustained", "60", "--history", "H", "--bundle", "B", "--data", "D", "--devices", "F"]
    night, default = nightly.arguments(options), nightly.arguments([])
    told = run.arguments(["--target", "t", *nightly.run_options(night)])
    common = vars(night).keys() & vars(told).keys() - {"accept"}  # which is done after the comparison
    assert {name for name in common if getattr(night, name) == getattr(default, name)} == set(), "not tried here"
    assert {name: getattr(told, name) for name in common} == {name: getattr(night, name) for name in common}
    assert told.engines and told.compare
    assert nightly.run_options(default) == ["--engines", "--compare"]


def test_a_real_night_of_a_tiny_bundle(tmp_path, monkeypatch):
    """Real programs from end to end, quick and without torch: one target is this machine, one is nowhere."""
    pytest.importorskip("onnxruntime", reason="runs the tiny model: install edgefer[workshop]")
    from test_bench_run import EASY, tiny_bundle
    from test_bench_run import devices as real_devices

    (tmp_path / "no-torch").mkdir()
    (tmp_path / "no-torch" / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")
    paths = [str(tmp_path / "no-torch"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    bundle, file = tiny_bundle(tmp_path / "tiny", damage=0.001), real_devices(tmp_path / "devices.yaml", **EASY)
    places = ["--out", str(tmp_path / "out"), "--history", str(tmp_path / "history"), "--devices", str(file)]
    code = nightly.main([*places, "--quick", "--data", "synthetic", "--bundle", str(bundle)])
    found = json.loads((tmp_path / "out" / "nightly.json").read_text())
    here, away = (by_name(found)[name] for name in ("here", "away"))
    assert (here["state"], away["state"]) == ("measured", "skipped"), here["reason"]
    assert code == {"pass": 0, "invalid": 3}[found["verdict"]]  # invalid: this machine is too busy to time anything on
    assert not (tmp_path / "history").exists(), "a quick record was kept"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "quick" in Page(page).text and "onnxruntime/int8" in page and "target-here-pareto" in page
