"""What measuring one claim's quantity gives."""

from dataclasses import dataclass, field

from gradlint.core.finding import Figures


@dataclass(frozen=True)
class Measured:
    """One number, a sentence about it, and what else was seen on the way."""

    value: float | None
    """In the quantity's unit; None where it cannot be measured, then `summary` says why."""
    summary: str
    figures: Figures = field(default_factory=dict)
    unit: str = ""
    near: float | None = None
    """A value on the wrong side of the threshold by no more than this is inconclusive; None: 15 % of the threshold."""


def unmeasured(reason: str) -> Measured:
    """Nothing could be measured, and why."""
    return Measured(None, reason)


def scientific(value: float) -> str:
    """`2.6e-13`; plain where that is shorter."""
    if value == 0:
        return "0"
    return f"{value:.2g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def signed(value: float) -> str:
    """Decades with their sign, as in print: −1.9, +3.0."""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")
