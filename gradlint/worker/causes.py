"""One cause, one finding: what follows from a finding is attached to it, not reported again."""

from collections.abc import Sequence
from dataclasses import replace

from gradlint.core.finding import Cause, Finding, Severity

OVERLAP = 0.5
"""Share of the smaller finding's operators from which two findings have one cause."""


def merge(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Attach findings to the one that explains them; sorted by path, line and code.

    Two findings of one model have one cause where they share at least half of the operators of the one that has fewer.
    The family that ranks higher explains the other (severed, initialisation, saturation, recurrence, structure, flow),
    within a family the smaller code; a cause is as severe as the worst that follows from it. A poor outlook of the
    whole model follows from any of them. Findings about usage stand on their own.
    """
    kept: list[Finding] = []
    for finding in sorted(findings, key=_explains_first):
        cause = next((i for i, other in enumerate(kept) if _same_cause(other, finding)), None)
        if cause is None:
            kept.append(finding)
        else:
            kept[cause] = _joined(kept[cause], finding)
    return tuple(sorted(kept, key=_place))


def _joined(cause: Finding, consequence: Finding) -> Finding:
    codes = {*cause.consequences, consequence.code, *consequence.consequences} - {cause.code}
    severity = max(cause.severity, consequence.severity, key=lambda s: s.rank)
    return replace(cause, consequences=tuple(sorted(codes)), severity=severity)


def _explains_first(finding: Finding) -> tuple[int, str, tuple[str, int, str, str]]:
    return (finding.cause.rank, finding.code, _place(finding))


def _place(finding: Finding) -> tuple[str, int, str, str]:
    return (finding.location.path, finding.location.line, finding.code, finding.model)


def _same_cause(cause: Finding, consequence: Finding) -> bool:
    if Cause.USAGE in (cause.cause, consequence.cause) or cause.model != consequence.model:
        return False
    if consequence.cause is Cause.OUTLOOK:
        return cause.severity is not Severity.INFO
    one, other = set(cause.attributed), set(consequence.attributed)
    smaller = min(len(one), len(other))
    return smaller > 0 and len(one & other) >= OVERLAP * smaller
