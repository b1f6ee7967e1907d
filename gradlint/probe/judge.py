"""What real passes make of findings: each claim is measured and compared with what was said."""

import math
from collections.abc import Iterable
from dataclasses import replace

from gradlint.core.finding import Claim, Figures, Finding, Verdict
from gradlint.probe.laboratory import Laboratory, ProbeInput
from gradlint.probe.quantities import QUANTITIES, Measured

_MARGIN = 0.15
"""Share of the threshold by which a figure may miss it and still be inconclusive rather than a refutation."""


def judge(findings: Iterable[Finding], given: ProbeInput) -> tuple[Finding, ...]:
    """Measure the claim of each finding and set its verdict, its measured figures and the reason of the verdict.

    Findings without a claim stay as they are. Where nothing can be measured at all (the model was built without
    memory, or no inputs are known) verdicts stay None and the reason says why. A measurement that fails is
    inconclusive, with the error as its reason. The model is left exactly as found.
    """
    lab = Laboratory(given)
    return tuple(_judged(lab, finding) for finding in findings)


def _judged(lab: Laboratory, finding: Finding) -> Finding:
    claim = finding.claim
    if claim is None:
        return finding
    if lab.given.obstacle:
        return replace(finding, verdict_reason=f"not probed: {lab.given.obstacle}")
    quantity = QUANTITIES.get(claim.kind)
    if quantity is None:
        return replace(finding, verdict=Verdict.INCONCLUSIVE, verdict_reason=f"no quantity is called {claim.kind}")
    try:
        measured = quantity(lab, claim)
    except Exception as error:  # noqa: BLE001 - the user's forward runs in there and may raise anything
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return replace(finding, verdict=Verdict.INCONCLUSIVE, verdict_reason=f"the measurement failed: {text}")
    verdict, reason = verdict_of(claim, measured)
    figures: Figures = {"summary": measured.summary, **measured.figures}
    if measured.value is not None:
        figures["value"] = measured.value
    return replace(
        finding, verdict=verdict, verdict_reason=reason, measured=figures if measured.value is not None else {}
    )


def verdict_of(claim: Claim, measured: Measured) -> tuple[Verdict, str]:
    """Verdict and, unless the claim is confirmed, the reason in words."""
    value, threshold, unit = measured.value, claim.threshold, f" {measured.unit}" if measured.unit else ""
    if value is None:
        return Verdict.INCONCLUSIVE, measured.summary
    if threshold is None:
        return Verdict.INCONCLUSIVE, "the claim names no threshold"
    if math.isnan(value):
        return Verdict.INCONCLUSIVE, "the measured figure is not a number"
    if value >= threshold:
        return Verdict.CONFIRMED, ""
    margin = measured.near if measured.near is not None else _MARGIN * abs(threshold)
    if value >= threshold - margin:
        return Verdict.INCONCLUSIVE, f"{value:.3g}{unit}, just short of the {threshold:.3g} claimed"
    return Verdict.REFUTED, f"{value:.3g}{unit} instead of at least {threshold:.3g}"
