"""The parity ladder: fp32 torch → each format in fp32 → each format in int8, compared on the same crops.

A rung that fails names itself. Rungs that should be equal are compared by numbers, lossy ones by paired statistics against
the fp32 torch checkpoint.
"""

from dataclasses import dataclass

import numpy as np

from edgefer import parity
from edgefer.errors import BudgetBroken

FP32_TOLERANCE = 1e-4
"""Largest allowed difference of a probability between torch and a format in fp32."""


@dataclass(frozen=True)
class Ladder:
    """The reference of every rung."""

    reference: np.ndarray
    """float32 (N, classes): fp32 torch's probabilities on the crops."""
    labels: np.ndarray | None
    """int64 (N,), or None where only agreement can be judged."""
    names: tuple[str, ...]
    """Classes, in order."""
    source: str
    """What the crops are."""
    margin_points: float
    """Accuracy the target allows to lose."""

    def fp32(self, rung: str, probabilities: np.ndarray) -> dict:
        """Evidence that a fp32 artifact equals torch.

        Raises:
            BudgetBroken: it does not; names the rung.
        """
        difference = float(np.abs(probabilities - self.reference).max())
        if not difference <= FP32_TOLERANCE:
            raise BudgetBroken(
                f"parity rung '{rung}' is broken on {self.source}: probabilities differ from fp32 torch by up to "
                f"{difference:.2e}, {FP32_TOLERANCE:.0e} is allowed; the conversion to this format changed the network"
            )
        return {"rung": rung, "data": self.source, "max_difference": difference, "tolerance": FP32_TOLERANCE}

    def int8(self, rung: str, probabilities: np.ndarray) -> dict:
        """Evidence that a lossy artifact still recognises faces as well as fp32 torch.

        Raises:
            BudgetBroken: the parity rule does not hold; names the rung and everything it breaks.
        """
        if not np.isfinite(probabilities).all():
            raise BudgetBroken(
                f"parity rung '{rung}' is broken on {self.source}: it gives probabilities that are not numbers"
            )
        result = parity.paired(self.reference.argmax(1), probabilities.argmax(1), self.labels, self.names)
        found = parity.problems(result, self.margin_points)
        if found:
            raise BudgetBroken(
                f"parity rung '{rung}' is broken on {self.source}: {'; '.join(found)}; "
                "run `python -m compress` to see which ways of quantising were tried"
            )
        return {"rung": rung, "data": self.source, "margin_points": self.margin_points, **result.to_json()}


def told(evidence: dict) -> str:
    """A rung's evidence, as ``Ladder`` gives it, in one line."""
    if "max_difference" in evidence:
        return f"probabilities within {evidence['max_difference']:.1e} of fp32 torch on {evidence['data']}"
    agreement = f"{1 - evidence['flip_rate']:.2%} of {evidence['n']} labels agree with fp32 on {evidence['data']}"
    if evidence["drop_points"] is None:
        return agreement
    low, high = evidence["drop_ci95"]
    drop = f"drop {evidence['drop_points']:+.2f} points [{low:+.2f}, {high:+.2f}]"
    return f"accuracy {evidence['accuracy_candidate']:.2%}, {drop}, {agreement}"
