"""FER+: the protocol, the layout, and the exact counts where the data is."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgefer.errors import EnvironmentInvalid, InputRejected
from train.data import ferplus

ROWS = {
    "clear majority": ([8, 0, 0, 2, 0, 0, 0, 0, 0, 0], 0),
    "exactly half is not a majority": ([5, 0, 0, 5, 0, 0, 0, 0, 0, 0], -1),
    "single votes are noise": ([5, 1, 1, 1, 1, 1, 0, 0, 0, 0], 0),
    "single votes are removed before the sum": ([0, 3, 2, 1, 1, 1, 1, 1, 0, 0], 1),
    "won by unknown": ([2, 0, 0, 0, 0, 0, 0, 0, 8, 0], -1),
    "won by not a face": ([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], -1),
    "unknown counts in the sum": ([4, 0, 0, 0, 0, 0, 0, 0, 4, 0], -1),
    "nobody agrees": ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], -1),
}


@pytest.mark.parametrize(("votes", "label"), ROWS.values(), ids=ROWS)
def test_majority(votes, label):
    assert ferplus.majority(np.array([votes], np.float32)).tolist() == [label]


def test_distribution_is_over_the_eight_emotions():
    votes = np.array([[6, 2, 1, 0, 0, 0, 0, 0, 3, 0], [0, 0, 0, 0, 0, 0, 0, 0, 10, 0]], np.float32)
    assert ferplus.distribution(votes).tolist() == [[0.75, 0.25, 0, 0, 0, 0, 0, 0], [0.0] * 8]


def test_holdout_is_a_fixed_tenth():
    names = [f"fer{i:07}.png" for i in range(20_000)]
    held_out = ferplus.holdout(names)
    assert 0.09 < held_out.mean() < 0.11
    assert ferplus.holdout(names[:50]).tolist() == held_out[:50].tolist()
    assert held_out[:40].nonzero()[0].tolist() == [12, 25, 31, 32, 37]


def test_counts_of_the_protocol(ferplus_data):
    train, valid = ferplus.load("train"), ferplus.load("valid")
    assert int((train.labels >= 0).sum()) == 25_045
    assert int((valid.labels >= 0).sum()) == 3_191
    assert np.bincount(valid.evaluated.labels).tolist() == [1180, 862, 411, 348, 289, 25, 60, 16]


def test_reads_a_folder_and_a_zip_alike(tiny_ferplus, tmp_path):
    shutil.make_archive(str(tmp_path / "zipped" / "ferplus"), "zip", tiny_ferplus)
    folder, zipped = ferplus.load("train", tiny_ferplus), ferplus.load("train", tmp_path / "zipped")
    assert len(folder) == 80
    assert folder.images.shape == (80, 48, 48)
    assert np.array_equal(folder.images, zipped.images)
    assert folder.names == zipped.names
    assert folder.labels[:9].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0]


def test_a_damaged_zip(tiny_ferplus, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tiny_ferplus))
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        entry = file.getinfo("FER2013Valid/fer0000003.png")
    data[entry.header_offset + 30 + len(entry.filename) + entry.compress_size // 2] ^= 0x20
    archive.write_bytes(data)
    with pytest.raises(InputRejected, match=r"FER2013Valid/fer0000003\.png is damaged"):
        ferplus.load("valid", archive)


def test_rows_without_an_image_are_not_there(tiny_ferplus):
    with (tiny_ferplus / "FER2013Train" / "label.csv").open("a") as file:
        file.write(',"(0, 0, 48, 48)",10,0,0,0,0,0,0,0,0,0\n')
    assert len(ferplus.load("train", tiny_ferplus)) == 80


def test_missing_data_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delenv("EDGEFER_DATA", raising=False)
    with pytest.raises(EnvironmentInvalid, match=r"EDGEFER_DATA.*FER2013Train"):
        ferplus.load("train")
    with pytest.raises(EnvironmentInvalid, match="not found in"):
        ferplus.load("train", tmp_path)


def test_missing_split_and_damaged_files(tiny_ferplus):
    with pytest.raises(EnvironmentInvalid, match="test split is not there"):
        ferplus.load("test", tiny_ferplus)
    (tiny_ferplus / "FER2013Valid" / "fer0000003.png").write_bytes(b"not a picture")
    with pytest.raises(InputRejected, match=r"fer0000003\.png is not a readable"):
        ferplus.load("valid", tiny_ferplus)
    table = tiny_ferplus / "FER2013Valid" / "label.csv"
    whole = table.read_text()
    for text in (whole.replace(",10,", ",ten,", 1), "", whole + "fer0000003.png,box,1,2\n", "\udcff"):
        table.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(InputRejected, match=r"FER2013Valid/label\.csv is damaged"):
            ferplus.load("valid", tiny_ferplus)
    (tiny_ferplus / "FER2013Train" / "fer0000005.png").unlink()
    with pytest.raises(InputRejected, match=r"fer0000005\.png, which is not there"):
        ferplus.load("train", tiny_ferplus)
