"""What came of each target in a night, and of the night as a whole. Pure: no program is run here."""

from dataclasses import dataclass, field

from benchmarks import verdict
from edgefer.errors import ENVIRONMENT, UNREACHABLE
from edgefer.targets import Target

MEASURED, SKIPPED, CRASHED = "measured", "skipped", "crashed"
EXIT_CODES = {**verdict.EXIT_CODES, "unreachable": UNREACHABLE}


@dataclass
class Outcome:
    """One target's night."""

    target: Target
    state: str = MEASURED
    """measured; skipped, where it could not be reached; crashed, where there is no record though it was reached."""
    reason: str = ""
    """Why it was skipped or crashed: one sentence."""
    code: int | None = None
    """Exit status of the program that measured it, or made no bundle; None where it was ended, or never started."""
    required: bool = False
    record: dict | None = None
    comparison: dict | None = None
    """With the accepted baseline, as ``benchmarks.compare`` gives it; None where there is no record."""
    accepted: str = ""
    """Why tonight's record is the new baseline; empty where it is not."""
    remarks: list[str] = field(default_factory=list)
    """Of the night itself; the record and the comparison have their own."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Part of the work → how long it took."""

    @property
    def verdict(self) -> str | None:
        """The worse of the record's and the comparison's; None for a skipped target that may be absent.

        A comparison does not count where its record was accepted: its differences are meant.
        """
        if self.state == SKIPPED:
            return "unreachable" if self.required else None
        if self.record is None:  # something that this machine lacks makes no artifact bad; anything else is a bug
            return "invalid" if self.code == ENVIRONMENT else "fail"
        compared = self.comparison and not self.accepted and self.comparison["verdict"]
        return verdict.worst(self.record["verdict"], compared or None)

    def to_json(self) -> dict:
        """Everything but the raw samples, which the record keeps."""
        target, record = self.target, self.record
        return {
            "target": target.name,
            "description": target.description,
            "reach": target.reach["kind"],
            "state": self.state,
            "verdict": self.verdict,
            "reason": self.reason,
            "required": self.required,
            "seconds": {part: round(seconds, 1) for part, seconds in self.seconds.items()},
            "passes": record["environment"]["run"].get("took_s", {}) if record else {},
            "record": record and f"records/{target.name}.json",
            "summary": record and summary(record),
            "remarks": self.remarks,
            "comparison": self.comparison,
            "accepted": self.accepted or None,
        }


def summary(record: dict) -> dict:
    """A record's verdict, metrics and what else decided."""
    run = record["environment"]["run"]
    decided = {name: run.get(name, []) for name in ("problems", "spoiling", "remarks")}
    return {name: record[name] for name in ("verdict", "metrics")} | decided


def overall(outcomes: list[Outcome]) -> str:
    """One verdict for the night. Skipped targets do not count, unless they are required or nothing else was there.

    A broken budget outweighs a device that had to be there and was not, that one a figure nobody can trust.
    """
    verdicts = {outcome.verdict for outcome in outcomes if outcome.verdict} or {"unreachable"}
    decided = verdict.worst(*verdicts)
    return "unreachable" if "unreachable" in verdicts and decided != "fail" else decided
