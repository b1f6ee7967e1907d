"""What the flow cannot follow: where it lies on the way, what is said beyond it proves nothing."""

from collections.abc import Iterable

from gradlint.api import RuleContext


def unknown_between(ctx: RuleContext, names: Iterable[str]) -> str | None:
    """The first unknown operator between the first and the last of some nodes, in words; None where all are known."""
    index = ctx.graph.index
    places = [index[name] for name in names if name in index]
    if not places:
        return None
    inside = (u for u in ctx.flow.unknown if u.node in index and min(places) < index[u.node] < max(places))
    found = next(inside, None)
    return None if found is None else f"{found.op} ({found.reason or 'no transfer rule'})"
