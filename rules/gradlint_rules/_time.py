"""Recurrences: their nodes, their weights, and whether something carries the state past the weights."""

from gradlint.api import Edit, EditKind, Remedy, RuleContext, TimeFlow
from gradlint_rules._doubt import unknown_between
from gradlint_rules._paths import is_layer, skeleton
from gradlint_rules._wording import left

_GATED_CELLS = frozenset({"lstm", "gru", "lstm_cell", "gru_cell"})


def nodes_of(ctx: RuleContext, time: TimeFlow) -> tuple[str, ...]:
    """Nodes of a recurrence: the fused operator, or what its cell's module runs."""
    if time.name in ctx.graph.nodes:
        return (time.name,)
    kinds = ("parameter", "buffer")
    return tuple(n.name for n in ctx.graph.nodes.values() if n.module == time.module and n.op not in kinds)


def weights_in(ctx: RuleContext, time: TimeFlow) -> tuple[str, ...]:
    """Weights of a recurrence."""
    inside = f"{time.module}."
    own = (p for p in ctx.parameters.values() if p.module == time.module or p.module.startswith(inside))
    return tuple(p.name for p in own if len(p.shape) > 1)


def is_gated(ctx: RuleContext, time: TimeFlow) -> bool:
    """Whether the state has a way from step to step that no weights stand in: gates, or a plain sum."""
    operators = {ctx.graph.nodes[name].op for name in nodes_of(ctx, time)}
    inside = {n.op for n in ctx.graph.nodes.values() if time.module and n.module == time.module}
    if time.cell in _GATED_CELLS or (operators | inside) & _GATED_CELLS:
        return True
    calls = [call.output for call in ctx.graph.calls if call.module == time.module and call.output is not None]
    if len(calls) < 3:
        return False
    between = _layers_between(ctx, calls[-3], calls[-1])
    return between is not None and between < 2


def unknown_within(ctx: RuleContext, time: TimeFlow) -> str | None:
    """An operator within the steps of a recurrence that the flow cannot follow, in words."""
    calls = [call for call in ctx.graph.calls if time.module and call.module == time.module]
    ends = (name for call in calls for name in (*call.inputs, call.output or ""))
    return unknown_between(ctx, (*nodes_of(ctx, time), *ends))


def orthogonal_remedy(ctx: RuleContext, time: TimeFlow) -> tuple[Remedy, ...]:
    """Orthogonal recurrent weights, where they are predicted to halve what is lost or won over time."""
    square = tuple(name for name in weights_in(ctx, time) if len(set(ctx.parameters[name].shape)) == 1)
    if not square or is_gated(ctx, time):
        return ()
    text = "nn.init.orthogonal_ for the recurrent weights"
    edit = Edit(EditKind.INIT_GAIN, text, parameters=square, detail="orthogonal")
    flow = ctx.what_if(edit)
    after = next((t for t in flow.times if t.module == time.module), None) if flow is not None else None
    if after is None or abs(after.gain) > 0.5 * abs(time.gain):
        return ()
    effect = f"{left(after.gain * (after.steps - 1))} over the same steps"
    return (Remedy(text, effect, attenuation=flow.attenuation if flow is not None else None, change=edit),)


def _layers_between(ctx: RuleContext, first: str, last: str) -> int | None:
    """Fewest layers on a way from one node to another, the last one counted; None where there is no way."""
    bones = skeleton(ctx.graph)
    best = {first: 0}
    for name in bones.order:
        before = [best[source] for source in bones.before[name] if source in best]
        if before and name != first:
            best[name] = min(before) + (1 if is_layer(ctx.graph, ctx.graph.nodes[name]) else 0)
    return best.get(last)
