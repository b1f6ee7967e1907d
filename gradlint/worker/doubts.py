"""The part of GL003 that no rule can know: what was not carried out or not understood when the model was built."""

from gradlint.building.built import Doubt
from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Site

PARTLY_ANALYSED = ("GL003", "partly-analysed")


def findings_on(doubts: tuple[Doubt, ...]) -> list[Finding]:
    """One note that names every doubt."""
    if not doubts:
        return []
    first, *others = doubts
    code, name = PARTLY_ANALYSED
    return [
        Finding(
            code,
            name,
            Severity.INFO,
            first.text,
            (Site(first.location),),
            predicted={"doubts": len(doubts)},
            notes=tuple(doubt.text for doubt in others),
        )
    ]
