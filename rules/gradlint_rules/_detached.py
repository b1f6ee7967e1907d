"""Recurrences whose state is detached between two steps: no gradient comes back from any step to the one before."""

from collections.abc import Iterator

from gradlint.api import Cause, Claim, Finding, Remedy, Rule, RuleContext, Severity, Site, TimeFlow
from gradlint_rules._severed import Severance, severances
from gradlint_rules._time import nodes_of
from gradlint_rules._wording import primary


def no_way_back(rule: Rule, ctx: RuleContext, time: TimeFlow) -> Iterator[Finding]:
    """The finding about a recurrence without any gradient from step to step, where a detached state is the cause."""
    kinds = ("parameter", "buffer")
    inside = (n.name for n in ctx.graph.nodes.values() if time.module and n.module == time.module and n.op not in kinds)
    nodes = tuple(inside) or nodes_of(ctx, time)
    name = time.module or "the recurrence"
    cuts = [cut for cut in severances(ctx, nodes) if _is_detached_state(ctx, cut, frozenset(nodes))]
    if not cuts:
        ctx.near_miss(f"{name}: no gradient comes back from one step to the one before, but no state is detached")
        return
    places = [Site(cut.location, "the gradient of all earlier steps ends here") for cut in cuts[:1] if cut.location]
    yield Finding(
        code=rule.code,
        name=rule.name,
        severity=Severity.WARNING,
        message=f"{name} runs over {time.steps} steps, but its state is cut by {cuts[0].told} at every one of them",
        sites=(Site(primary(ctx, nodes), "it learns from its last step only"), *places),
        module=time.module,
        cause=Cause.RECURRENCE,
        predicted={
            "summary": f"no gradient at any of the first {time.steps - 1} of {time.steps} steps",
            "horizon": 0,
            "steps": time.steps,
        },
        remedies=(
            Remedy(f"no {cuts[0].told}", "gives earlier steps their gradient"),
            Remedy("detach between chunks of steps only", "gives a gradient within each chunk"),
        ),
        attributed=nodes,
        claim=Claim("no-time-gradient", time.module, predicted=1.0, threshold=1.0),
    )


def _is_detached_state(ctx: RuleContext, cut: Severance, nodes: frozenset[str]) -> bool:
    """Whether a cut stands between one step and a later one, and is a detach: picking a token cuts by nature."""
    if ctx.graph.nodes[cut.node].op != "detach":
        return False
    seen, stack = {cut.node}, [cut.node]
    while stack:
        fresh = [user for user in ctx.graph.users[stack.pop()] if user not in seen]
        if nodes.intersection(fresh):
            return True
        seen.update(fresh)
        stack += fresh
    return False
