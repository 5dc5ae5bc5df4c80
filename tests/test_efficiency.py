"""The efficiency table: figures appear only when they are measured, and come from a process of their own."""

import json
import sys

import pytest
from torch import nn

from edgefer.errors import EdgeferError
from train import models
from train.models import __main__ as command
from train.models import efficiency


class Small(nn.Conv2d):
    """A network that costs nothing."""

    PAPER, INPUT_SIZE, CHANNELS = "none", 8, 3

    def __init__(self, num_classes: int = 7, channels: int = 3):
        super().__init__(channels, num_classes, 8)


def table(monkeypatch, tmp_path, *arguments) -> list[dict]:
    monkeypatch.setattr(sys, "argv", ["train.models", *arguments, "--json", str(tmp_path / "table.json")])
    assert command.main() == 0
    return json.loads((tmp_path / "table.json").read_text())


def test_measured_keys_are_there_only_when_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(models, "SYSTEMS", {"small": Small})
    monkeypatch.setattr(command, "SYSTEMS", {"small": Small})
    monkeypatch.setattr(efficiency, "measure", lambda system: {"fps": 12.34, "peak_rss_mb": 300.0, "threads": 2})
    assert set(table(monkeypatch, tmp_path)[0]) == {"name", "paper", "params", "macs", "input_size", "channels"}
    (row,) = table(monkeypatch, tmp_path, "--measure")
    assert (row["fps"], row["peak_rss_mb"], row["threads"]) == (12.34, 300.0, 2)
    assert "12.3 fps in eager torch, 2 threads; peak 300 MB" in capsys.readouterr().out


def test_frames_per_second_of_a_small_network(monkeypatch):
    monkeypatch.setattr(models, "SYSTEMS", {"small": Small})
    monkeypatch.setattr(efficiency, "SYSTEMS", {"small": Small})
    assert efficiency.frames_per_second("small", seconds=0.01) > 1


def test_a_process_measures_one_network():
    row = efficiency.measure("shufflenetv2", threads=1)
    assert set(row) == {"fps", "peak_rss_mb", "threads"}
    assert row["fps"] > 0
    assert 100 < row["peak_rss_mb"] < 20_000


def test_a_failure_is_carried():
    with pytest.raises(EdgeferError, match="measuring nope failed"):
        efficiency.measure("nope")
