"""JUnit XML of a night, for CI systems: one suite a target, one case a judged figure.

Every case that spoils the exit code is red, and no other: a broken budget is a failure; an invalid or inconclusive figure is an
error, because its check could not be carried out; what was not measured, or a device that may be absent, is skipped. (If
inconclusive were "skipped", a CI job would end red with nothing red in its list.)
"""

import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.outcome import CRASHED, SKIPPED, Outcome
from benchmarks.table import budget, interval, number, quantity
from benchmarks.verdict import NOT_MEASURED
from edgefer.files import write_text

TAGS = {"fail": "failure", "invalid": "error", "inconclusive": "error", "unreachable": "error", NOT_MEASURED: "skipped"}
"""Verdict → the element that says so; pass, and a figure without a budget, need none."""
COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def write(path: Path, outcomes: list[Outcome], time: str) -> None:
    """Write the file. ``time``: when the night began, ISO 8601."""
    root = ET.Element("testsuites", name="edgefer nightly")
    root.extend(suite(outcome, time) for outcome in outcomes)
    _count(root)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    write_text(path, '<?xml version="1.0" encoding="UTF-8"?>\n' + _allowed(text) + "\n")


def suite(outcome: Outcome, time: str) -> ET.Element:
    """One target. The case ``target`` has what is not of one figure: that there is a record, parity, the whole verdict."""
    name, whole = outcome.target.name, sum(outcome.seconds.values())
    element = ET.Element("testsuite", name=name, timestamp=time[:19], time=f"{whole:.3f}")
    case = _case(element, name, "target", *_of_target(outcome))
    case.set("time", f"{whole:.3f}")
    if outcome.record:
        for metric, row in outcome.record["metrics"].items():
            _case(element, name, metric, row["verdict"], _figure(row))
        for row in (outcome.comparison or {}).get("rows", []):
            _compared(element, name, row, outcome.accepted)
    _count(element)
    return element


def _of_target(outcome: Outcome) -> tuple[str | None, str]:
    if outcome.state == SKIPPED:
        return outcome.verdict or NOT_MEASURED, outcome.reason
    if outcome.state == CRASHED:
        return outcome.verdict, f"no record: {outcome.reason}"
    run, comparison = outcome.record["environment"]["run"], outcome.comparison or {}
    said = [*run["problems"], *run["remarks"], *comparison.get("remarks", []), *outcome.remarks]
    return outcome.verdict, "; ".join(said) or f"verdict: {outcome.verdict}"


def _compared(element: ET.Element, target: str, row: dict, accepted: str) -> None:
    verdict, text = row["verdict"], _ratio(row)
    if accepted and verdict in TAGS:
        verdict, text = None, f"{text}; accepted as the new baseline: {accepted}"
    _case(element, target, f"{row['metric']} against the baseline", verdict, text)


def _case(element: ET.Element, target: str, name: str, verdict: str | None, text: str) -> ET.Element:
    case = ET.SubElement(element, "testcase", classname=f"edgefer.{target}", name=name, time="0.000")
    if verdict in TAGS:
        told = ET.SubElement(case, TAGS[verdict], message=text)
        if TAGS[verdict] != "skipped":
            told.set("type", verdict)
    else:
        ET.SubElement(case, "system-out").text = text
    return case


def _figure(row: dict) -> str:
    parts = [quantity(row["value"], row["unit"]), f"[{interval(row)}]" if row["ci95"] else ""]
    parts += [f"budget {budget(row['budget'], row['unit'])}" if row["budget"] else "", row["note"]]
    return ", ".join(part for part in parts if part)


def _ratio(row: dict) -> str:
    span = " [{}]".format(" … ".join(map(number, row["ratio_ci95"]))) if row["ratio_ci95"] else ""
    ratio = "no ratio" if row["ratio"] is None else f"×{number(row['ratio'])}{span}"
    then, now = (quantity(row[which], row["unit"]) for which in ("baseline", "now"))
    return f"{ratio}: {then} then, {now} now" + (f"; {row['note']}" if row["note"] else "")


def _count(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for attribute, tag in COUNTED.items():
        element.set(attribute, str(sum(case.find(tag) is not None for case in cases)))


def _allowed(text: str) -> str:
    """Without the control characters that XML forbids and a crashed program's last words may hold."""
    return "".join(c for c in text if c in "\t\n\r" or ord(c) >= 32)
