"""The store of records: kept whole, read in order, damaged files survived, baselines accepted with a reason or not at all."""

import gzip
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import environment, history, nights, run
from benchmarks.history import VARIABLE, Store
from benchmarks.session import FULL
from benchmarks.simulate import record
from edgefer.errors import BudgetBroken, EnvironmentInvalid, InputRejected, UsageError
from edgefer.targets import Target

PLAN = replace(FULL.plan, rounds=3, blocks=2, warm_s=0.01)
MODEL = b"a model"
TARGET = Target("simulated", "", {}, "litert", "int8", 2, False, 0.5)


def made(night: int = 0) -> dict:
    """A small record whose artifact is ``MODEL``."""
    found = record(night, plan=PLAN, night=night, n_faces=50)
    files = {"models/net.tflite": hashlib.sha256(MODEL).hexdigest()}
    found["environment"]["run"]["artifact"] = {"name": "litert/int8", "file": "models/net.tflite", "files": files}
    return found


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "history")


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A folder with the file that records timed."""
    folder = tmp_path / "bundle"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "net.tflite").write_bytes(MODEL)
    return folder


def test_records_come_back_whole_and_oldest_first(store):
    late, early = made(2), made(1)
    store.append(late)
    store.append(early)
    assert store.records("simulated").records == [early, late]
    assert store.records("another").records == []


def test_a_records_file_is_named_by_target_time_and_commit(store):
    path = store.append(made(3))
    assert path == store.folder / "simulated" / "2026-01-04T020000Z-0000000.json.gz"
    assert store.append(made(3)).name == "2026-01-04T020000Z-0000000.2.json.gz"


def test_a_record_without_a_time_gets_one(store):
    found = made()
    del found["environment"]["time"]
    store.append(found)
    (kept,) = store.records("simulated").records
    assert kept["environment"]["time"].endswith("Z")
    assert "time" not in found["environment"], "the caller's record is left alone"


def test_nothing_is_left_beside_a_record(store):
    path = store.append(made())
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b broken", gzip.compress(b"{"), gzip.compress(b"[1]"), None])
def test_a_damaged_record_is_left_out_and_said(store, damage):
    good, bad = store.append(made(1)), store.append(made(2))
    bad.write_bytes(bad.read_bytes()[:-40] if damage is None else damage)
    found = store.records("simulated")
    assert found.paths == [good]
    (remark,) = found.remarks
    assert str(bad) in remark and "damaged" in remark and "delete it or restore it" in remark


def test_a_record_of_another_form_is_refused(store):
    with pytest.raises(InputRejected, match=r"schema 99 is newer than 1.*newer edgefer"):
        store.append(made() | {"schema": 99})
    path = store.append(made())
    path.write_bytes(gzip.compress(json.dumps(made() | {"schema": 0}).encode()))
    with pytest.raises(InputRejected, match=r"schema 0 is not 1.*move it out of the store"):
        store.records("simulated")


def test_a_store_of_another_form_is_refused(store):
    store.append(made())
    (store.folder / "store.json").write_text('{"schema": 2}')
    with pytest.raises(InputRejected, match=r"schema 2 is newer than 1.*another --history"):
        Store(store.folder)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputRejected, match=r"store\.json"):
        Store(tmp_path)


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "elsewhere"))
    assert Store().folder == tmp_path / "elsewhere"
    assert Store(tmp_path / "given").folder == tmp_path / "given"


def test_the_latest_record_becomes_the_baseline_with_its_reason(store):
    store.append(made(1))
    latest = store.append(made(2))
    assert store.baseline("simulated") is None
    entry = store.accept("simulated", " new weights ")
    assert (entry["record"], entry["reason"], entry["before"]) == (latest.name, "new weights", None)
    assert entry["commit"] == f"{2:040x}" and entry["by"] and entry["time"]
    assert store.baseline("simulated").record == made(2)


def test_the_log_keeps_every_acceptance_and_what_was_before(store):
    first, second = store.append(made(1)), store.append(made(2))
    store.accept("simulated", "one", second)
    store.accept("simulated", "back again", first)
    assert [entry["reason"] for entry in store.log("simulated")] == ["one", "back again"]
    assert store.log("simulated")[-1]["before"] == second.name
    assert store.baseline("simulated").record == made(1)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_reason_is_needed(store, reason):
    store.append(made())
    with pytest.raises(UsageError, match="reason"):
        store.accept("simulated", reason)


def test_there_must_be_a_record(store, tmp_path):
    with pytest.raises(UsageError, match="no record of simulated yet"):
        store.accept("simulated", "hope")
    with pytest.raises(UsageError, match="is not a record of simulated"):
        store.accept("simulated", "hope", tmp_path / "somewhere.json.gz")


@pytest.mark.parametrize(("verdict", "error"), [("fail", BudgetBroken), ("invalid", EnvironmentInvalid)])
def test_a_bad_record_is_no_baseline(store, verdict, error):
    store.append(made() | {"verdict": verdict})
    with pytest.raises(error, match="no baseline"):
        store.accept("simulated", "please")
    assert store.baseline("simulated") is None


def test_a_record_of_uncommitted_code_is_no_baseline(store):
    found = made()
    found["environment"]["git"]["dirty"] = True
    store.append(found)
    with pytest.raises(EnvironmentInvalid, match="uncommitted"):
        store.accept("simulated", "please")


def test_a_quick_record_is_neither_kept_nor_accepted(store):
    quick = made()
    quick["environment"]["run"]["quick"] = True
    with pytest.raises(UsageError, match="--quick"):
        store.append(quick)
    path = store.append(made())
    path.write_bytes(gzip.compress(json.dumps(quick).encode()))  # by hand, past the first check
    with pytest.raises(UsageError, match="--quick record is never a baseline"):
        store.accept("simulated", "please", path)


def test_a_lost_baseline_says_what_to_do(store):
    path = store.append(made())
    store.accept("simulated", "first")
    path.unlink()
    with pytest.raises(InputRejected, match=r"missing.*--accept"):
        store.baseline("simulated")


def test_the_baselines_model_can_be_timed_again_when_the_bundle_has_changed(store, bundle):
    store.append(made(), bundle)
    store.accept("simulated", "first")
    (bundle / "models" / "net.tflite").write_bytes(b"another model")
    earlier = store.earlier(TARGET)
    assert Path(earlier.job["model"]).read_bytes() == MODEL
    assert (earlier.job["engine"], earlier.job["threads"], earlier.job["shape"]) == ("litert", 2, [1, 48, 48, 1])
    assert earlier.files == made()["environment"]["run"]["artifact"]["files"]


def test_the_same_model_is_kept_once(store, bundle):
    store.append(made(1), bundle)
    store.append(made(2), bundle)
    assert len(list((store.folder / "simulated" / "artifacts").iterdir())) == 1


def test_a_model_that_is_not_the_timed_one_is_not_kept(store, bundle):
    (bundle / "models" / "net.tflite").write_bytes(b"another model")
    with pytest.raises(InputRejected, match="not the file that the record timed"):
        store.append(made(), bundle)
    assert not list((store.folder / "simulated").glob("**/*.tflite"))


def test_a_damaged_baseline_model_is_refused(store, bundle):
    store.append(made(), bundle)
    store.accept("simulated", "first")
    next(store.folder.glob("**/*.tflite")).write_bytes(b"broken")
    with pytest.raises(InputRejected, match="not the file"):
        store.earlier(TARGET)


def test_models_of_neither_the_baseline_nor_a_latest_record_leave(store, bundle, monkeypatch):
    monkeypatch.setattr(history, "ARTIFACTS_OF", 2)
    for night in range(1, 6):
        changed = f"model {night}".encode()
        (bundle / "models" / "net.tflite").write_bytes(changed)
        found = made(night)
        found["environment"]["run"]["artifact"]["files"] = {"models/net.tflite": hashlib.sha256(changed).hexdigest()}
        store.append(found, bundle)
        if night == 2:
            store.accept("simulated", "second night")
    kept = {path.read_bytes().decode() for path in store.folder.glob("**/net.tflite")}
    assert kept == {"model 2", "model 4", "model 5"}
    assert Path(store.earlier(TARGET).job["model"]).read_bytes() == b"model 2"


def test_the_latest_record_of_the_targets_own_kind(store):
    own = store.append(made(1))
    other = made(2)
    other["environment"]["run"]["engine"] = "onnxruntime"
    store.append(other)
    assert store.latest_of(TARGET) == own
    with pytest.raises(UsageError, match="no record of simulated with openvino int8 on 2 threads yet"):
        store.latest_of(replace(TARGET, engine="openvino"))


def test_a_damaged_log_says_what_to_do_and_what_it_costs(store, bundle):
    store.append(made(1), bundle)
    store.accept("simulated", "first")
    log = store.folder / "simulated" / "accepted.json"
    log.write_text("{")
    store.append(made(2), bundle)
    with pytest.raises(InputRejected, match=r"accepted\.json.*damaged; restore it, or move it away and accept"):
        store.accept("simulated", "second")
    log.rename(log.with_suffix(".old"))
    assert store.accept("simulated", "second")["before"] is None


@pytest.mark.parametrize("other", [{"engine": "onnxruntime"}, {"precision": "fp32"}, {"threads": 1}])
def test_another_kind_of_run_does_not_time_this_baseline(store, bundle, other):
    store.append(made(), bundle)
    store.accept("simulated", "first")
    assert store.earlier(replace(TARGET, **other)) is None


def test_the_latest_records_can_be_asked_for_and_those_of_one_second_stay_in_order(store):
    paths = [store.append(made(night)) for night in (1, 2, 3, 3)]
    assert store.records("simulated").paths == paths
    assert store.records("simulated", 2).paths == paths[2:]


def test_a_record_is_found_again_by_its_time_and_commit(store):
    store.append(made(1))
    path = store.append(made(2))
    assert store.path_of(made(2)) == path
    other = made(2)
    other["environment"]["git"]["commit"] = f"{0:07x}" + 33 * "f"  # begins alike
    assert store.path_of(made(3)) is store.path_of(other) is None


@pytest.mark.parametrize("lost", ["record", "artifact", "one file"])
def test_a_lost_baseline_is_replaced_as_the_error_says(store, bundle, lost, capsys):
    path = store.append(made(1), bundle)
    store.accept("simulated", "first")
    (model,) = store.folder.glob("**/*.tflite")
    if lost == "record":
        path.unlink()
    elif lost == "artifact":
        shutil.rmtree(store.folder / "simulated" / "artifacts")
    else:
        model.write_bytes(b"broken")
    compared, accepted = (run.arguments(["--target", "i7", *o]) for o in (["--compare"], ["--accept", "again"]))
    with pytest.raises(InputRejected, match="--accept"):
        nights.earlier(compared, store, TARGET)
    assert nights.earlier(accepted, store, TARGET) is None
    assert "--accept" in capsys.readouterr().err
    nights.told(store.accept("simulated", "again", store.append(made(2), bundle)))
    assert Path(nights.earlier(compared, store, TARGET).job["model"]).read_bytes() == MODEL


def test_without_a_history_there_is_no_earlier_run():
    assert nights.earlier(run.arguments(["--target", "i7"]), None, TARGET) is None


def test_a_comparison_tells_of_damaged_records(store):
    store.append(made(1))
    store.accept("simulated", "first")
    store.append(made(2)).write_bytes(b"broken")
    found = nights.against(store, made(3))
    assert found.baseline["reason"] == "first"
    assert any("damaged" in remark for remark in found.remarks)


# Options


def test_a_plain_run_has_nothing_to_do_with_the_history():
    assert nights.store(run.arguments(["--target", "i7"])) is None


@pytest.mark.parametrize("options", [["--compare"], ["--history", "x"], ["--accept", "why", "--latest"]])
def test_options_that_ask_for_the_history_get_it(options, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert nights.store(run.arguments(["--target", "i7", *options])) is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--accept", "why", "--quick"], "--quick run can never become a baseline"),
        (["--accept", " "], "reason"),
        (["--latest"], "add --accept"),
        (["--accept", "why", "--compare"], "compare first"),
        (["--accept", "why", "--precision", "fp32"], "is of its own .* int8; leave out --engine and --precision"),
    ],
)
def test_what_makes_no_sense_is_refused_before_measuring(options, words):
    with pytest.raises(UsageError, match=words):
        nights.store(run.arguments(["--target", "i7", *options]))


def test_accepting_uncommitted_code_is_refused_before_measuring(monkeypatch):
    monkeypatch.setattr(environment, "git", lambda _: {"commit": "0", "dirty": True})
    with pytest.raises(EnvironmentInvalid, match="commit them first"):
        nights.store(run.arguments(["--target", "i7", "--accept", "why"]))
