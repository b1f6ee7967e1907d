"""The part of GL003 that no rule can know: what was not carried out or not understood when the model was built."""

from gradlint.building.built import BuiltModel, Doubt, Fed
from gradlint.core.finding import Finding, Remedy, Severity
from gradlint.core.location import Location, Site
from gradlint.core.target import Target

PARTLY_ANALYSED = ("GL003", "partly-analysed")


def doubts_on(target: Target, built: BuiltModel, fed: Fed | None) -> tuple[Doubt, ...]:
    """Why the model, or what it was fed with, may not be the user's."""
    doubts = built.doubts
    if fed is not None and not fed.is_whole:
        text = f"it has no forward of its own: what was analysed is {fed.through}"
        doubts = (*doubts, Doubt(text, Location(target.path, max(1, target.line))))
    if fed is None or not fed.source.startswith("derived"):
        return doubts
    told = built.target or target
    place = Location(target.path, told.unread_feed or max(1, target.line))
    if told.unread_feed:
        why = f" ({told.unread_why})" if told.unread_why else ""
        text = f"its inputs are a guess: line {told.unread_feed}, which feeds it, was not understood{why}"
    elif told.inputs_from:
        text = f"its inputs are a guess: its forward does not run on those {told.inputs_from}"
    else:
        return doubts
    return (*doubts, Doubt(text, place))


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
            remedies=tuple(Remedy(doubt.remedy, "") for doubt in doubts if doubt.remedy),
            notes=tuple(doubt.text for doubt in others),
        )
    ]
