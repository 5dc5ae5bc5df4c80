"""What an engine says it executed, against what the artifact promises."""

import pytest

from benchmarks import executed


@pytest.mark.parametrize(
    ("precision", "details", "words"),
    [
        ("fp32", {"layers": {"float32": 70, "bfloat16": 1}}, "of 71 layers that multiply, 1 in bfloat16"),
        ("fp32", {"layers": {"float32": 70, "int8": 1}}, "1 in int8"),
        ("int8", {"layers": {"float32": 44, "int8": 27}}, "44 in float32, though the artifact is int8"),
        ("int8", {"layers": {"float32": 71}}, "71 in float32"),
        ("int8", {"layers": {"int8": 71}, "delegate": "none"}, "XNNPACK is absent"),
        ("int8", {"layers": {}, "threads": 2}, "no layer that multiplies"),
        ("fp32", {"layers": {"float32": 71}, "threads": 1}, "ran on 1 threads, 2 were asked for"),
    ],
)
def test_a_silent_fallback_is_named(precision, details, words):
    (problem,) = executed.problems("litert/x", precision, 2, details)
    assert problem.startswith("litert/x: ")
    assert words in problem


@pytest.mark.parametrize(
    ("precision", "details"),
    [
        ("fp32", {"layers": {"float32": 71}, "delegate": "XNNPACK", "threads": 2}),
        ("int8", {"layers": {"int8": 70, "float32": 1}, "threads": 2}),
        ("int8", {"engine": "null", "threads": 0}),
    ],
)
def test_what_is_as_promised_passes(precision, details):
    assert executed.problems("x", precision, 2, details) == []


def test_it_is_told_in_a_few_words():
    assert executed.told({"layers": {"int8": 71}, "delegate": "XNNPACK"}) == "71 layers int8, XNNPACK"
    assert executed.told({}) == ""
