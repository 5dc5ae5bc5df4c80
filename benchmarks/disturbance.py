"""What disturbed a run on its machine: throttling, stolen processor time, other work, noise. Pure: readings in, findings out.

A reading is ``environment.climate()`` as the measured device's own worker took it, at the start and the end of every round. A
finding either spoils the run (its verdict is "invalid") or is worth a remark: ratios of neighbours in time stand some noise,
a processor that was slowed down half-way they do not.
"""

from dataclasses import dataclass

STEAL_REMARK, STEAL_BOUND = 0.02, 0.2
"""Share of processor time that the machine's host gave to others: said from the first on, spoiling from the second."""
DRIFT_REMARK = 0.2
"""Share by which the target's blocks of the last round are slower or faster than those of the first."""
PI_NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of a Raspberry Pi's ``get_throttled`` that hold at this moment; ``SINCE_BOOT`` further up, whether they ever did."""
SINCE_BOOT = 16


@dataclass(frozen=True)
class Findings:
    """What was found, one phrase each."""

    spoiling: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def findings(readings: list[dict], round_medians: list[float]) -> Findings:
    """Judge the readings of one run, in order of time.

    Args:
        readings: see ``environment.climate``; none where the device gives none.
        round_medians: of the target's latency, one a round.
    """
    spoiling = _throttling(readings)
    remarks = []
    steal = _share(readings, "steal")
    if steal is not None and steal > STEAL_REMARK:
        said = f"stolen: the host gave {steal:.0%} of this machine's processor time to others"
        (spoiling if steal > STEAL_BOUND else remarks).append(said)
    drift = round_medians[-1] / round_medians[0] - 1 if len(round_medians) > 1 else 0.0
    if abs(drift) > DRIFT_REMARK:
        remarks.append(
            f"drift: the last round was {abs(drift):.0%} {'slower' if drift > 0 else 'faster'} than the first"
        )
    return Findings(tuple(spoiling), tuple(remarks))


def _throttling(readings: list[dict]) -> list[str]:
    found = []
    events = [r["throttle_events"] for r in readings if r.get("throttle_events") is not None]
    if events and events[-1] > events[0]:
        found.append(f"throttled: the processor counted {events[-1] - events[0]} thermal events during the run")
    told = [pi_bits(reading.get("throttled")) for reading in readings]
    bits = {bit for each in told for bit in each if bit in PI_NOW}
    bits |= {bit - SINCE_BOOT for bit in (told[-1] - told[0] if told else ()) if bit - SINCE_BOOT in PI_NOW}
    if bits:
        found.append(f"throttled: the board reports {', '.join(PI_NOW[bit] for bit in sorted(bits))}")
    return found


def pi_bits(told: str | None) -> set[int]:
    """Bits set in ``throttled=0x50005``; none where the board says nothing."""
    value = int(told.partition("=")[2], 16) if told and "=" in told else 0
    return {bit for bit in range(20) if value >> bit & 1}


def _share(readings: list[dict], kind: str) -> float | None:
    """Share of the processor time between the first and the last reading that was of a kind; None where it is not told."""
    ticks = [r["ticks"] for r in readings if r.get("ticks")]
    if len(ticks) < 2 or ticks[-1]["total"] == ticks[0]["total"]:
        return None
    return (ticks[-1][kind] - ticks[0][kind]) / (ticks[-1]["total"] - ticks[0]["total"])
