"""Bundles: what was sealed is what is loaded; each kind of damage is one sentence that names it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edgefer import bundle
from edgefer.errors import InputRejected, UsageError

TINY = Path(__file__).parent / "data" / "tiny"


@pytest.fixture
def copy(tmp_path) -> Path:
    """A bundle to damage."""
    return Path(shutil.copytree(TINY, tmp_path / "bundle"))


def edit(folder: Path, change) -> None:
    """Change the manifest and seal the bundle again, as if it had been made so."""
    path = folder / bundle.MANIFEST
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    bundle.seal(folder)


def rejected(folder: Path) -> str:
    with pytest.raises(InputRejected) as caught:
        bundle.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_load():
    loaded = bundle.load(TINY)
    assert loaded.name == "tiny" and loaded.defaults == {"engine": "litert", "precision": "int8", "threads": 1}
    assert len(loaded.artifacts) == 6
    xml = loaded.artifact("openvino", "int8")
    assert sorted(xml.files) == ["int8.bin", "int8.xml"] and xml.file == "int8.xml"
    assert xml.bytes == sum((TINY / name).stat().st_size for name in xml.files)


def test_sums_are_what_sha256sum_reads():
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=TINY, check=True)


def test_writing_again_gives_the_same_bytes(copy):
    bundle.load(copy).write_manifest()
    bundle.seal(copy)
    for path in TINY.rglob("*"):
        if path.is_file():
            assert (copy / path.relative_to(TINY)).read_bytes() == path.read_bytes(), path.name


def test_unknown_artifact_lists_those_there():
    with pytest.raises(UsageError, match=r"unknown artifact 'litert/int4'.*has litert/fp32, litert/int8, onnxruntime"):
        bundle.load(TINY).artifact("litert", "int4")


def test_the_null_engine_reads_the_spec():
    assert bundle.load(TINY).model_path("null", "fp32").name == "model.json"


def test_wrong_hash(copy):
    data = bytearray((copy / "fp32.onnx").read_bytes())
    data[100] ^= 1
    (copy / "fp32.onnx").write_bytes(data)
    told = rejected(copy)
    assert "fp32.onnx does not match its SHA-256" in told and "again" in told
    assert bundle.load(copy, verify=False).name == "tiny"


def test_all_damaged_files_at_once(copy):
    (copy / "int8.bin").unlink()
    (copy / "golden" / "golden.npz").write_bytes(b"")
    told = rejected(copy)
    assert "int8.bin is missing" in told and "golden/golden.npz does not match" in told


@pytest.mark.parametrize("name", list(bundle.MANIFEST_FIELDS))
def test_missing_manifest_field(copy, name):
    edit(copy, lambda value: value.pop(name))
    assert f"field '{name}' is missing" in rejected(copy)


@pytest.mark.parametrize("name", list(bundle.ARTIFACT_FIELDS))
def test_missing_artifact_field(copy, name):
    edit(copy, lambda value: value["artifacts"][1].pop(name))
    assert f"artifact 1: field '{name}' is missing" in rejected(copy)


@pytest.mark.parametrize(
    "schema, told", [(2, "install a newer edgefer"), (0, "export the bundle again"), (None, "None")]
)
def test_other_schema(copy, schema, told):
    edit(copy, lambda value: value.update(schema=schema))
    assert told in rejected(copy)


def test_a_newer_schema_is_told_before_anything_else(copy):
    edit(copy, lambda value: (value.clear(), value.update(schema=9)))
    assert "schema 9 is newer" in rejected(copy)


@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/hostname", "a/../../outside.onnx"])
def test_a_path_that_leaves_the_bundle(copy, name):
    (copy.parent / "outside.onnx").write_bytes(b"x")
    edit(copy, lambda value: value["artifacts"][0].update(file=name, files={name: "0" * 64}))
    assert f"path '{name}' leaves the bundle" in rejected(copy)


@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/hostname"])
def test_sums_that_leave_the_bundle(copy, name):
    sums = copy / bundle.SUMS
    sums.write_text(sums.read_text() + f"{'0' * 64}  {name}\n")
    assert f"path '{name}' in SHA256SUMS leaves the bundle" in rejected(copy)


def test_a_link_that_leaves_the_bundle(copy):
    (copy / "fp32.onnx").unlink()
    (copy / "fp32.onnx").symlink_to(TINY / "fp32.onnx")
    assert "path 'fp32.onnx' in SHA256SUMS leaves the bundle" in rejected(copy)


def test_an_artifact_whose_hash_is_another(copy):
    edit(copy, lambda value: value["artifacts"][0]["files"].update({"fp32.tflite": "0" * 64}))
    assert "SHA-256 of 'fp32.tflite' is not the one in SHA256SUMS" in rejected(copy)


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda v: v.update(artifacts=[]), "lists no artifact"),
        (lambda v: v.update(name=3), "'name' is not text"),
        (lambda v: v["artifacts"].append(v["artifacts"][0]), "litert/fp32 is there twice"),
        (lambda v: v["artifacts"].append("x"), "artifact 6: is not an object"),
        (lambda v: v["artifacts"][0].update(precision="int4"), "precision 'int4' is not one of fp32, int8"),
        (lambda v: v["artifacts"][0].update(file="other"), "'other' is not among its files"),
        (lambda v: v.update(defaults={"engine": "litert"}), "defaults: field 'precision' is missing"),
    ],
)
def test_a_manifest_that_makes_no_sense(copy, change, told):
    edit(copy, change)
    assert told in rejected(copy)


@pytest.mark.parametrize("line", ["nonsense\n", "0" * 63 + "  bundle.json\n", "0" * 64 + "  \n"])
def test_sums_that_are_none(copy, line):
    (copy / bundle.SUMS).write_text(line)
    assert "SHA256SUMS, line 1" in rejected(copy)


@pytest.mark.parametrize("name", ["SHA256SUMS", "model.json", "bundle.json"])
def test_a_missing_part(copy, name):
    (copy / name).unlink()
    assert name in rejected(copy)


def test_a_manifest_without_its_sum(copy):
    lines = (copy / bundle.SUMS).read_text().splitlines(keepends=True)
    (copy / bundle.SUMS).write_text("".join(line for line in lines if "bundle.json" not in line))
    assert "does not list bundle.json" in rejected(copy)


def test_what_is_no_bundle(tmp_path):
    assert "is not a bundle" in rejected(tmp_path)
    assert "is not a bundle" in rejected(tmp_path / "nowhere")
